package run

import (
	"context"
	"os"
	"time"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/vgid/run/answer"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
)

// Evaluate asks the model of a folder the configured questions. The answers go
// to name/answers.jsonl. All ranks call it.
//
// What is checked comes in the order of what it costs: a kept record, the pictures, the
// memory of an answer, and only then the model's weights are loaded.
func (j *Job) Evaluate(ctx context.Context, name, dir string, p *inputs.People) (*eval.Outcome, rundir.Stage, error) {
	begin := time.Now()
	stage := rundir.Stage{Name: ledger.Eval + name}
	path := j.dir.Path(name, "answers.jsonl")
	sets, files, err := j.inputs.Sets(ctx, p, j.Config.Eval.Sets, j.Config.Data.EvalPeople)
	if err != nil {
		return nil, stage, err
	}
	if stage.Inputs, err = j.inputs.Beside(ctx, files, dir); err != nil {
		return nil, stage, err
	}
	s, ok, err := j.stages.Begin(ctx, stage.Name, stage.Inputs)
	if err != nil {
		return nil, stage, err
	}
	if ok {
		o, err := keptAnswers(ctx, j.ranks, path)
		return o, s, err
	}
	if err := j.inputs.VerifySets(ctx, sets); err != nil {
		return nil, stage, err
	}
	x, err := newExam(ctx, j, name, dir, sets)
	if err != nil {
		return nil, stage, err
	}
	for _, n := range eval.Notices(x.items) {
		j.Show.Printf("note: %s", n)
	}
	out, err := x.take(ctx, j, stage.Name, dir)
	if err != nil {
		return nil, stage, err
	}
	// Answers take their time: were the folder another by now, the record would name
	// files that did not give them.
	if err := j.inputs.Unchanged(ctx, files, dir, stage.Inputs); err != nil {
		return nil, stage, err
	}
	err = j.ranks.OnRank0(ctx, func() error {
		if err := os.MkdirAll(j.dir.Path(name), 0o755); err != nil {
			return err
		}
		return eval.WriteAnswers(path, out.Answers)
	})
	if err != nil {
		return nil, stage, err
	}
	stage.Seconds = time.Since(begin).Seconds()
	j.Show.Printf("%-10s evaluated on %d questions in %.1fs", name, len(out.Answers), stage.Seconds)
	return out, stage, j.stages.Finish(ctx, &stage, path)
}

// keptAnswers are those of an evaluation that had ended before, which rank 0 has.
// The means are taken again, so that a kept evaluation and a new one are counted alike.
func keptAnswers(ctx context.Context, ranks *barrier.Group, path string) (*eval.Outcome, error) {
	answers, err := barrier.FromRank0(ctx, ranks, func(context.Context) ([]eval.Answer, error) { return eval.ReadAnswers(path) })
	if err != nil {
		return nil, err
	}
	o := &eval.Outcome{Answers: answers}
	o.Scores, o.Counts, err = eval.Tally(answers)
	return o, err
}

// exam are the questions of an evaluation as a model reads them.
// The items are equal on every rank, which is why a share can be taken by index.
type exam struct {
	items    []eval.Item
	protocol eval.Protocol
	encoder  *train.Encoder
}

// newExam makes the questions for the model of a folder, checks that it can read
// them, and refuses them where there is less memory than the answers take. name is the
// evaluation's in that error. All ranks call it.
// It loads no weights: headers and tokenizer say all that it asks.
func newExam(ctx context.Context, j *Job, name, dir string, sets []eval.Set) (*exam, error) {
	m, enc, err := count(ctx, j, dir)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	for _, n := range enc.Notices() {
		j.Show.Printf("note: %s", n)
	}
	x := &exam{encoder: enc}
	if x.protocol, err = answer.Protocol(j.Config.Eval, enc.Templates(), j.Config.Seed); err != nil {
		return nil, err
	}
	if x.items, err = answer.Items(enc, sets, x.protocol); err != nil {
		return nil, err
	}
	// All ranks check their own share alone: together they check everything.
	a := &answer.Answerer{Model: m.Model, Encoder: enc, Unseen: true}
	prompts, err := a.Prompts(x.share(j.ranks), x.protocol)
	if err != nil {
		return nil, err
	}
	return x, j.check.Answers(ctx, name, m, prompts, x.protocol.MaxNew, j.Config.Eval.BatchTokens)
}

// share are the items that fall to this rank.
// Every N-th, as eval.RunItems shares them: prompts that are checked here are the ones
// that this rank will ask.
func (x *exam) share(ranks *barrier.Group) (mine []eval.Item) {
	for i := ranks.Rank(); i < len(x.items); i += ranks.Size() {
		mine = append(mine, x.items[i])
	}
	return mine
}

// take asks the model of a folder. All ranks call it, each asks its share.
func (x *exam) take(ctx context.Context, j *Job, stage, dir string) (*eval.Outcome, error) {
	m, err := load(ctx, j, dir)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	mine := 0
	for _, it := range x.share(j.ranks) {
		if mine++; x.protocol.Likelihood && it.Task == dataset.Classification {
			mine++ // its options are scored
		}
	}
	j.Metrics.Ask(stage, mine)
	a := &answer.Answerer{Model: m, Encoder: x.encoder, BatchTokens: j.Config.Eval.BatchTokens, Asked: func(n int) { j.Metrics.Asked(stage, n) }}
	return eval.RunItems(ctx, x.items, x.protocol, a, shareOf(j.ranks))
}

// shareOf is a rank's part of an evaluation.
// Answers meet in a barrier and not in a collective operation, since one rank may need
// hours longer than another, which no deadline fits.
func shareOf(ranks *barrier.Group) eval.Share {
	return eval.Share{Rank: ranks.Rank(), World: ranks.Size(), Gather: ranks.Barrier}
}
