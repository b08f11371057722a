package train

// foreseen is how many samples of a stage are looked at to find the step that
// needs the most memory: those of a whole stage at the size of the benchmark,
// and some tens of milliseconds.
const foreseen = 1000

// shareOf is an objective on a rank's share of its batches.
type shareOf struct {
	Objective
	shard Shard
}

// ShareOf makes an objective draw the batches of a shard, whoever asks.
func ShareOf(o Objective, s Shard) Objective { return shareOf{o, s} }

func (o shareOf) Draw(step int, _ Shard) [][]Sample { return o.Objective.Draw(step, o.shard) }

// Largest finds the step with the longest micro-batch among the first ones, and
// how many samples the longest of its batches has.
func Largest(o Objective, steps, accumulate int) (step, share int, err error) {
	most, seen := -1, 0
	for i := 0; i < steps && seen < foreseen; i++ {
		for _, batch := range o.Draw(i, Shard{}) {
			seen += len(batch)
			lengths := make([]int, len(batch))
			for k, s := range batch {
				if lengths[k], err = o.Length(i, s); err != nil {
					return 0, 0, err
				}
			}
			for p, parts := 0, micro(len(batch), accumulate); p < parts; p++ {
				n := 0
				from, to := part(len(batch), p, parts)
				for _, l := range lengths[from:to] {
					n += l
				}
				if n > most {
					most, step, share = n, i, len(batch)
				}
			}
		}
		seen++ // a rank without samples ends, too
	}
	return step, share, nil
}
