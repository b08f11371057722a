package model

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/optim"
	"vgid/model/params"
	"vgid/model/tape"
)

// greedyByRecomputing answers one prompt with whole forward passes.
func TestPackedEqualsOneByOne(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	lora(t, m, 0.3, "q_proj", "fc1", "linear_2")
	seqs := testPrompts(m.Config)
	tp := tape.New(m.Backend(), backend.F32)
	defer tp.Close()
	// In training, so that dropout is on: its masks follow the sample.
	hidden := func(seqs []Sequence) []float32 {
		tp.Reset(tape.Options{Grad: true, Seed: 1, Step: 2})
		b, err := m.Pack(seqs)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Release()
		h := tp.Value(m.Hidden(tp, b))
		v := make([]float32, h.Len())
		if err := m.Backend().Download(v, h); err != nil {
			t.Fatal(err)
		}
		return v
	}
	packed := hidden(seqs)
	for i := range seqs {
		one := hidden(seqs[i : i+1])
		if d := maxAbsDiff(one, packed[:len(one)]); d > 1e-6 {
			t.Errorf("sequence %d: %g apart", i, d)
		}
		packed = packed[len(one):]
	}
	tp.Reset(tape.Options{})
}

func TestMergedAdapterIsTheSameFunction(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	seqs := testSequences(m.Config)
	base := logits(t, m, seqs)
	lora(t, m, 0.5, "*_proj", "fc1", "linear_1")
	with := logits(t, m, seqs)
	if d := maxAbsDiff(base, with); d < 0.1 {
		t.Fatalf("the adapter changes little: %g", d)
	}
	if off := viewLogits(t, m.Base(), seqs); !slices.Equal(off, base) {
		t.Errorf("adapter off is not the base: %g", maxAbsDiff(off, base))
	}
	clone, err := m.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer clone.Close()
	if err := m.MergeLoRA(); err != nil {
		t.Fatal(err)
	}
	if d := maxAbsDiff(with, logits(t, m, seqs)); d > 1e-5 {
		t.Errorf("merging changed logits by %g", d)
	}
	if c := logits(t, clone, seqs); !slices.Equal(c, base) {
		t.Errorf("the clone followed: %g", maxAbsDiff(c, base))
	}
}

func TestSharedImageFeatures(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	lora(t, m, 0, "language_model.*.q_proj")
	b, err := m.Pack(testSequences(m.Config))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	tp := tape.New(m.Backend(), backend.F32)
	defer tp.Close()
	hidden := func(shared bool) []float32 {
		tp.Reset(tape.Options{})
		b.Features = backend.Tensor{}
		if shared {
			b.Features = tp.Value(m.ImageFeatures(tp, b))
		}
		h := tp.Value(m.Hidden(tp, b))
		v := make([]float32, h.Len())
		if err := m.Backend().Download(v, h); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if a, c := hidden(false), hidden(true); !slices.Equal(a, c) {
		t.Errorf("features computed before give other states: %g", maxAbsDiff(a, c))
	}
}

// optimizerState is what a checkpoint has of an optimizer.
type optimizerState struct {
	updates int
	arrays  [3][]float32
}

func stateOf(t *testing.T, m *Model, o *optim.Optimizer) (s optimizerState) {
	t.Helper()
	s.updates = o.Updates()
	for i := range s.arrays {
		s.arrays[i] = make([]float32, m.Flat().Len())
		if err := o.Read(optim.Array(i), s.arrays[i], 0); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func restore(t *testing.T, o *optim.Optimizer, s optimizerState) {
	t.Helper()
	for i, a := range s.arrays {
		if err := o.Write(optim.Array(i), a, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.SetUpdates(s.updates); err != nil {
		t.Fatal(err)
	}
}

func TestOptimizerContinuesBitIdentically(t *testing.T) {
	train := func(m *Model, o *optim.Optimizer, s *step, steps int) {
		for range steps {
			s.backward(t)
			if err := o.Step(0.01); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := func() (*Model, *optim.Optimizer, *step) {
		m := newTestModel(t, nil)
		lora(t, m, 0, "q_proj")
		if _, err := m.Trainable("norm", "lm_head", "k_proj"); err != nil {
			t.Fatal(err)
		}
		o, err := optim.New(m.Set, optim.Config{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: 0.1, ClipNorm: 1})
		if err != nil {
			t.Fatal(err)
		}
		return m, o, newStep(t, m)
	}
	m, o, s := start()
	train(m, o, s, 2)
	// The reference backend keeps float64: continue from what a file holds.
	half := stateOf(t, m, o)
	restore(t, o, half)
	train(m, o, s, 2)
	want := stateOf(t, m, o)

	m, o, s = start()
	restore(t, o, half)
	train(m, o, s, 2)
	if got := stateOf(t, m, o); got.updates != 4 || !slices.EqualFunc(got.arrays[:], want.arrays[:], slices.Equal[[]float32]) {
		t.Error("a restored run ends elsewhere")
	}
	if err := o.Write(optim.Moment1, half.arrays[1], 1); err == nil {
		t.Error("a state of another size was restored")
	}
	if _, err := m.Trainable("norm"); err != nil {
		t.Fatal(err)
	}
	if err := o.Step(1); err == nil {
		t.Error("an optimizer for other parameters made a step")
	}
}

func TestWeightDecaySparesNormsAndBiases(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	if _, err := m.Trainable("*"); err != nil {
		t.Fatal(err)
	}
	o, err := optim.New(m.Set, optim.Config{Beta1: 0.9, Beta2: 0.9, Eps: 1, WeightDecay: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	before := map[string]float32{}
	first := func(w *params.Weight) float32 {
		v := make([]float32, 1)
		if err := m.Backend().Download(v, w.Value.RowRange(0, 1).ColRange(0, 1)); err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	for _, w := range m.Weights {
		before[w.Name] = first(w)
	}
	m.ZeroGrads()
	if err := o.Step(0.1); err != nil {
		t.Fatal(err)
	}
	for _, w := range m.Weights {
		want := before[w.Name]
		matrix := w.Trainable && !strings.Contains(w.Name, "norm") && !strings.HasSuffix(w.Name, ".bias")
		if matrix {
			want *= 0.95
		}
		if d := first(w) - want; math.Abs(float64(d)) > 1e-6 {
			t.Errorf("%s: %g, want %g", w.Name, first(w), want)
		}
	}
}

func TestTrainingChoicesMoveWeightsUnharmed(t *testing.T) {
	patterns := []string{"*", "q_proj", "language_model.*", "norm", "v_proj.bias", "lm_head", "fc1"}
	rapid.Check(t, func(r *rapid.T) {
		m := newTestModel(t, nil)
		defer m.Close()
		want := logits(t, m, testSequences(m.Config))
		for range rapid.IntRange(1, 4).Draw(r, "moves") {
			switch rapid.IntRange(0, 3).Draw(r, "move") {
			case 0:
				if m.Adapter() == nil { // B is zero: the function stays
					if _, err := m.AddLoRA(LoRAConfig{R: 2, Alpha: 1, Targets: []string{"k_proj", "linear_1"}}); err != nil {
						r.Fatal(err)
					}
				}
			case 1:
				if m.Adapter() != nil {
					if err := m.MergeLoRA(); err != nil {
						r.Fatal(err)
					}
				}
			default:
				if _, err := m.Trainable(rapid.SliceOfN(rapid.SampledFrom(patterns), 0, 2).Draw(r, "patterns")...); err != nil {
					r.Fatal(err)
				}
			}
		}
		if d := maxAbsDiff(want, logits(t, m, testSequences(m.Config))); d > 1e-6 {
			r.Fatalf("the model changed by %g", d)
		}
	})
}

// TestStepAllocatesLittle runs a whole training step in steady state.
func TestStepAllocatesLittle(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	m, err := New(be, tinyConfig(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.AddLoRA(LoRAConfig{R: 2, Alpha: 4, Targets: []string{"*_proj"}}); err != nil {
		t.Fatal(err)
	}
	o, err := optim.New(m.Set, optim.Config{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, ClipNorm: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	tp := tape.New(be, backend.F32)
	defer tp.Close()
	seqs := testSequences(m.Config)
	rows, targets, weights := []int32{3, 4, 5}, []int32{4, 5, 6}, []float32{1, 1, 1}
	n := testing.AllocsPerRun(20, func() {
		tp.Reset(tape.Options{Grad: true})
		b, err := m.Pack(seqs)
		if err != nil {
			t.Fatal(err)
		}
		m.ZeroGrads()
		m.CE(tp, m.Hidden(tp, b), rows, targets, weights)
		if err := m.Backward(tp, nil); err != nil {
			t.Fatal(err)
		}
		if err := o.Step(1e-3); err != nil {
			t.Fatal(err)
		}
		b.Release()
	})
	t.Logf("%g allocations a step", n)
	if n > 2 {
		t.Errorf("%g allocations a step in steady state", n)
	}
}
