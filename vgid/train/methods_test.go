package train

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"vgid/collective"
	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/tape"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
)

// golden is what testdata/methods_golden.py computed.
type golden struct {
	Samples []struct {
		Term             string
		Prompt, Response []int32
	}
	Trained []string // ends of names of weights
	Cases   []struct {
		Method                string
		Alpha, Beta, Strength float64
		Forget, Retain        float64
		Grads                 map[string][]float32
	}
}

// golden models are moved from what they were as the script moves them.
func (g *golden) move(t *testing.T, m *model.Model) {
	t.Helper()
	for k, tail := range g.Trained {
		i := slices.IndexFunc(m.Params(), func(p *tape.Param) bool { return p.Trainable && strings.HasSuffix(p.Name, tail) })
		if i < 0 {
			t.Fatalf("no weight ends in %s", tail)
		}
		w := m.Params()[i].Value
		values, err := download(m.Backend(), w)
		if err != nil {
			t.Fatal(err)
		}
		for i := range values {
			values[i] = float32(float64(values[i]) + 0.15*math.Sin(0.7*float64(i)+float64(k)))
		}
		m.Backend().Upload(w, values)
	}
}

// Losses and gradients of the methods that learn from answers as they are, by the
// formula, in one pass and in micro-batches.
func TestMethodsAreTheFormula(t *testing.T) {
	raw, err := os.ReadFile("testdata/methods_golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	for _, c := range g.Cases {
		for _, accumulate := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%s %g %g in %d", c.Method, c.Alpha, c.Beta, accumulate), func(t *testing.T) {
				be := cpu.New(1)
				defer be.Close()
				m, err := model.Load(t.Context(), be, "../../model/testdata/golden/llava_mha")
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				conf := config.Default()
				for path, v := range map[string]float64{"unlearn.alpha": c.Alpha, "unlearn.beta": c.Beta, "unlearn.npo.beta": c.Strength} {
					if err := conf.Set(path, fmt.Sprint(v)); err != nil {
						t.Fatal(err)
					}
				}
				conf.Unlearn.Method, conf.Unlearn.Accumulate = c.Method, accumulate
				s := Setup{Student: m, Config: conf.Unlearn}
				if s.Teacher, err = m.Clone(); err != nil {
					t.Fatal(err)
				}
				var patterns []string
				for _, tail := range g.Trained {
					patterns = append(patterns, "*language_model*"+strings.TrimSuffix(tail, ".weight"))
				}
				if _, err := m.Trainable(patterns...); err != nil {
					t.Fatal(err)
				}
				g.move(t, m)
				method, err := FindMethod(s.Config)
				if err != nil {
					t.Fatal(err)
				}
				if !method.Needs.Teacher {
					s.Teacher.Close()
					s.Teacher = nil
				}
				obj, err := method.New(s)
				if err != nil {
					t.Fatal(err)
				}
				defer obj.Close()
				b := obj.(interface{ batch() lister }).batch()
				for i, x := range g.Samples {
					v := View{First: len(x.Prompt) - 1, Next: x.Response}
					v.Seq.IDs, v.Seq.Sample = slices.Concat(x.Prompt, x.Response[:len(x.Response)-1]), uint32(i)
					b.list(Sample{Term: slices.IndexFunc(obj.Terms(), func(t Term) bool { return t.Name == x.Term })}, v, 1)
				}
				tr, err := NewTrainer(t.Context(), m, obj, Options{Comm: collective.Solo(), Optim: conf.Unlearn.Optim, Steps: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer tr.Close()
				weight, err := b.Weights(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := tr.gradient(t.Context(), b, tr.sum(t.Context(), weight), func(monitor.Phase) {}); err != nil {
					t.Fatal(err)
				}
				losses, err := b.Losses()
				if err != nil {
					t.Fatal(err)
				}
				b.Release()
				near(t, "forget", losses[forgetTerm], c.Forget, 1e-5)
				near(t, "retain", losses[retainTerm], c.Retain, 1e-5)
				seen := 0
				err = m.EachGrad(func(name string, _ []int, grad []float32) {
					for tail, want := range c.Grads {
						if strings.HasSuffix(name, tail) {
							seen++
							if e := distance(grad, want); !(e < 1e-5) {
								t.Errorf("%s: the gradient is %g away from the formula's", name, e)
							}
						}
					}
				})
				if err != nil || seen != len(g.Trained) {
					t.Errorf("%d gradients, %v", seen, err)
				}
			})
		}
	}
}

// distance is that of two vectors over the length of the second.
func distance(got, want []float32) float64 {
	var d, n float64
	for i, w := range want {
		d += (float64(got[i]) - float64(w)) * (float64(got[i]) - float64(w))
		n += float64(w) * float64(w)
	}
	return math.Sqrt(d / n)
}

// NPO's loss at the ends of what a float can hold: nothing overflows, and an answer
// that is gone has no gradient.
func TestNPOLoss(t *testing.T) {
	for _, c := range []struct{ b, r, loss, slope float64 }{
		{0.1, 0, 20 * math.Ln2, 1},
		{0.1, 1e6, 2e6, 2},
		{0.1, -1e6, 0, 0},
		{1e-6, 3, 2e6*math.Ln2 + 3, 1 + 1.5e-6}, // gradient ascent, but for a constant
	} {
		loss, slope := npoLoss(c.b, c.r)
		if math.Abs(loss-c.loss) > 1e-6*max(1, c.loss) || math.Abs(slope-c.slope) > 1e-9 {
			t.Errorf("b %g, r %g: loss %.12g, slope %.12g, want %.12g, %.12g", c.b, c.r, loss, slope, c.loss, c.slope)
		}
	}
}

// A method says what it cannot do, and what it cannot do without, before it begins.
func TestMethodsRefuse(t *testing.T) {
	for _, c := range []struct{ set, value, method, want string }{
		{"unlearn.mask", "all", "npo", "unlearn.mask: npo looks at the answer alone"},
		{"unlearn.responses", "rollout", "npo", "unlearn.responses: npo forgets the answers that the data has"},
		{"unlearn.preset", "release", "npo", "unlearn.preset: release is what the script of vgid's authors does, npo is not in it; leave it at paper"},
		{"unlearn.batch_retain", "0", "graddiff", "unlearn.batch_retain: graddiff needs samples to retain"},
		{"unlearn.alternate", "true", "graddiff", "unlearn.beta: graddiff needs a retain term"},
	} {
		conf, err := config.Load("", map[string]string{"unlearn.method": c.method, "unlearn.beta": "0", c.set: c.value})
		if err != nil {
			t.Fatal(err)
		}
		method, err := FindMethod(conf.Unlearn)
		if err == nil {
			_, err = method.New(Setup{Config: conf.Unlearn})
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.set, c.value, err, c.want)
		}
	}
	if _, err := FindMethod(config.Unlearn{Method: "gradif"}); err == nil || !strings.HasPrefix(err.Error(), `unlearn.method: "gradif" is not one of vgid, graddiff, npo, `) {
		t.Errorf("%v", err)
	}
}
