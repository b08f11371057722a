package preflight

import (
	"context"
	"strconv"

	"vgid/model"
)

// fewestTokens is the smallest batch of answers that is advised.
const fewestTokens = 64

// Answers estimates the memory of answering prompts with at most maxNew tokens, so many
// tokens in flight as the setting eval.batch_tokens says, and refuses the work where
// there is less. All ranks call it, each with its own prompts.
func (c *Check) Answers(ctx context.Context, name string, m *Counting, prompts []model.Sequence, maxNew, batchTokens int) error {
	need := func(ctx context.Context, batchTokens int) (int64, error) {
		m.counts.Restart()
		// The device says token 0 to everything: answers end at once, in a cache
		// that has room for whole ones.
		_, err := m.Generate(ctx, prompts, model.GenerateOptions{MaxNew: maxNew, EOS: []int32{0}, MaxBatchTokens: batchTokens})
		return m.Taken(), err
	}
	most, err := need(ctx, batchTokens)
	if err != nil {
		return err
	}
	return c.Reserve(ctx, name+": answering", most, func(ctx context.Context, free int64, workers int) Advice {
		n, total := batchTokens, most*int64(workers)
		for n > fewestTokens && total > free {
			n = max(fewestTokens, n/2)
			now, err := need(ctx, n)
			if err != nil {
				return Advice{}
			}
			total = now * int64(workers)
		}
		if n == batchTokens || total > free {
			return Advice{}
		}
		return Advice{Enough: true, Settings: []Setting{{"eval.batch_tokens", strconv.Itoa(n), total}}}
	})
}
