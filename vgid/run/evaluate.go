package run

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"time"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/metric"
	"vgid/eval/report"
	"vgid/vgid/config"
	"vgid/vgid/origin"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
	"vgid/vgid/train/noise"
)

// protocol is the configured evaluation protocol in the turns of a prompt.
func (j *Job) protocol(prompt config.Prompt) (eval.Protocol, error) {
	c := j.Config.Eval
	chat := eval.Chat{Image: prompt.Template, Text: prompt.Text}
	if c.Prompts == "mllmu" && prompt == config.Default().Prompt {
		chat = eval.LLaVAChat
	}
	p, err := eval.NewProtocol(c.Prompts, chat, j.Config.Seed)
	if err != nil {
		return p, err
	}
	p.ShotsClassification, p.ShotsCloze, p.MaxNew = c.ShotsClass, c.ShotsCloze, c.MaxNew
	p.Score, p.Likelihood = eval.ClassificationScore(c.Classification), c.Likelihood
	for _, key := range c.Modalities {
		m, err := eval.ParseModality(key)
		if err != nil {
			return p, err
		}
		p.Modalities = append(p.Modalities, m)
	}
	return p, p.Validate()
}

func (j *Job) shard() eval.Share {
	return eval.Share{Rank: j.Comm.Rank(), World: j.Comm.Size(), Gather: j.ranks.Barrier}
}

// Evaluate asks the model of a folder the configured questions. The answers go
// to name/answers.jsonl.
func (j *Job) Evaluate(ctx context.Context, name, dir string, p *People) (*eval.Outcome, rundir.Stage, error) {
	begin := time.Now()
	stage := rundir.Stage{Name: ledger.Eval + name}
	path := j.dir.Path(name, "answers.jsonl")
	sets, files, err := j.evalSets(ctx, p, j.Config.Eval.Sets, j.Config.Data.EvalPeople)
	if err != nil {
		return nil, stage, err
	}
	if stage.Inputs, err = j.readBeside(ctx, files, dir); err != nil {
		return nil, stage, err
	}
	s, ok, err := j.stages.Begin(ctx, stage.Name, stage.Inputs)
	if err != nil {
		return nil, stage, err
	}
	if ok {
		answers, err := barrier.FromRank0(ctx, j.ranks, func(context.Context) ([]eval.Answer, error) { return eval.ReadAnswers(path) })
		if err != nil {
			return nil, stage, err
		}
		o := &eval.Outcome{Answers: answers}
		o.Scores, o.Counts, err = eval.Tally(answers)
		return o, s, err
	}
	if err := j.lookAtSets(ctx, sets); err != nil {
		return nil, stage, err
	}
	items, proto, enc, err := j.affordAnswers(ctx, name, dir, sets)
	if err != nil {
		return nil, stage, err
	}
	for _, n := range eval.Notices(items) {
		j.Show.Printf("note: %s", n)
	}
	m, err := j.loadAll(ctx, dir)
	if err != nil {
		return nil, stage, err
	}
	defer m.Close()
	mine := 0
	for i := j.Comm.Rank(); i < len(items); i += j.Comm.Size() {
		if mine++; proto.Likelihood && items[i].Task == dataset.Classification {
			mine++ // its options are scored
		}
	}
	j.Metrics.Ask(stage.Name, mine)
	answerer := &Answerer{Model: m, Encoder: enc, BatchTokens: j.Config.Eval.BatchTokens, Asked: func(n int) { j.Metrics.Asked(stage.Name, n) }}
	out, err := eval.RunItems(ctx, items, proto, answerer, j.shard())
	if err != nil {
		return nil, stage, err
	}
	if err := j.unchanged(ctx, files, dir, stage.Inputs); err != nil {
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
	return out, stage, j.finish(ctx, &stage, path)
}

// evalSets reads the people who are asked about, and fingerprints what they are
// read from. All ranks call it.
func (j *Job) evalSets(ctx context.Context, p *People, names []string, people int) (sets []eval.Set, files origin.List, err error) {
	files, err = j.reading(ctx, p.Benchmark, func(b *dataset.Benchmark) (err error) {
		sets, err = eval.ReadSets(b, eval.People{Sets: names, Forget: j.Config.Data.Forget, Retain: p.RetainSplit, Most: people})
		return err
	})
	return sets, files, err
}

// samples picks questions to show in full: the first generation questions of
// each set, asked with an image, one a person. shown is what the teacher sees of it;
// nil: nothing else than the student.
func (j *Job) samples(outcomes map[string]*eval.Outcome, p *People, enc *train.Encoder, shown *noise.Noise, each int) ([]report.Sample, error) {
	images := map[string]*dataset.Image{}
	sets, err := eval.ReadSets(p.Benchmark, eval.People{Sets: j.Config.Eval.Sets, Forget: j.Config.Data.Forget, Retain: p.RetainSplit, Most: j.Config.Data.EvalPeople})
	if err != nil {
		return nil, err
	}
	for _, s := range sets {
		for i := range s.Profiles {
			images[s.Name+"/"+s.Profiles[i].ID] = &s.Profiles[i].Images[0]
		}
	}
	var out []report.Sample
	taken := map[string]int{}
	seen := map[string]bool{}
	for i, a := range outcomes[eval.Vanilla].Answers {
		key := a.Set + "/" + a.Person
		if a.Task != dataset.Generation || a.Modality != dataset.ImageText || taken[a.Set] == each || seen[key] {
			continue
		}
		seen[key] = true
		taken[a.Set]++
		s := report.Sample{Set: a.Set, Person: a.Person, Question: a.Question, Reference: a.Reference}
		if img := images[key]; img != nil {
			s.Portrait = img.Bytes
			if a.Set == eval.Forget && shown != nil {
				if s.Noised, err = noisedPNG(enc, shown, img, uint32(i)); err != nil {
					return nil, err
				}
			}
		}
		for _, name := range []string{eval.Vanilla, eval.Unlearned, eval.Gold} {
			if o := outcomes[name]; o != nil {
				s.Said = append(s.Said, report.Said{Model: name, Text: o.Answers[i].Response, ROUGEL: o.Answers[i].Metrics[metric.ROUGEL]})
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func noisedPNG(enc *train.Encoder, n *noise.Noise, img *dataset.Image, sample uint32) ([]byte, error) {
	own, err := enc.Image(train.Picture{File: img})
	if err != nil {
		return nil, err
	}
	rgba, err := enc.Processor().Denormalize(n.Apply(own, 0, sample))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, rgba); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
