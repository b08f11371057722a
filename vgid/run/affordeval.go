package run

import (
	"cmp"
	"context"
	"fmt"

	"vgid/eval"
	"vgid/model"
	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/vgid/origin"
	"vgid/vgid/run/ledger"
	"vgid/vgid/train"
)

// affordAnswers makes the questions of an evaluation, answers this rank's on a
// device that only counts, and refuses the stage where there is less memory than
// that takes. All ranks call it.
func (j *Job) affordAnswers(ctx context.Context, name, dir string, sets []eval.Set) (items []eval.Item, p eval.Protocol, enc *train.Encoder, err error) {
	like := dry.Like(j.Backend)
	be, counts := dry.New(like)
	twin := *j
	twin.Backend = be
	m, enc, err := twin.open(ctx, dir)
	if err != nil {
		return nil, p, nil, err
	}
	defer m.Close()
	if p, err = j.protocol(enc.Templates()); err != nil {
		return nil, p, nil, err
	}
	if err := fitsSets(enc, sets); err != nil {
		return nil, p, nil, err
	}
	if items, err = eval.BuildItems(sets, p); err != nil {
		return nil, p, nil, err
	}
	var mine []eval.Item
	for i := j.Comm.Rank(); i < len(items); i += j.Comm.Size() {
		mine = append(mine, items[i])
	}
	a := &Answerer{Model: m, Encoder: enc, Unseen: true}
	prompts := make([]model.Sequence, len(mine))
	for i := range mine {
		q, err := a.question(&mine[i])
		if err == nil {
			err = a.fitsItem(&mine[i], q, p)
		}
		if err != nil {
			return nil, p, nil, err
		}
		prompts[i] = q.Sequence
	}
	need := func(batchTokens int) (int64, error) {
		counts.Restart()
		// The device says token 0 to everything: answers end at once, in a cache
		// that has room for whole ones.
		_, err := m.Generate(ctx, prompts, model.GenerateOptions{MaxNew: p.MaxNew, EOS: []int32{0}, MaxBatchTokens: batchTokens})
		return taken(counts, like), err
	}
	most, err := need(j.Config.Eval.BatchTokens)
	if err != nil {
		return nil, p, nil, err
	}
	return items, p, enc, j.claim(ctx, name+": answering takes", most, func(free int64, workers int) string {
		n := j.Config.Eval.BatchTokens
		now := most
		for n > 64 && now*int64(workers) > free {
			n = max(64, n/2)
			if now, err = need(n); err != nil {
				return err.Error()
			}
		}
		if n == j.Config.Eval.BatchTokens || now*int64(workers) > free {
			return "take a machine with more memory, or fewer workers on this one"
		}
		return fmt.Sprintf("with --eval.batch_tokens %d it takes %v", n, backend.Bytes(now*int64(workers)))
	})
}

// taken is what a device like that gives for what was counted: the CPU's system
// gives memory when it is touched.
func taken(counts *dry.Device, like dry.Options) int64 {
	if like.OnDemand {
		return counts.Written()
	}
	return counts.Most()
}

// affordRun refuses a run whose later stages do not fit before the earlier ones
// have taken their hours; one that goes on, only for what it has yet to do. Models
// that are to be made are as large as the base, dirs are those that are given; sets
// were read from files. All ranks call it.
func (j *Job) affordRun(ctx context.Context, base string, dirs map[string]string, p *People, sets []eval.Set, files origin.List) error {
	like := cmp.Or(dirs[eval.Vanilla], base)
	vanilla, err := j.modelThere(ctx, eval.Vanilla, dirs[eval.Vanilla], base, p.files(eval.Vanilla))
	if err != nil {
		return err
	}
	last := eval.Unlearned // of the models that are asked
	t, err := j.unlearning(ctx, last, like, p)
	if err != nil {
		return err
	}
	model, err := j.modelThere(ctx, last, "", vanilla, t.reads)
	if err != nil {
		return err
	}
	if model == "" {
		if _, err := j.afford(ctx, &t); err != nil {
			return err
		}
	}
	if err := j.affordTeacher(ctx, like, vanilla, p); err != nil {
		return err
	}
	if j.Config.Model.Gold != "none" {
		last = eval.Gold
		if model, err = j.modelThere(ctx, last, dirs[last], base, p.files(last)); err != nil {
			return err
		}
	}
	if model != "" && j.Config.Resume {
		inputs, err := j.readBeside(ctx, files, model)
		if err != nil {
			return err
		}
		if f, err := j.stages.Current(ctx, ledger.Eval+last, inputs); err != nil || f.OK {
			return err
		}
	}
	_, _, _, err = j.affordAnswers(ctx, "evaluation", like, sets)
	return err
}

// affordTeacher is affordRun for the look at the teacher, a model like that of the
// folder; vanilla is where it is, if it is there.
func (j *Job) affordTeacher(ctx context.Context, like, vanilla string, p *People) error {
	method, err := train.FindMethod(j.Config.Unlearn)
	if err != nil || !method.Needs.Intervenes() {
		return err
	}
	asked, teaches, err := j.teacherInputs(ctx, vanilla, p)
	if err != nil {
		return err
	}
	looked := false
	if vanilla != "" {
		f, err := j.stages.Current(ctx, ledger.Teacher, teaches)
		if err != nil {
			return err
		}
		looked = f.OK
	}
	if looked {
		return nil
	}
	return j.teacherFits(ctx, like, asked)
}

// modelThere is the folder of a model that was given, or that a resumed run has
// made from another and from what it reads; "" of one that it has yet to make.
func (j *Job) modelThere(ctx context.Context, stage, given, from string, reads origin.List) (string, error) {
	if given != "" || from == "" || !j.Config.Resume {
		return given, nil
	}
	files, err := j.modelFiles(ctx, from)
	if err != nil {
		return "", err
	}
	f, err := j.stages.Current(ctx, stage, union(reads, files))
	if err != nil || !f.OK {
		return "", err
	}
	return f.Stage.Model, nil
}
