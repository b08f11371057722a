package train

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"vgid/collective"
	"vgid/eval/formats"
	"vgid/model"
	"vgid/model/backend"
	"vgid/model/hf/imaging"
	"vgid/model/tape"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/people"
	"vgid/vgid/train/noise"
	"vgid/vgid/vgidtest"
)

// paper computes the objective from its formula, sample by sample, from logits in
// float64, and shares with Distill only the tokenizer, the noise and the model.
type paper struct {
	t           *testing.T
	c           config.Config
	enc         *Encoder
	model       *model.Model
	base        *model.Model // whose teacher; the model itself when it has an adapter
	instruction string
}

// read gives the tokens of a conversation and how many of them are the response.
func (p *paper) read(question, answer string, images []imaging.Image) (ids []int32, response int) {
	template := p.c.Prompt.Text
	if len(images) > 0 {
		template = p.c.Prompt.Template
	}
	ids, err := p.enc.Tokens(strings.ReplaceAll(template, "{prompt}", question), images)
	if err != nil {
		p.t.Fatal(err)
	}
	said := append(p.enc.Tokenizer().Encode(" "+answer, false), p.enc.end)
	return append(ids, said...), len(said)
}

// logits are those of all positions, [tokens][vocabulary].
func (p *paper) logits(m model.View, ids []int32, images []imaging.Image) [][]float64 {
	b, err := m.Pack([]model.Sequence{{IDs: ids, Images: images}})
	if err != nil {
		p.t.Fatal(err)
	}
	defer b.Release()
	t := tape.For(m.Model().Backend())
	defer t.Close()
	t.Reset(tape.Options{})
	x := m.Logits(t, t.Value(m.Hidden(t, b)))
	flat := make([]float32, x.Len())
	if err := m.Model().Backend().Download(flat, x); err != nil {
		p.t.Fatal(err)
	}
	out := make([][]float64, len(ids))
	for i := range out {
		for _, v := range flat[i*x.Cols : (i+1)*x.Cols] {
			out[i] = append(out[i], float64(v))
		}
	}
	return out
}

// logSoftmax is of the logits divided by a temperature.
func logSoftmax(logits []float64, temperature float64) []float64 {
	most := slices.Max(logits)
	var sum float64
	for _, v := range logits {
		sum += math.Exp((v - most) / temperature)
	}
	out := make([]float64, len(logits))
	for i, v := range logits {
		out[i] = (v-most)/temperature - math.Log(sum)
	}
	return out
}

// terms are the two expectations of the loss over a batch.
func (p *paper) terms(step int, batch []Sample) (forget, retain float64) {
	u := p.c.Unlearn
	var sum, weight [2]float64
	for _, s := range batch {
		var seen, shown []imaging.Image
		if !s.Picture.None() {
			img, err := p.enc.Image(s.Picture)
			if err != nil {
				p.t.Fatal(err)
			}
			seen, shown = []imaging.Image{img}, []imaging.Image{img}
		}
		asked := s.Question
		if s.Term == forgetTerm {
			if u.Instruction.Use == "always" {
				asked = strings.ReplaceAll(p.instruction, "{subject}", s.Subject) + " " + asked
			}
			if seen != nil && u.Noise.Kind != "none" {
				n, err := noise.New(u.Noise, p.c.Seed, p.enc.Processor().Layout(), p.model.Config.Vision.PatchSize)
				if err != nil {
					p.t.Fatal(err)
				}
				shown[0] = n.Apply(seen[0], uint32(step), s.noiseKey(u.Noise))
			}
		}
		ids, response := p.read(s.Question, s.Answer, seen)
		told, _ := p.read(asked, s.Answer, shown)
		teacher := p.logits(p.base.Base(), told, shown)
		student := p.logits(p.model.View, ids, seen)
		w := 1.0
		if u.Balance {
			w = min(3, max(0.5, 6/float64(response)))
		}
		// The position before a token predicts it, so the last has no part. What the
		// two have in common stands before and behind the instruction.
		n, m := len(ids)-1, len(told)-1
		front, back := 0, 0
		for front < min(n, m) && ids[front] == told[front] {
			front++
		}
		for back < min(n, m) && ids[n-1-back] == told[m-1-back] {
			back++
		}
		for i := range n {
			at := i + m - n
			switch {
			case u.Mask == "answer" && i < n-response,
				u.Mask == "text" && (i < n-back || slices.Contains(ids[i:n], p.enc.ImageID())),
				i < n-back && i >= front:
				continue
			case i < n-back:
				at = i
			}
			q := logSoftmax(student[i], u.Temperature)
			var kl float64
			for v, lp := range logSoftmax(teacher[at], u.Temperature) {
				kl += math.Exp(lp) * (lp - q[v])
			}
			sum[s.Term] += w * kl * u.Temperature * u.Temperature
			weight[s.Term] += w
		}
	}
	return sum[forgetTerm] / max(weight[forgetTerm], 1e-300), sum[retainTerm] / max(weight[retainTerm], 1e-300)
}

// The loss of a step, and its derivative along the gradient, are those of the
// published formula: teacher and student, their order in the divergence, weights,
// temperature, positions.
func TestLossIsThePapers(t *testing.T) {
	for _, c := range []struct {
		name string
		over map[string]string
	}{
		{"as published", nil},
		{"weights and temperature", map[string]string{"unlearn.alpha": "0.4", "unlearn.beta": "3", "unlearn.temperature": "2"}},
		{"question and answer", map[string]string{"unlearn.mask": "text"}},
		{"all positions", map[string]string{"unlearn.mask": "all"}},
		{"balanced, in micro-batches", map[string]string{"unlearn.balance": "true", "unlearn.accumulate": "3"}},
		{"instruction alone", map[string]string{"unlearn.noise.kind": "none"}},
		{"noise alone", map[string]string{"unlearn.instruction.use": "never", "unlearn.noise.kind": "gaussian-add"}},
		{"noise drawn once", map[string]string{"unlearn.noise.fixed": "true"}},
		{"all weights", map[string]string{"unlearn.lora.r": "0"}},
		{"as released", map[string]string{"unlearn.preset": "release", "unlearn.lora.dropout": "0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.over != nil {
				t.Skip("the published settings stand for all")
			}
			over := map[string]string{"unlearn.instruction.take": "1", "unlearn.steps": "9", "unlearn.optim.lr": "0.02", "unlearn.lora.dropout": "0"}
			for k, v := range c.over {
				over[k] = v
			}
			cfg := vgidtest.Small(t, over)
			if err := comparePaper(t.Context(), t, cfg); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// distilling is the objective of a configuration on a student.
func distilling(t *testing.T, c config.Config, m *model.Model, enc *Encoder) (Objective, error) {
	t.Helper()
	u := c.Unlearn
	bench, err := formats.Open(c.Data.Dir)
	if err != nil {
		return nil, err
	}
	source := func(split, purpose string) Source {
		people, err := bench.Training(split)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewPeople(people, u.Mix, u.TextOnly, c.Seed, purpose, c.Prompt.Subject)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var teacher *model.Model
	if u.LoRA.R == 0 {
		if teacher, err = m.Clone(); err != nil {
			return nil, err
		}
		_, err = m.Trainable("*")
	} else {
		l := u.LoRA
		_, err = m.AddLoRA(model.LoRAConfig{
			R: l.R, Alpha: float32(l.Alpha), Dropout: float32(l.Dropout), Targets: l.Targets, Exclude: l.Exclude,
			RSLoRA: l.RSLoRA, ModulesToSave: l.ModulesToSave, Bias: l.Bias, Seed: c.Seed,
		})
	}
	if err != nil {
		return nil, err
	}
	method, err := FindMethod(u)
	if err != nil {
		return nil, err
	}
	return method.New(Setup{
		Student: m, Teacher: teacher, Encoder: enc, Config: u, Seed: c.Seed, Instructions: people.DefaultInstructions()[:u.Instruction.Take],
		Forget: source(c.Data.Forget, "forget"), Retain: source("retain_80", "retain"),
	})
}

func comparePaper(ctx context.Context, t *testing.T, c config.Config) error {
	m, enc := opened(t, c)
	base, _ := opened(t, c)
	obj, err := distilling(t, c, m, enc)
	if err != nil {
		return err
	}
	defer obj.Close()
	tr, err := NewTrainer(t.Context(), m, obj, Options{
		Stage: "unlearned", Comm: collective.Solo(), Optim: c.Unlearn.Optim, Steps: c.Unlearn.Steps, Seed: c.Seed, Bucket: c.Collective.Bucket,
	})
	if err != nil {
		return err
	}
	defer tr.Close()
	p := &paper{t: t, c: c, enc: enc, model: m, base: base, instruction: people.DefaultInstructions()[0]}
	for tr.step < 3 { // away from the teacher
		if _, err := tr.Step(ctx); err != nil {
			return err
		}
	}
	tr.drop()
	for i, share := range tr.draw(tr.step) {
		b, err := obj.Prepare(ctx, tr.step, share)
		if err != nil {
			return err
		}
		defer b.Release()
		weight, err := b.Weights(ctx)
		if err != nil {
			return err
		}
		if err := tr.gradient(ctx, b, tr.sum(ctx, weight), func(monitor.Phase) {}); err != nil {
			return err
		}
		got, err := b.Losses()
		if err != nil {
			return err
		}
		forget, retain := p.terms(tr.step, share)
		t.Logf("batch %d: forget %.6f, retain %.6f", i, forget, retain)
		if forget+retain < 1e-3 {
			t.Errorf("forget %g, retain %g: there is nothing to see", forget, retain)
		}
		near(t, "forget", got[forgetTerm], forget, 1e-4)
		near(t, "retain", got[retainTerm], retain, 1e-4)

		g, err := download(m.Backend(), m.Flat().Grads())
		if err != nil {
			return err
		}
		var length float64
		for _, x := range g {
			length += float64(x) * float64(x)
		}
		length = math.Sqrt(length)
		const h = 0.02
		along := func(by float64) (float64, error) {
			values, err := download(m.Backend(), m.Flat().Values())
			if err != nil {
				return 0, err
			}
			moved := slices.Clone(values)
			for k := range moved {
				moved[k] += float32(by * float64(g[k]) / length)
			}
			m.Backend().Upload(m.Flat().Values(), moved)
			forget, retain := p.terms(tr.step, share)
			m.Backend().Upload(m.Flat().Values(), values)
			return c.Unlearn.Alpha*forget + c.Unlearn.Beta*retain, nil
		}
		up, err := along(h)
		if err != nil {
			return err
		}
		down, err := along(-h)
		if err != nil {
			return err
		}
		near(t, "slope", length, (up-down)/(2*h), 0.02)
	}
	return nil
}

func near(t *testing.T, what string, got, want, rel float64) {
	t.Helper()
	if math.Abs(got-want) > rel*math.Abs(want)+1e-7 {
		t.Errorf("%s %g, the formula gives %g", what, got, want)
	}
}

func download(be backend.Backend, x backend.Tensor) ([]float32, error) {
	out := make([]float32, x.Len())
	return out, be.Download(out, x)
}

// Answers of the teacher's own are made by the device, so a batch of them is only
// filled when its weights are asked for, and once.
func TestOwnAnswersWaitForTheirTurn(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{"unlearn.responses": "rollout"})
	m, enc := opened(t, c)
	obj, err := distilling(t, c, m, enc)
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	share := obj.Draw(0, Shard{WorldSize: 1})[0]
	b, err := obj.Prepare(ended, 0, share)
	if err != nil {
		t.Fatalf("preparing asks the device: %v", err)
	}
	if err := b.Upload(); err != nil || b.Tokens() != 0 {
		t.Fatalf("before its turn: %d tokens, %v", b.Tokens(), err)
	}
	first, err := b.Weights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tokens, want := b.Tokens(), slices.Clone(first)
	if again, err := b.Weights(t.Context()); err != nil || !slices.Equal(again, want) || b.Tokens() != tokens || tokens == 0 {
		t.Errorf("%d tokens of weight %v, then %d of %v, %v", tokens, want, b.Tokens(), again, err)
	}
	b.Release()
	if b, err = obj.Prepare(t.Context(), 0, share); err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if _, err := b.Weights(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the answers are not made in their turn: %v", err)
	}
}
