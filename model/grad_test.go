package model

import (
	"math"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/family/llava"
	"vgid/model/hf/imaging"
	"vgid/model/nn"
	"vgid/model/ref"
	"vgid/model/tape"
)

// tinyConfig is small enough for finite differences over every element.
func tinyConfig() *Config {
	return &Config{
		Type: "llava",
		Text: nn.TextConfig{
			VocabSize: 13, HiddenSize: 8, IntermediateSize: 6, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 4,
			MaxPositions: 64, RMSNormEps: 1e-5, RoPE: nn.RoPE{Theta: 100, Type: "default"}, AttentionBias: true, MLPBias: true,
		},
		Vision: nn.VisionConfig{
			HiddenSize: 6, IntermediateSize: 5, Layers: 3, Heads: 2, ImageSize: 4, PatchSize: 2, Channels: 3,
			Act: "quick_gelu",
		},
		Family: &llava.Config{
			ProjectorAct: "gelu", ProjectorBias: true, FeatureLayers: []int{-2}, FeatureSelect: "default", LayerNormEps: 1e-5, ProjectionDim: 4,
		},
		ImageTokenID: 12,
		PadTokenID:   -1, BOSTokenID: 1, EOSTokenID: []int{2}, DType: "float32",
	}
}

// ownFields are the fields of a config that only LLaVA has.
func ownFields(c *Config) *llava.Config { return c.Family.(*llava.Config) }

// randomise gives every weight a random value, the constant ones too.
func randomise(m *Model, seed uint64) {
	for i, w := range m.Weights {
		row := make([]float32, w.Value.Len())
		backend.FillRandom(row, backend.Normal, backend.Key{Seed: seed}, uint32(i))
		for j := range row {
			row[j] = w.Fill + 0.3*row[j]
		}
		m.Backend().Upload(w.Value, row)
	}
}

func testImage(c *Config, n int) imaging.Image {
	p := make([]float32, c.Vision.Channels*c.Vision.ImageSize*c.Vision.ImageSize)
	backend.FillRandom(p, backend.Normal, backend.Key{Seed: 9}, uint32(n))
	return imaging.Image{Pixels: p}
}

// testSequences are one with two images and one with none.
func testSequences(c *Config) []Sequence {
	ids := []int32{1, 3}
	for i := range 2 {
		for range c.ImageTokens(imaging.Grid{}) {
			ids = append(ids, int32(c.ImageTokenID))
		}
		ids = append(ids, int32(4+i))
	}
	return []Sequence{
		{IDs: append(ids, 6, 5), Images: []imaging.Image{testImage(c, 0), testImage(c, 1)}, Sample: 11},
		{IDs: []int32{1, 7, 8, 9, 3}, Sample: 12},
	}
}

// step is a loss with everything in it: cross-entropy at some rows, one of
// them with a negative weight, and divergence from a fixed teacher at others.
type step struct {
	m       *Model
	be      *ref.Backend
	tape    *tape.Tape
	seqs    []Sequence
	teacher *Model         // of which the head is read
	hidden  backend.Tensor // its hidden rows
}

func newStep(tb testing.TB, m *Model) *step {
	tb.Helper()
	be := m.Backend().(*ref.Backend)
	s := &step{m: m, be: be, tape: tape.New(be, backend.F32), seqs: testSequences(m.Config)}
	buf, err := be.Alloc(backend.F32, 3*m.Config.Text.HiddenSize)
	if err != nil {
		tb.Fatal(err)
	}
	s.hidden = backend.View(buf, 0, 3, m.Config.Text.HiddenSize)
	if s.teacher, err = m.Clone(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.teacher.Close)
	for i, x := range []backend.Tensor{s.hidden, s.teacher.Head().Value} {
		v := make([]float32, x.Len())
		backend.FillRandom(v, backend.Normal, backend.Key{Seed: 5}, uint32(i))
		be.Upload(x, v)
	}
	return s
}

// forward runs the loss and returns its value.
func (s *step) forward(tb testing.TB) float64 {
	tb.Helper()
	s.tape.Reset(tape.Options{Grad: true, Seed: 3, Step: 1})
	b, err := s.m.Pack(s.seqs)
	if err != nil {
		tb.Fatal(err)
	}
	defer b.Release()
	h := s.m.Hidden(s.tape, b)
	last, second := int32(b.Len(0)-1), int32(b.Start(1))
	ceW, klW := []float32{0.5, -0.25, 1}, []float32{1, 0.5, 2}
	ce := s.m.CE(s.tape, h, []int32{last - 2, last - 1, second + 1}, []int32{4, 6, 9}, ceW)
	kl := s.m.KL(s.tape, h, []int32{last, second, second + 3}, s.hidden, klW,
		KLOptions{Teacher: s.teacher.View, KL: backend.KL{TeacherTemp: 2, StudentTemp: 1.5, Scale: 3}})
	if err := s.be.Sync(); err != nil {
		tb.Fatal(err)
	}
	sum := 0.0
	for i := range 3 {
		sum += float64(ceW[i])*s.be.At(ce.Rows, i, 0) + float64(klW[i])*s.be.At(kl.Rows, i, 0)
	}
	return sum
}

func (s *step) backward(tb testing.TB) {
	tb.Helper()
	s.m.ZeroGrads()
	s.forward(tb)
	if err := s.m.Backward(s.tape, nil); err != nil {
		tb.Fatal(err)
	}
	if err := s.be.Sync(); err != nil {
		tb.Fatal(err)
	}
}

// checkGradients compares every trained element with a central difference.
func (s *step) checkGradients(t *testing.T, every int) {
	t.Helper()
	s.backward(t)
	// The heads' gradients are made in forward calls: take all of them aside.
	grads := map[string][]float64{}
	for _, w := range s.m.Weights {
		for i := 0; w.Trainable && i < w.Value.Len(); i++ {
			grads[w.Name] = append(grads[w.Name], s.be.At(w.Grad, i/w.Value.Cols, i%w.Value.Cols))
		}
	}
	const h = 1e-5
	checked, nonzero := 0, 0
	for _, w := range s.m.Weights {
		if !w.Trainable {
			continue
		}
		for i := 0; i < w.Value.Len(); i += every {
			r, c := i/w.Value.Cols, i%w.Value.Cols
			got, x := grads[w.Name][i], s.be.At(w.Value, r, c)
			s.be.Set(w.Value, r, c, x+h)
			up := s.forward(t)
			s.be.Set(w.Value, r, c, x-h)
			down := s.forward(t)
			s.be.Set(w.Value, r, c, x)
			want := (up - down) / (2 * h)
			if math.Abs(got-want) > 1e-6+1e-6*math.Abs(want) {
				t.Errorf("%s[%d, %d]: gradient %.9g, difference quotient %.9g", w.Name, r, c, got, want)
			}
			checked++
			if got != 0 {
				nonzero++
			}
		}
	}
	if checked == 0 || nonzero < checked/2 {
		t.Errorf("%d elements checked, %d of them not zero: the check shows little", checked, nonzero)
	}
	t.Logf("%d elements checked, %d not zero", checked, nonzero)
}

func newTestModel(tb testing.TB, change func(*Config)) *Model {
	tb.Helper()
	c := tinyConfig()
	if change != nil {
		change(c)
	}
	m, err := New(ref.New(), c, 1)
	if err != nil {
		tb.Fatal(err)
	}
	randomise(m, 7)
	return m
}

func lora(tb testing.TB, m *Model, dropout float32, targets ...string) {
	tb.Helper()
	if _, err := m.AddLoRA(LoRAConfig{R: 2, Alpha: 3, Dropout: dropout, Targets: targets, Seed: 4}); err != nil {
		tb.Fatal(err)
	}
	for i, w := range m.Weights { // B starts at zero, which would hide A
		if w.Branch == 2 {
			v := make([]float32, w.Value.Len())
			backend.FillRandom(v, backend.Normal, backend.Key{Seed: 8}, uint32(i))
			m.Backend().Upload(w.Value, v)
		}
	}
}

func TestGradientsOfTheWholeModel(t *testing.T) {
	if testing.Short() {
		t.Skip("every gradient of a whole model, by differences")
	}
	everything := func(t *testing.T, m *Model) {
		if _, err := m.Trainable("*"); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		train  func(*testing.T, *Model)
		every  int // check every so many elements
	}{
		{"all weights", nil, everything, 4},
		{"tied head, two feature layers, CLS kept", func(c *Config) {
			own := ownFields(c)
			c.Text.TieEmbeddings, own.FeatureLayers, own.FeatureSelect = true, []int{-1, 1}, "full"
		}, everything, 7},
		{"all weights and adapter, recomputed", nil, func(t *testing.T, m *Model) {
			m.Recompute = true
			lora(t, m, 0, "*_proj", "fc1", "linear_1")
			everything(t, m)
		}, 9},
		{"adapter on the decoder", nil, func(t *testing.T, m *Model) { lora(t, m, 0, "language_model.*_proj") }, 3},
		{"adapter with dropout, some layers, no biases", func(c *Config) {
			c.Text.AttentionBias, c.Text.MLPBias, ownFields(c).ProjectorBias = false, false, false
		}, func(t *testing.T, m *Model) { lora(t, m, 0.3, "q_proj", "v_proj", "down_proj", "linear_2") }, 3},
		{"adapter with dropout, recomputed", nil, func(t *testing.T, m *Model) {
			m.Recompute = true
			lora(t, m, 0.3, "language_model.*_proj")
		}, 3},
		{"single projections of fused groups", nil, func(t *testing.T, m *Model) {
			if _, err := m.Trainable("k_proj", "language_model.*.up_proj.weight", "v_proj.bias", "norm"); err != nil {
				t.Fatal(err)
			}
		}, 1},
		{"projector alone", nil, func(t *testing.T, m *Model) {
			if _, err := m.Trainable("multi_modal_projector.*"); err != nil {
				t.Fatal(err)
			}
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newTestModel(t, tt.change)
			defer m.Close()
			tt.train(t, m)
			newStep(t, m).checkGradients(t, tt.every)
		})
	}
}

func TestRecomputationGivesTheSameGradients(t *testing.T) {
	grads := func(recompute bool) map[string][]float32 {
		m := newTestModel(t, nil)
		defer m.Close()
		m.Recompute = recompute
		lora(t, m, 0.2, "q_proj", "fc2")
		if _, err := m.Trainable("*"); err != nil {
			t.Fatal(err)
		}
		newStep(t, m).backward(t)
		out := map[string][]float32{}
		for _, w := range m.Weights {
			if w.Trainable {
				out[w.Name] = make([]float32, w.Value.Len())
				if err := m.Backend().Download(out[w.Name], w.Grad); err != nil {
					t.Fatal(err)
				}
			}
		}
		return out
	}
	want, got := grads(false), grads(true)
	for name, w := range want {
		for i := range w {
			if d := math.Abs(float64(w[i] - got[name][i])); d > 1e-7*(1+math.Abs(float64(w[i]))) {
				t.Fatalf("%s[%d]: %g recomputed, %g kept", name, i, got[name][i], w[i])
			}
		}
	}
}

func TestGradientsAreReadyOnceAndFinal(t *testing.T) {
	for _, recompute := range []bool{false, true} {
		m := newTestModel(t, func(c *Config) { c.Text.TieEmbeddings = true })
		m.Recompute = recompute
		lora(t, m, 0, "q_proj", "fc2")
		if _, err := m.Trainable("*"); err != nil {
			t.Fatal(err)
		}
		s := newStep(t, m)
		m.ZeroGrads()
		s.forward(t)
		early := map[string][]float32{}
		read := func(p *tape.Param) []float32 {
			v := make([]float32, p.Grad.Len())
			if err := m.Backend().Download(v, p.Grad); err != nil {
				t.Fatal(err)
			}
			return v
		}
		s.tape.OnGrad = func(p *tape.Param) {
			if _, twice := early[p.Name]; twice {
				t.Errorf("%s was ready twice", p.Name)
			}
			early[p.Name] = read(p)
		}
		if err := s.tape.Backward(); err != nil {
			t.Fatal(err)
		}
		for _, w := range m.Weights {
			got, ok := early[w.Name]
			if ok != w.Trainable {
				t.Errorf("%s: ready %v, trained %v", w.Name, ok, w.Trainable)
			}
			if !ok {
				continue
			}
			for i, v := range read(w.Param) {
				if v != got[i] {
					t.Errorf("%s[%d] changed after it was ready", w.Name, i)
					break
				}
			}
		}
		m.Close()
	}
}

func TestBackwardReportsGrowingPrefixes(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	if _, err := m.Trainable("*"); err != nil {
		t.Fatal(err)
	}
	s := newStep(t, m)
	m.ZeroGrads()
	s.forward(t)
	var marks []int
	var seen [][]float32
	err := m.Backward(s.tape, func(n int) {
		marks = append(marks, n)
		v := make([]float32, n)
		if err := m.Backend().Download(v, m.Flat().Grads().ColRange(0, n)); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(marks) < 10 || marks[len(marks)-1] != m.Flat().Len() {
		t.Fatalf("prefixes %v of %d", marks, m.Flat().Len())
	}
	for i, v := range seen {
		if i > 0 && marks[i] <= marks[i-1] {
			t.Fatalf("prefixes %v do not grow", marks)
		}
		for j := range v {
			if v[j] != seen[len(seen)-1][j] {
				t.Fatalf("element %d changed after prefix %d was ready", j, marks[i])
			}
		}
	}
	// A batch without images leaves the tower alone: all is ready at the end.
	s.seqs = s.seqs[1:]
	s.tape.Reset(tape.Options{Grad: true})
	b, err := m.Pack(s.seqs)
	if err != nil {
		t.Fatal(err)
	}
	m.CE(s.tape, m.Hidden(s.tape, b), []int32{0}, []int32{1}, []float32{1})
	marks = marks[:0]
	if err := m.Backward(s.tape, func(n int) { marks = append(marks, n) }); err != nil {
		t.Fatal(err)
	}
	if marks[len(marks)-1] != m.Flat().Len() {
		t.Fatalf("prefixes %v of %d", marks, m.Flat().Len())
	}
}

func TestTrainedWeightsAreListed(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	names, err := m.AddLoRA(LoRAConfig{R: 2, Alpha: 4, Targets: []string{"language_model.*.q_proj", "v_proj"}})
	if err != nil {
		t.Fatal(err)
	}
	// The tower's last layer feeds nothing under feature layer -2.
	want := "vision_tower.vision_model.encoder.layers.0.self_attn.v_proj vision_tower.vision_model.encoder.layers.1.self_attn.v_proj " +
		"language_model.model.layers.0.self_attn.q_proj language_model.model.layers.0.self_attn.v_proj " +
		"language_model.model.layers.1.self_attn.q_proj language_model.model.layers.1.self_attn.v_proj"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("adapter on %s\nwant %s", got, want)
	}
	for _, pattern := range []string{"nothing", "proj", "q_proj.weight.x"} {
		if _, err := m.Trainable(pattern); err == nil || !strings.Contains(err.Error(), pattern) {
			t.Errorf("pattern %q: %v", pattern, err)
		}
	}
}
