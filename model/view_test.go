package model

import (
	"slices"
	"testing"

	"vgid/model/backend"
	"vgid/model/tape"
)

// mixedAdapter gives m branches, trained biases and a head trained as a whole,
// all of them away from where they started.
func mixedAdapter(t *testing.T, m *Model) {
	t.Helper()
	if _, err := m.AddLoRA(LoRAConfig{R: 2, Alpha: 3, Dropout: 0.5, Targets: []string{"q_proj", "fc1"}, ModulesToSave: []string{"lm_head"}, Bias: "all", Seed: 4}); err != nil {
		t.Fatal(err)
	}
	v := make([]float32, m.Flat().Len())
	backend.FillRandom(v, backend.Normal, backend.Key{Seed: 8}, 0)
	m.Backend().Upload(m.Flat().Values(), v)
}

func flatGrads(t *testing.T, m *Model) []float32 {
	t.Helper()
	v := make([]float32, m.Flat().Len())
	if err := m.Backend().Download(v, m.Flat().Grads()); err != nil {
		t.Fatal(err)
	}
	return v
}

// What is computed on the base, whatever the tape was told, trains nothing.
func TestBaseIsNeverTrained(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	mixedAdapter(t, m)
	seqs := testSequences(m.Config)
	tp := tape.New(m.Backend(), backend.F32)
	defer tp.Close()
	tp.Reset(tape.Options{Grad: true, Seed: 3})
	b, err := m.Pack(seqs)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	m.ZeroGrads()
	base := m.Base()
	h := base.Hidden(tp, b)
	base.CE(tp, h, []int32{1, 2}, []int32{4, 6}, []float32{1, 1})
	base.KL(tp, h, []int32{1, 2}, tp.Value(m.Rows(tp, h, []int32{1, 2})), []float32{1, 1}, KLOptions{Teacher: m.View})
	if !tp.Grad() {
		t.Error("the tape no longer records")
	}
	if err := m.Backward(tp, nil); err != nil {
		t.Fatal(err)
	}
	if g := flatGrads(t, m); slices.ContainsFunc(g, func(x float32) bool { return x != 0 }) {
		t.Error("a gradient reached the trained weights")
	}
}

// Passes of the base between a step's forward and backward pass change nothing
// of it, recomputation included, and are not changed by it.
func TestViewsInTurn(t *testing.T) {
	for _, recompute := range []bool{false, true} {
		m := newTestModel(t, nil)
		seqs := testSequences(m.Config)
		before := logits(t, m, seqs)
		mixedAdapter(t, m)
		m.Recompute = recompute
		s := newStep(t, m)
		s.backward(t)
		want := flatGrads(t, m)
		if slices.Equal(viewLogits(t, m.View, seqs), before) {
			t.Fatal("the adapter changes nothing")
		}

		m.ZeroGrads()
		s.forward(t)
		if got := viewLogits(t, m.Base(), seqs); !slices.Equal(got, before) {
			t.Errorf("recompute %v: the base differs by %g from the model before its adapter", recompute, maxAbsDiff(got, before))
		}
		if err := m.Backward(s.tape, nil); err != nil {
			t.Fatal(err)
		}
		if got := flatGrads(t, m); !slices.Equal(got, want) {
			t.Errorf("recompute %v: gradients differ by %g after a pass of the base", recompute, maxAbsDiff(got, want))
		}
		m.Close()
	}
}
