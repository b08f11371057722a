package preflight

import (
	"context"
	"strconv"

	"vgid/collective"
	"vgid/model"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
	"vgid/vgid/train"
)

// Training is a stage that trains, as far as its memory depends on it.
type Training struct {
	Name    string
	From    *modeldir.Dir // the model that it starts from
	Section string        // of the configuration: train or unlearn
	Steps   int
	Optim   config.Optim
	// Fits checks that the model can read what it will be trained on.
	Fits func(enc *train.Encoder) error
	// Begin sets what of a model is trained and makes the objective.
	Begin func(s Setup) (train.Objective, error)
}

// Setup is what a stage begins with.
type Setup struct {
	Config    *config.Config
	Model     *model.Model
	Encoder   *train.Encoder
	Rehearsal bool                             // the device only counts
	Say       func(format string, args ...any) // tells the user what is trained
}

// settings are those of the stage's section that lower its memory, and those of what
// it trains.
func (t *Training) settings(c *config.Config) (*config.Memory, *config.Trained) {
	if t.Section == "train" {
		return &c.Train.Memory, &c.Train.Trained
	}
	return &c.Unlearn.Memory, &c.Unlearn.Trained
}

// Training estimates the memory of a stage's largest step by taking that step on a
// device that only counts, and refuses the stage where the workers of a machine need
// more than is free. It gives the encoder of the stage's samples. All ranks call it; all
// are refused together.
func (c *Check) Training(ctx context.Context, conf config.Config, t *Training) (*train.Encoder, error) {
	e := estimator{check: c, conf: conf, stage: t}
	var now estimate
	// A step of very many samples takes long to count: whoever is asked to end meanwhile, all
	// do.
	err := c.Ranks.Each(ctx, func(ctx context.Context) (err error) {
		now, err = e.estimate(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e.enc, c.Reserve(ctx, t.Name+": a step", now.need, func(ctx context.Context, free int64, workers int) Advice {
		return e.advise(ctx, now, free, workers)
	})
}

// estimate is the memory that a stage's largest step takes on this rank.
type estimate struct {
	need  int64 // bytes that are allocated, on the CPU those that are touched
	share int   // samples of it
}

// estimator takes a stage's largest step under a configuration, which may be changed
// between estimates.
type estimator struct {
	check *Check
	conf  config.Config
	stage *Training
	enc   *train.Encoder // of the first estimate: it is the same for all
}

func (e *estimator) estimate(ctx context.Context) (out estimate, err error) {
	t, ranks := e.stage, e.check.Ranks
	m, err := Count(ctx, e.check.Backend, t.From, model.LoadOptions{Weights: e.conf.Model.Weights})
	if err != nil {
		return out, err
	}
	defer m.Close()
	if e.enc == nil {
		enc, err := train.NewEncoder(t.From, m.Model, e.conf.Prompt)
		if err != nil {
			return out, err
		}
		if err := t.Fits(enc); err != nil {
			return out, err
		}
		e.enc = enc
	}
	obj, err := t.Begin(Setup{Config: &e.conf, Model: m.Model, Encoder: e.enc, Rehearsal: true, Say: func(string, ...any) {}})
	if err != nil {
		return out, err
	}
	defer obj.Close()
	// A rank takes its share of the samples, but nobody to reduce gradients with: the
	// others may be at another setting.
	mine := train.Shard{Rank: ranks.Rank(), WorldSize: ranks.Size()}
	tr, err := train.NewTrainer(ctx, m.Model, obj, train.Options{
		Stage: t.Name, Comm: collective.Solo(), Shard: mine, Optim: t.Optim, Steps: t.Steps, Seed: e.conf.Seed, Bucket: e.conf.Collective.Bucket, Sharded: e.conf.Collective.Zero > 0,
	})
	if err != nil {
		return out, err
	}
	defer tr.Close()
	if t.Steps > 0 {
		set, _ := t.settings(&e.conf)
		var step int
		if step, out.share, err = train.Largest(ctx, obj, mine, t.Steps, set.Accumulate); err != nil {
			return out, err
		}
		times := 1
		if m.like.Overlaps {
			times = 2 // the input of one is uploaded while another is worked on
		}
		if err := tr.Rehearse(ctx, step, times); err != nil {
			return out, err
		}
	}
	out.need = m.Taken()
	return out, nil
}

// advise tries the settings that lower the memory of a stage, each beside those
// before it, until workers that need as much as this one fit into most bytes. Those
// that cost nothing but time come first: the optimizer's work sharded over the workers,
// recomputing activations, then smaller micro-batches; bfloat16 weights change what is
// computed.
func (e *estimator) advise(ctx context.Context, now estimate, most int64, workers int) Advice {
	var a Advice
	set, trained := e.stage.settings(&e.conf)
	enough := func() bool { return now.need*int64(workers) <= most }
	// try keeps a setting that lowers the need, in the place of the advice from
	// number at on.
	try := func(at int, path, value string) bool {
		next, err := e.estimate(ctx)
		if err != nil || next.need >= now.need {
			return false
		}
		now, a.Settings = next, append(a.Settings[:at], Setting{path, value, next.need * int64(workers)})
		return true
	}
	// The moments of an adapter are few.
	if z := &e.conf.Collective.Zero; *z == 0 && trained.LoRA.R == 0 && e.check.Ranks.Size() > 1 {
		if *z = 1; !try(0, "collective.zero", "1") {
			*z = 0
		}
	}
	if !set.Recompute && !enough() {
		set.Recompute = true
		set.Recompute = try(len(a.Settings), e.stage.Section+".recompute", "")
	}
	at := len(a.Settings) // of two sizes of micro-batches the smaller is advised alone
	for n := 2; n <= now.share && !enough(); n = min(2*n, max(n+1, now.share)) {
		if before := set.Accumulate; before < n {
			if set.Accumulate = n; !try(at, e.stage.Section+".accumulate", strconv.Itoa(n)) {
				set.Accumulate = before
			}
		}
	}
	if w := &e.conf.Model.Weights; *w != "bfloat16" && !enough() {
		before := *w
		if *w = "bfloat16"; !try(len(a.Settings), "model.weights", *w) {
			*w = before
		}
	}
	if a.Enough = len(a.Settings) > 0 && enough(); !a.Enough && trained.LoRA.R == 0 {
		a.Adapter = &Setting{Path: e.stage.Section + ".lora.r", Value: "16"}
	}
	return a
}
