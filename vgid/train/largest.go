package train

import "context"

// foreseen is how many samples of a stage are looked at to find the step that
// needs the most memory: those of a whole stage at the size of the benchmark,
// and some tens of milliseconds.
const foreseen = 1000

// Largest finds the step in which a worker has the longest micro-batch, among the
// first ones, and how many samples the longest of its batches has.
func Largest(ctx context.Context, o Objective, s Shard, steps, accumulate int) (step, share int, err error) {
	most, seen := -1, 0
	for i := 0; i < steps && seen < foreseen; i++ {
		for _, batch := range o.Draw(i, s) {
			seen += len(batch)
			lengths := make([]int, len(batch))
			for k, sample := range batch {
				if err := ctx.Err(); err != nil {
					return 0, 0, err
				}
				if lengths[k], err = o.Length(i, sample); err != nil {
					return 0, 0, err
				}
			}
			n := parts(len(batch), accumulate)
			for p := range n {
				tokens := 0
				from, to := part(len(batch), p, n)
				for _, l := range lengths[from:to] {
					tokens += l
				}
				if tokens > most {
					most, step, share = tokens, i, len(batch)
				}
			}
		}
		seen++ // a rank without samples ends, too
	}
	return step, share, nil
}
