package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"vgid/model/backend"
)

// logSoftmax is log softmax(x·rate).
func logSoftmax(x []float64, rate float64) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = math.Max(top, v*rate)
	}
	for _, v := range x {
		sum += math.Exp(v*rate - top)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v*rate - top - math.Log(sum)
	}
	return out
}

// head runs one head over a random chunk of logits and compares. gradient asks
// for the gradient in place, equal makes teacher and student the same.
func head(s *suite, rows, vocab int, divergence, gradient, equal bool, size float64) {
	if s.err != nil {
		return // found already
	}
	dt := s.dtype()
	draw := func() float64 { return size * s.normal() }
	logits := s.floats(dt, rows, vocab, draw)
	value := func(x *tensor, r int) []float64 {
		row := make([]float64, vocab)
		for c := range row {
			row[c] = s.ref.At(x.t, r, c)
		}
		return row
	}
	if equal {
		i := -1
		draw = func() float64 { i++; return s.ref.At(logits.t, i/vocab, i%vocab) }
	}
	teacher := s.floats(dt, rows, vocab, draw)
	loss := s.floats(backend.F32, rows, 1, junk)
	weight := s.floats(backend.F32, rows, 1, func() float64 { return choose(s, 1, -0.7, 0.25) })
	targets := make([]int32, rows)
	for i := range targets {
		targets[i] = int32(s.rng.IntN(vocab))
	}
	target, fault := s.integers(1, targets...), s.integers(1, 0)
	given := weight
	if !gradient {
		given = nil
	}
	g := HeadRows(rows)
	g.Grid[0] = 1 + s.rng.IntN(rows)
	rateS, rateT, scale := 1.0, 1.0, 1.0
	what := fmt.Sprintf("cross_entropy %v", logits.t)
	if divergence {
		rateS, rateT, scale = choose(s, 1, 0.5), choose(s, 1, 2.0), choose(s, 1, 4.0)
		if equal {
			rateT = rateS
		}
		what = fmt.Sprintf("kl_divergence %v, rates %v %v", logits.t, rateS, rateT)
		s.launch("kl_divergence", g, loss, logits, teacher, given, float32(rateS), float32(rateT), float32(scale), rows, vocab)
	} else {
		s.launch("cross_entropy", g, loss, logits, target, given, fault.at, 0, rows, vocab)
	}
	for r := range rows {
		student, other, want := logSoftmax(value(logits, r), rateS), logSoftmax(value(teacher, r), rateT), 0.0
		for c, logp := range student {
			p := math.Exp(other[c])
			if !divergence {
				if p = 0; c == int(targets[r]) {
					p, other[c] = 1, 0
				}
			}
			if p > 0 {
				want += scale * p * (other[c] - logp)
			}
			if gradient {
				s.ref.Set(logits.t, r, c, s.ref.At(weight.t, r, 0)*scale*rateS*(math.Exp(logp)-p))
			}
		}
		s.ref.Set(loss.t, r, 0, want)
	}
	s.same(what+" loss", 3e-6, 3e-6, loss)
	s.same(what+" gradient", 2e-5, 1e-6, logits)
}

// vocabularies around the sizes of vectors and blocks.
func headCheck(name string, divergence bool) check {
	return check{name, func(s *suite) {
		for i, vocab := range []int{1, 5, 130, 2049, 4099} {
			head(s, 1+s.rng.IntN(4), vocab, divergence, i != 2, i == 3, choose(s, 1, 3, 100.0))
		}
	}}
}

var (
	crossEntropy = headCheck("cross-entropy", false)
	klDivergence = headCheck("divergence", true)
	badTarget    = check{"targets outside the vocabulary", func(s *suite) {
		logits, loss := s.floats(backend.F32, 4, 9, s.normal), s.floats(backend.F32, 4, 1, s.normal)
		target, fault := s.integers(1, 3, 9, -1, 8), s.integers(1, 0)
		s.launch("cross_entropy", HeadRows(4), loss, logits, target, (*tensor)(nil), fault.at, 20, 4, 9)
		raw, err := s.h.read(fault.at, 4)
		if err != nil {
			s.fail("%v", err)
		} else if first := HeadFault(int32(binary.LittleEndian.Uint32(raw))); first != 21 {
			s.fail("the first wrong target is in row %d, want 21", first)
		}
		fault.output, loss.output = true, true
	}}
)

func TestHeads(t *testing.T) { runChecks(t, 4, crossEntropy, klDivergence, badTarget) }

func TestHeadOfLargestVocabulary(t *testing.T) {
	runChecks(t, 1, check{"152064", func(s *suite) {
		head(s, 2, 152064, false, true, false, 4)
		head(s, 2, 152064, true, true, false, 4)
	}})
}

func TestHeadMutants(t *testing.T) {
	t.Parallel()
	const cu = "heads.cu"
	runMutants(t, 4,
		mutant{"sum not rescaled", cu, cu, "p.sum * exp_fast((p.top - base) * rate);", "p.sum;", crossEntropy},
		mutant{"parts not rescaled", cu, cu, "mine.sum * exp_fast((mine.top - base) * rate)", "mine.sum", crossEntropy},
		mutant{"maximum not subtracted", cu, cu, "infinity() ? 0 : top;  // -Inf", "infinity() ? 0 : 0;  // -Inf", crossEntropy},
		mutant{"logit past the end taken for 0", cu, cu, "e < n ? v[e] : -infinity()", "v[e]", crossEntropy},
		mutant{"gradient past the end", cu, cu, "logits.put(r, c, min(4, vocab - c)", "logits.put(r, c, 4", crossEntropy},
		mutant{"target not taken off", cu, cu, "c + e == t ? g - w : g", "g", crossEntropy},
		mutant{"target outside read", cu, cu, "t >= 0 && t < vocab", "t >= 0 && t <= vocab", badTarget},
		mutant{"teacher at the student's temperature", cu, cu, "(t[e] - pt.top) * rate_t", "(t[e] - pt.top) * rate_s", klDivergence},
		mutant{"gradient without the temperature", cu, cu, "weight.at(r, 0) * scale * rate_s", "weight.at(r, 0) * scale", klDivergence},
		mutant{"loss without the scale", cu, cu, "loss.set(r, 0, scale * sum)", "loss.set(r, 0, sum)", klDivergence},
		mutant{"barrier of the block's sum left out", cu, "gpu.h", "  v = warp_sum(v);\n  sync_threads();\n", "  v = warp_sum(v);\n", klDivergence},
	)
}

func TestHeadChunk(t *testing.T) {
	if rows, stride := HeadChunk(1<<30, 151936, 2, true); rows != 1766 || stride != 151936 {
		t.Errorf("%d rows of %d", rows, stride)
	}
	if rows, stride := HeadChunk(100, 32001, 4, false); rows != 1 || stride != 32008 {
		t.Errorf("%d rows of %d", rows, stride)
	}
}
