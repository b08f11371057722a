package model

import (
	"errors"
	"math"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/decoding"
)

// putInto writes a value into one element of a weight.
func putInto(t *testing.T, m *Model, weight string, row, col int, v float32) {
	t.Helper()
	for _, w := range m.Weights {
		if w.Name == weight {
			m.Backend().Upload(w.Value.RowRange(row, row+1).ColRange(col, col+1), []float32{v})
			return
		}
	}
	t.Fatalf("no weight %q", weight)
}

// A model of NaN would answer with token 0, which often ends a text, and an
// empty answer looks like perfect forgetting.
func TestLogitsThatAreNotFiniteAreRefused(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	const query = "language_model.model.layers.1.self_attn.q_proj.weight"
	const head = "language_model.lm_head.weight"
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, m *Model)
		want  []string
	}{
		{"NaN in a matrix", func(t *testing.T, m *Model) { putInto(t, m, query, 1, 2, nan) },
			[]string{"its weights hold NaN or Inf", query, "1 of 128 values", "prompt 0"}},
		{"-Inf in a matrix", func(t *testing.T, m *Model) { putInto(t, m, query, 1, 2, -inf) }, []string{query, "prompt 0"}},
		{"NaN in one row of the head", func(t *testing.T, m *Model) { putInto(t, m, head, 9, 3, nan) }, []string{head, "prompt 0"}},
		{"NaN in a norm and in the head", func(t *testing.T, m *Model) {
			putInto(t, m, "language_model.model.norm.weight", 0, 0, nan)
			putInto(t, m, head, 9, 3, nan)
		}, []string{"language_model.model.norm.weight", "2 tensors in all"}},
		{"a token of one prompt", func(t *testing.T, m *Model) {
			putInto(t, m, "language_model.model.embed_tokens.weight", 4, 0, nan)
		}, []string{"embed_tokens.weight", "prompt 2"}},
		{"an adapter", func(t *testing.T, m *Model) {
			lora(t, m, 0, "q_proj")
			putInto(t, m, "language_model.model.layers.0.self_attn.q_proj.lora_B.weight", 0, 0, nan)
		}, []string{"layers.0.self_attn.q_proj.lora_B.weight", "prompt 0"}},
		{"activations that overflow", func(t *testing.T, m *Model) {
			putInto(t, m, "language_model.model.norm.weight", 0, 0, 3e38)
			for i := range m.Config.Text.VocabSize {
				putInto(t, m, head, i, 0, 3e38)
			}
		}, []string{"its weights are finite, so its activations overflow", "prompt 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			be := cpu.New(1)
			defer be.Close()
			m, err := New(be, tinyConfig(), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			c.spoil(t, m)
			prompts := []Sequence{{IDs: []int32{1, 5, 6}, Sample: 1}, {IDs: []int32{1, 3, 7, 8}, Sample: 2}, {IDs: []int32{1, 4}, Sample: 3}}
			for name, ask := range map[string]func() error{
				"greedy": func() error {
					_, err := m.Generate(t.Context(), prompts, GenerateOptions{MaxNew: 2})
					return err
				},
				"one at a time": func() error {
					_, err := m.Generate(t.Context(), prompts, GenerateOptions{MaxNew: 1, MaxBatchTokens: 1})
					return err
				},
				"penalised": func() error {
					_, err := m.Generate(t.Context(), prompts, GenerateOptions{MaxNew: 2, Decoding: decoding.Settings{RepetitionPenalty: 1.2}})
					return err
				},
				"drawn": func() error {
					_, err := m.Generate(t.Context(), prompts, GenerateOptions{MaxNew: 2, Temperature: 0.7, TopK: 3})
					return err
				},
				"scores": func() error {
					_, err := m.ScoreContinuations(t.Context(), prompts, [][]int32{{7, 8}, {9}, {5}})
					return err
				},
			} {
				err = ask()
				var broken *NotFiniteError
				if !errors.As(err, &broken) {
					t.Fatalf("%s: %v is no NotFiniteError", name, err)
				}
				for _, want := range append(c.want, "logits are not finite (NaN/Inf)") {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %q does not say %q", name, err, want)
					}
				}
			}
		})
	}
}

// After an update everything trained is NaN: the cause is what the files hold.
func TestCauseOfNaNAfterAnUpdate(t *testing.T) {
	m := newTestModel(t, nil)
	dir := t.TempDir()
	if err := m.Save(dir, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	be := cpu.New(1)
	defer be.Close()
	m, err := Load(t.Context(), be, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Trainable("language_model.*"); err != nil {
		t.Fatal(err)
	}
	m.Backend().Fill(m.Flat().Values(), float32(math.NaN()))
	for updated, want := range map[bool]string{true: "its weights are finite", false: "embed_tokens.weight"} {
		why, err := m.WhyNotFinite(t.Context(), updated)
		if err != nil || !strings.Contains(why, want) {
			t.Errorf("updated %v: %q, %v does not say %q", updated, why, err, want)
		}
	}
}

func TestOverflowingMergesAreRefused(t *testing.T) {
	for _, c := range []struct {
		dtype string
		b     float32 // in every element of B
		want  string
	}{
		{"float16", 1e6, "overflow float16"},
		{"bfloat16", 1e6, ""},
		{"float32", 1e6, ""},
		{"float32", 3e38, "not finite (NaN/Inf)"},
		{"bfloat16", float32(math.NaN()), "not finite (NaN/Inf)"},
	} {
		m := newTestModel(t, nil)
		lora(t, m, 0, "q_proj")
		for _, w := range m.Weights {
			if w.Branch == 2 && strings.Contains(w.Name, "layers.1.") {
				m.Backend().Fill(w.Value, c.b)
			}
			if w.Branch == 1 {
				m.Backend().Fill(w.Value, 2)
			}
		}
		err := m.Save(t.TempDir(), SaveOptions{Merge: true, DType: c.dtype})
		const name = `tensor "language_model.model.layers.1.self_attn.q_proj.weight": 128 of 128 values `
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s, %g: %v", c.dtype, c.b, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s, %g: %v does not say %s… %s", c.dtype, c.b, err, name, c.want)
		}
		m.Close()
	}
}

func TestLoadingThatOverflowsIsRefused(t *testing.T) {
	m := newTestModel(t, nil)
	putInto(t, m, "language_model.model.layers.0.mlp.up_proj.weight", 0, 0, math.MaxFloat32)
	dir := t.TempDir()
	if err := m.Save(dir, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	be := cpu.New(1)
	defer be.Close()
	if m, err := LoadAs(t.Context(), be, dir, LoadOptions{Weights: "float32"}); err != nil {
		t.Error(err)
	} else {
		m.Close()
	}
	_, err := LoadAs(t.Context(), be, dir, LoadOptions{Weights: "bfloat16"})
	if err == nil || !strings.Contains(err.Error(), "layers.0.mlp.up_proj.weight") || !strings.Contains(err.Error(), "overflow bfloat16") {
		t.Errorf("%v does not say what overflows", err)
	}
}

func BenchmarkArgMax(b *testing.B) {
	be := cpu.New(1)
	defer be.Close()
	const vocab = 32064
	x, err := be.Alloc(backend.F32, vocab)
	if err != nil {
		b.Fatal(err)
	}
	y, err := be.Alloc(backend.I32, 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		be.ArgMax(backend.View(y, 0, 1, 1), backend.View(x, 0, 1, vocab))
	}
}
