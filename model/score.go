package model

import (
	"context"
	"fmt"
	"math"

	"vgid/model/backend"
	"vgid/model/tape"
)

// scoreTokens bounds the rows of one pass of ScoreContinuations.
const scoreTokens = 4096

// ScoreContinuations is Σ -log p(token | what stands before) over the tokens
// of continuations[i] after prompts[i], in nats.
func (v View) ScoreContinuations(ctx context.Context, prompts []Sequence, continuations [][]int32) ([]float64, error) {
	if len(prompts) != len(continuations) {
		return nil, fmt.Errorf("score: %d prompts but %d continuations", len(prompts), len(continuations))
	}
	m := v.m
	t := tape.For(m.Backend())
	defer t.Close()
	out := make([]float64, len(prompts))
	var seqs []Sequence
	for from := 0; from < len(prompts); from += len(seqs) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		seqs = seqs[:0]
		for i, tokens := from, 0; i < len(prompts); i++ {
			n := len(prompts[i].IDs) + len(continuations[i])
			if len(continuations[i]) == 0 {
				return nil, fmt.Errorf("score: continuation %d is empty", i)
			}
			if len(prompts[i].IDs) == 0 {
				return nil, fmt.Errorf("score: prompt %d is empty", i)
			}
			if len(seqs) > 0 && tokens+n > scoreTokens {
				break
			}
			s := prompts[i]
			s.IDs = append(append(make([]int32, 0, n), s.IDs...), continuations[i]...)
			seqs = append(seqs, s)
			tokens += n
		}
		if err := v.score(t, seqs, continuations[from:from+len(seqs)], out[from:]); err != nil {
			return nil, fmt.Errorf("score: from prompt %d: %w", from, err)
		}
		for i := range seqs {
			if s := out[from+i]; math.IsNaN(s) || math.IsInf(s, 0) {
				return nil, numbered(m.notFinite(ctx, from+i))
			}
		}
	}
	return out, nil
}

func (v View) score(t *tape.Tape, seqs []Sequence, continuations [][]int32, out []float64) error {
	m := v.m
	b, err := v.Pack(seqs)
	if err != nil {
		return err
	}
	defer b.Release()
	t.Reset(tape.Options{})
	var rows, targets []int32
	for i, c := range continuations {
		first := b.Start(i) + b.Len(i) - len(c) - 1
		for j, id := range c {
			rows, targets = append(rows, int32(first+j)), append(targets, id)
		}
	}
	h := v.Rows(t, v.Hidden(t, b), rows)
	loss := LossHandle{t.LinearCE(h, m.Head(), t.Ints(targets, 1), backend.Tensor{}), m.Backend()}
	nll := make([]float32, loss.Len())
	if err := loss.Download(nll); err != nil {
		return err
	}
	at := 0
	for i, c := range continuations {
		for range c {
			out[i] += float64(nll[at])
			at++
		}
	}
	return t.Err()
}
