package model

import (
	"cmp"
	"math"
	"slices"

	"vgid/model/backend"
)

// sampleSite keys the stream of token draws.
const sampleSite = 0x53414d50

// sampler draws tokens; it keeps its working memory.
type sampler struct {
	order []int32
	prob  []float64
}

// likeliest is the first of the largest logits.
func likeliest(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}

// draw picks a token of a row of logits: softmax at the temperature, the TopK
// most likely, of them the smallest set that reaches TopP, one draw. At temperature 0
// it is the likeliest.
func (s *sampler) draw(logits []float32, o *GenerateOptions, sample uint32, token int) int32 {
	if o.Temperature == 0 {
		return likeliest(logits)
	}
	s.order = slices.Grow(s.order[:0], len(logits))[:len(logits)]
	for i := range s.order {
		s.order[i] = int32(i)
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		if c := cmp.Compare(logits[b], logits[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	if o.TopK > 0 && o.TopK < len(s.order) {
		s.order = s.order[:o.TopK]
	}
	s.prob = s.prob[:0]
	sum := 0.0
	for _, id := range s.order {
		p := math.Exp(float64(logits[id]-logits[s.order[0]]) / float64(o.Temperature))
		s.prob = append(s.prob, p)
		sum += p
	}
	if o.TopP > 0 && o.TopP < 1 {
		cut := 0.0
		for i, p := range s.prob {
			if cut += p; cut >= float64(o.TopP)*sum {
				s.prob, sum = s.prob[:i+1], cut
				break
			}
		}
	}
	key := backend.Key{Seed: o.Seed, Step: uint32(token), Site: sampleSite}
	u := float64(backend.ToUniform(key.Block(0, 0, sample)[0])) * sum
	for i, p := range s.prob {
		if u -= p; u < 0 {
			return s.order[i]
		}
	}
	return s.order[len(s.prob)-1]
}
