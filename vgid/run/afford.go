package run

import (
	"context"
	"fmt"
	"strings"

	"vgid/collective"
	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/train"
)

// afford estimates the memory of the stage's largest step by taking that step
// on a device that only counts, and refuses the stage where the workers of a
// machine need more than is free. All ranks call it; all are refused together.
func (j *Job) afford(ctx context.Context, t *training) (*train.Encoder, error) {
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
func (j *Job) estimate(ctx context.Context, t *training, enc *train.Encoder) (estimate, *train.Encoder, error) {
	like := dry.Like(j.Backend)
	be, counts := dry.New(like)
	twin := *j
	twin.Backend, twin.Comm, twin.Show = be, collective.Solo(), monitor.NewProgress(nil)
	twin.rehearsal = true
	m, err := twin.load(ctx, t.from)
	if err != nil {
		return estimate{}, nil, err
	}
	defer m.Close()
	if enc == nil {
		if enc, err = train.NewEncoder(modeldir.Open(t.from), m, j.Config.Prompt); err != nil {
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
	mine := train.Shard{Rank: j.Comm.Rank(), WorldSize: j.Comm.Size()}
	tr, err := train.NewTrainer(m, obj, train.Options{
		Stage: t.name, Comm: twin.Comm, Shard: mine, Optim: t.optim, Steps: t.steps, Seed: j.Config.Seed, Bucket: j.Config.Collective.Bucket,
	})
	if err != nil {
		return estimate{}, nil, err
	}
	defer tr.Close()
	var out estimate
	if t.steps > 0 {
		set, _ := t.memory(&twin.Config)
		var step int
		if step, out.share, err = train.Largest(obj, mine, t.steps, set.Accumulate); err != nil {
			return estimate{}, nil, err
		}
		times := 1
		if like.Overlaps {
			times = 2 // the input of one is uploaded while another is worked on
		}
		if err := tr.Rehearse(ctx, step, times); err != nil {
			return estimate{}, nil, err
		}
	}
	out.need = taken(counts, like)
	return out, enc, nil
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
func (j *Job) remedy(ctx context.Context, t *training, enc *train.Encoder, now estimate, most int64, workers int) string {
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
