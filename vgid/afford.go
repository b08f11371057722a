package vgid

import (
	"context"
	"fmt"
	"strings"

	"vgid/collective"
	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
)

// foreseen is how many samples of a stage are looked at to find the step that
// needs the most memory: those of a whole stage at the size of the benchmark,
// and some tens of milliseconds.
const foreseen = 1000

// afford estimates the memory of the stage's largest step by taking that step
// on a device that only counts, and refuses the stage where the workers of a
// machine need more than is free. All ranks call it; all are refused together.
func (j *Job) afford(ctx context.Context, t *training) (*Encoder, error) {
	step, enc, err := j.estimate(ctx, t, nil)
	if err != nil {
		return nil, err
	}
	return enc, j.claim(ctx, t.name+": a step takes", step.need, func(free int64, workers int) string {
		return j.remedy(ctx, t, enc, step, free, workers)
	})
}

// estimate is the memory that a stage's largest step takes on this rank.
type estimate struct {
	need  int64 // bytes that are allocated, on the CPU those that are touched
	share int   // samples of it
}

// estimate takes the stage's largest step on a device that only counts. Only
// headers are read of the model's files. The encoder is opened when it is nil.
func (j *Job) estimate(ctx context.Context, t *training, enc *Encoder) (estimate, *Encoder, error) {
	like := dry.Like(j.Backend)
	be, counts := dry.New(like)
	twin := *j
	twin.Backend, twin.Comm, twin.Show = be, collective.Solo(), monitor.NewProgress(nil)
	twin.Config.Unlearn.Responses = "gold" // a device that does not compute has no answers of its own
	m, err := twin.load(ctx, t.from)
	if err != nil {
		return estimate{}, nil, err
	}
	defer m.Close()
	if enc == nil {
		if enc, err = NewEncoder(t.from, m, j.Config.Prompt); err != nil {
			return estimate{}, nil, err
		}
		if err := t.fits(enc); err != nil {
			return estimate{}, nil, err
		}
	}
	obj, err := t.begin(&twin, m, enc)
	if err != nil {
		return estimate{}, nil, err
	}
	defer obj.Close()
	mine := shareOf{obj, Shard{j.Comm.Rank(), j.Comm.Size()}}
	tr, err := NewTrainer(t.name, twin.Comm, m, mine, t.optim, t.steps, j.Config.Seed, j.Config.Collective)
	if err != nil {
		return estimate{}, nil, err
	}
	defer tr.Close()
	var out estimate
	if t.steps > 0 {
		set, _ := t.memory(&twin.Config)
		if tr.step, out.share, err = largest(mine, t.steps, set.Accumulate); err != nil {
			return estimate{}, nil, err
		}
		tr.steps = tr.step + 1 // nothing is prepared beyond it
		steps := 1
		if like.CUDA {
			steps = 2 // the input of one is uploaded while another is worked on
		}
		for range steps {
			tr.step = tr.steps - 1
			if _, err := tr.Step(ctx); err != nil {
				return estimate{}, nil, err
			}
		}
	}
	out.need = taken(counts, like)
	return out, enc, nil
}

// shareOf is an objective on a rank's share of its batches.
type shareOf struct {
	Objective
	shard Shard
}

func (o shareOf) Draw(step int, _ Shard) [][]Sample { return o.Objective.Draw(step, o.shard) }

// largest finds the step with the longest micro-batch among the first ones, and
// how many samples the longest of its batches has.
func largest(o Objective, steps, accumulate int) (step, share int, err error) {
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

// memory are the settings of the stage's section that lower its memory, and those
// of what it trains.
func (t *training) memory(c *config.Config) (*config.Memory, *config.Trained) {
	if t.section == "train" {
		return &c.Train.Memory, &c.Train.Trained
	}
	return &c.Unlearn.Memory, &c.Unlearn.Trained
}

// remedy tries the settings that lower the memory of a stage, each beside those
// before it, until workers that need as much as this one fit into most bytes, and
// says which.
func (j *Job) remedy(ctx context.Context, t *training, enc *Encoder, now estimate, most int64, workers int) string {
	twin := *j
	set, trained := t.memory(&twin.Config)
	var flags []string
	total := func() backend.Bytes { return backend.Bytes(now.need * int64(workers)) }
	// try keeps a setting that lowers the need, in the place of the flags from
	// number at on.
	try := func(at int, flag string) bool {
		next, _, err := twin.estimate(ctx, t, enc)
		if err != nil || next.need >= now.need {
			return false
		}
		now, flags = next, append(flags[:at], flag)
		return true
	}
	enough := func() bool { return int64(total()) <= most }
	if !set.Recompute {
		set.Recompute = true
		set.Recompute = try(0, "--"+t.section+".recompute")
	}
	at := len(flags)
	for n := 2; n <= now.share && !enough(); n = min(2*n, max(n+1, now.share)) {
		if before := set.Accumulate; before < n {
			if set.Accumulate = n; !try(at, fmt.Sprintf("--%s.accumulate %d", t.section, n)) {
				set.Accumulate = before
			}
		}
	}
	if w := &twin.Config.Model.Weights; *w != "bfloat16" && !enough() {
		before := *w
		if *w = "bfloat16"; !try(len(flags), "--model.weights "+*w) {
			*w = before
		}
	}
	with := "with " + strings.Join(flags, " ")
	switch {
	case len(flags) > 0 && enough():
		return fmt.Sprintf("%s it takes %v", with, total())
	case len(flags) > 0:
		with = fmt.Sprintf("even %s it takes %v; ", with, total())
	default:
		with = ""
	}
	if trained.LoRA.R == 0 {
		return with + fmt.Sprintf("train an adapter instead of all weights (--%s.lora.r 16)", t.section)
	}
	return with + "take a machine with more memory, or fewer workers on this one"
}
