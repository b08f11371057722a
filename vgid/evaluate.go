package vgid

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"strings"
	"time"

	"vgid/eval"
	"vgid/model/hf/imaging"
	"vgid/vgid/ask"
	"vgid/vgid/config"
	"vgid/vgid/data"
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

func (j *Job) shard() eval.Shard {
	return eval.Shard{Rank: j.Comm.Rank(), World: j.Comm.Size(), Gather: j.meet}
}

// Evaluate asks the model of a folder the configured questions. The answers go
// to name/answers.jsonl.
func (j *Job) Evaluate(ctx context.Context, name, dir string, p *People) (*eval.Outcome, Stage, error) {
	begin := time.Now()
	stage := Stage{Name: evalStage + name}
	path := j.path(name, "answers.jsonl")
	s, ok, err := j.finished(ctx, stage.Name)
	if err != nil {
		return nil, stage, err
	}
	if ok {
		answers, err := eval.ReadAnswers(path)
		if err == nil {
			o := &eval.Outcome{Answers: answers}
			o.Scores, o.Counts, err = eval.Tally(answers)
			return o, s, err
		}
	}
	sets, err := evalSets(p.Benchmark, j.Config.Eval.Sets, j.Config.Data.Forget, p.RetainSplit, j.Config.Data.EvalPeople)
	if err != nil {
		return nil, stage, err
	}
	if err := j.lookAtSets(ctx, sets); err != nil {
		return nil, stage, err
	}
	items, proto, enc, err := j.affordAnswers(ctx, name, dir, sets)
	if err != nil {
		return nil, stage, err
	}
	m, err := j.loadAll(ctx, dir)
	if err != nil {
		return nil, stage, err
	}
	defer m.Close()
	out, err := eval.RunItems(ctx, items, proto, &Answerer{Model: m, Encoder: enc, BatchTokens: j.Config.Eval.BatchTokens}, j.shard())
	if err != nil {
		return nil, stage, err
	}
	err = j.onLead(ctx, func() error {
		if err := os.MkdirAll(j.path(name), 0o755); err != nil {
			return err
		}
		return eval.WriteAnswers(path, out.Answers)
	})
	if err != nil {
		return nil, stage, err
	}
	stage.Seconds = time.Since(begin).Seconds()
	j.Show.Printf("%-10s evaluated on %d questions in %.1fs", name, len(out.Answers), stage.Seconds)
	return out, stage, j.finish(ctx, &stage)
}

// intervention is one way to disturb the teacher.
type intervention struct {
	name               string
	noise, instruction bool
}

var interventions = []intervention{
	{"noise + instruction", true, true},
	{"noise", true, false},
	{"instruction", false, true},
	{"none", false, false},
}

// TeacherTable looks at the teacher before unlearning: what the vanilla model
// answers to forget questions under each half of the intervention.
func (j *Job) TeacherTable(ctx context.Context, dir string, p *People) ([]eval.TeacherRow, error) {
	var rows []eval.TeacherRow
	path := j.path("teacher.json")
	stage := Stage{Name: teacherStage}
	_, ok, err := j.finished(ctx, stage.Name)
	if err != nil {
		return nil, err
	}
	if ok {
		if raw, err := os.ReadFile(path); err == nil && json.Unmarshal(raw, &rows) == nil {
			return rows, nil
		}
	}
	sets, err := evalSets(p.Benchmark, []string{eval.Forget}, j.Config.Data.Forget, p.RetainSplit, 0)
	if err != nil {
		return nil, err
	}
	m, err := j.loadAll(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	enc, err := NewEncoder(dir, m, j.Config.Prompt)
	if err != nil {
		return nil, err
	}
	proto, err := j.protocol(enc.prompt)
	if err != nil {
		return nil, err
	}
	proto.Modalities, proto.Likelihood = []data.Modality{data.ImageText}, false
	u := j.Config.Unlearn
	noise, err := NewNoiser(u.Noise, j.Config.Seed, m.Config.Vision)
	if err != nil {
		return nil, err
	}
	instructions, err := j.instructions()
	if err != nil {
		return nil, err
	}
	for _, iv := range interventions {
		a := &Answerer{Model: m, Encoder: enc, BatchTokens: j.Config.Eval.BatchTokens}
		a.Disturb = func(it *eval.Item, prompt string, images []imaging.Image) (string, error) {
			if iv.noise && it.Own >= 0 {
				images[it.Own] = noise.Apply(images[it.Own], 0, uint32(it.Index))
			}
			if iv.instruction {
				// The instruction goes before the question, as in training.
				u := strings.ReplaceAll(instructions[0], "{subject}", j.Config.Prompt.Subject)
				at := strings.LastIndex(prompt, it.Asked)
				if at < 0 {
					return "", fmt.Errorf("question %q is not part of its prompt", ask.Clip(it.Asked))
				}
				line := strings.LastIndex(prompt[:at], "\n") + 1
				if i := strings.LastIndex(prompt[line:at], eval.ImageMark); i >= 0 { // and behind the image
					line += i + len(eval.ImageMark)
				}
				at = line
				prompt = prompt[:at] + u + " " + prompt[at:]
			}
			return prompt, nil
		}
		out, err := eval.Run(ctx, sets, proto, a, j.shard())
		if err != nil {
			return nil, err
		}
		s := out.Scores[eval.Forget][eval.ModalityKey(data.ImageText)]
		rows = append(rows, eval.TeacherRow{
			Name: iv.name, ROUGEL: s[eval.ROUGEL], Classification: s[eval.Classification], Cloze: s[eval.Cloze],
			Example: out.Answers[0].Response,
		})
	}
	err = j.onLead(ctx, func() error {
		raw, err := json.MarshalIndent(rows, "", "  ")
		if err != nil {
			return err
		}
		return writeFile(path, append(raw, '\n'))
	})
	if err != nil {
		return nil, err
	}
	return rows, j.finish(ctx, &stage)
}

// samples picks questions to show in full: the first generation questions of
// each set, asked with an image, one a person.
func (j *Job) samples(outcomes map[string]*eval.Outcome, p *People, enc *Encoder, noise *Noiser, each int) ([]eval.Sample, error) {
	images := map[string]*data.Image{}
	sets, err := evalSets(p.Benchmark, j.Config.Eval.Sets, j.Config.Data.Forget, p.RetainSplit, j.Config.Data.EvalPeople)
	if err != nil {
		return nil, err
	}
	for _, s := range sets {
		for i := range s.Profiles {
			images[s.Name+"/"+s.Profiles[i].ID] = &s.Profiles[i].Images[0]
		}
	}
	var out []eval.Sample
	taken := map[string]int{}
	seen := map[string]bool{}
	for i, a := range outcomes[eval.Vanilla].Answers {
		key := a.Set + "/" + a.Person
		if a.Task != data.Generation || a.Modality != data.ImageText || taken[a.Set] == each || seen[key] {
			continue
		}
		seen[key] = true
		taken[a.Set]++
		s := eval.Sample{Set: a.Set, Person: a.Person, Question: a.Question, Reference: a.Reference}
		if img := images[key]; img != nil {
			s.Portrait = img.Bytes
			if a.Set == eval.Forget {
				if s.Noised, err = noisedPNG(enc, noise, img, uint32(i)); err != nil {
					return nil, err
				}
			}
		}
		for _, name := range []string{eval.Vanilla, eval.Unlearned, eval.Gold} {
			if o := outcomes[name]; o != nil {
				s.Said = append(s.Said, eval.Said{Model: name, Text: o.Answers[i].Response, ROUGEL: o.Answers[i].Metrics[eval.ROUGEL]})
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func noisedPNG(enc *Encoder, noise *Noiser, img *data.Image, sample uint32) ([]byte, error) {
	own, err := enc.Image(Picture{File: img})
	if err != nil {
		return nil, err
	}
	rgba, err := enc.Processor().Denormalize(noise.Apply(own, 0, sample))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, rgba); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
