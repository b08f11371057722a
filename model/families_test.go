package model

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/hf"
	"vgid/model/nn"
	"vgid/model/tape"
)

// onGolden runs a test on every golden model, loaded on the CPU.
func onGolden(t *testing.T, run func(t *testing.T, m *Model, g *golden, dir string)) {
	be := cpu.New(1)
	defer be.Close()
	for _, dir := range goldenFolders(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m, err := Load(context.Background(), be, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			run(t, m, openGolden(t, dir, m.Config), dir)
		})
	}
}

func TestEveryFamilyIsSavedAsTheSameModel(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		dir := filepath.Join(t.TempDir(), "m")
		if err := m.Save(dir, SaveOptions{MaxShardBytes: 20000}); err != nil {
			t.Fatal(err)
		}
		n, err := Load(context.Background(), m.Backend(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		sameModel(t, n, m, g.seqs)
	})
}

// TestEveryFamilyPacks: a sequence does not feel its company, nor the room
// that generation has.
func TestEveryFamilyPacks(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		packed := logits(t, m, g.seqs)
		for i := range g.seqs {
			one := logits(t, m, g.seqs[i:i+1])
			if e := relative(one, packed[:len(one)]); e > 1e-5 {
				t.Errorf("sequence %d: relative error %g", i, e)
			}
			packed = packed[len(one):]
		}
		for _, room := range []int{1, 60} {
			out, err := m.Generate(context.Background(), g.seqs, GenerateOptions{MaxNew: 8, MaxBatchTokens: room})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := slices.Concat(out...), g.ints(t, "generated"); !slices.Equal(got, want) {
				t.Errorf("with room for %d tokens: generated %v, want %v", room, got, want)
			}
		}
	})
}

func TestEveryFamilyRecomputes(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		if _, err := m.Trainable("*"); err != nil {
			t.Fatal(err)
		}
		var kept int64
		for _, m.Recompute = range []bool{false, true} {
			tp := tape.New(m.Backend(), backend.F32)
			g.step(t, m, tp)
			g.compareGrads(t, m)
			if peak := tp.PeakBytes(); !m.Recompute {
				kept = peak
			} else if peak >= kept {
				t.Errorf("recomputation peaks at %d bytes, keeping at %d", peak, kept)
			}
			tp.Close()
		}
	})
}

func TestEveryFamilyStepsWithoutAllocating(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		if _, err := m.Trainable("*"); err != nil {
			t.Fatal(err)
		}
		tp := tape.New(m.Backend(), backend.F32)
		defer tp.Close()
		n := testing.AllocsPerRun(5, func() {
			tp.Reset(tape.Options{Grad: true})
			b, err := m.Pack(g.seqs)
			if err != nil {
				t.Fatal(err)
			}
			m.ZeroGrads()
			m.CE(tp, m.Hidden(tp, b), g.rows, g.targets, g.weights)
			if err := m.Backward(tp, nil); err != nil {
				t.Fatal(err)
			}
			b.Release()
		})
		if n > 2 {
			t.Errorf("%g allocations a step in steady state", n)
		}
	})
}

// TestAdaptersOfEveryFamily: an adapter that is saved and read again, by its
// own tower and decoder names, is the same function.
func TestAdaptersOfEveryFamily(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, dir string) {
		if _, err := m.AddLoRA(testAdapter(m)); err != nil {
			t.Fatal(err)
		}
		shake(m)
		out := filepath.Join(t.TempDir(), "adapter")
		if err := m.SaveAdapter(out, dir); err != nil {
			t.Fatal(err)
		}
		n, err := Load(context.Background(), m.Backend(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if _, err := n.LoadAdapter(out, AdapterOptions{}); err != nil {
			t.Fatal(err)
		}
		if want, got := logits(t, m, g.seqs), logits(t, n, g.seqs); !slices.Equal(got, want) {
			t.Errorf("logits differ by %g", maxAbsDiff(got, want))
		}
	})
}

// TestPatternsNameTheDecoderOfEveryFamily: one spelling, that of memory under
// transformers 5, means the same layers everywhere.
func TestPatternsNameTheDecoderOfEveryFamily(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, _ *golden, _ string) {
		names, err := m.Trainable("language_model.*.q_proj.weight", "language_model.layers.0.mlp")
		if err != nil {
			t.Fatal(err)
		}
		if n := m.Config.Text.Layers + 3 + 3*nn.Flag(m.Config.Text.MLPBias); len(names) != n {
			t.Errorf("trained are %v, want %d weights", names, n)
		}
		names, err = m.AddLoRA(LoRAConfig{R: 1, Alpha: 1, Targets: []string{"language_model.*.down_proj"}})
		if err != nil || len(names) != m.Config.Text.Layers {
			t.Errorf("adapter on %v: %v", names, err)
		}
	})
}

// testAdapter reaches the tower, the projector and the decoder.
func testAdapter(m *Model) LoRAConfig {
	targets := []string{"attn.qkv", "merger.mlp.2", "o_proj", "down_proj"}
	if m.Config.Type == "llava" {
		targets = []string{"fc1", "linear_1", "o_proj", "down_proj"}
	}
	return LoRAConfig{R: 2, Alpha: 4, Targets: targets}
}

// shake gives the adapter's B weights values.
func shake(m *Model) {
	for i, w := range m.Weights {
		if w.Branch == 2 {
			row := make([]float32, w.Value.Len())
			backend.FillRandom(row, backend.Normal, backend.Key{Seed: 4}, uint32(i))
			m.Backend().Upload(w.Value, row)
		}
	}
}

// TestTransformersLoadsEveryFamily runs testdata/check_saved.py on a model and
// an adapter saved here.
func TestTransformersLoadsEveryFamily(t *testing.T) {
	python := reference(t)
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		dir := t.TempDir()
		if err := m.Save(dir, SaveOptions{MaxShardBytes: 30000}); err != nil {
			t.Fatal(err)
		}
		base := logits(t, m, g.seqs[:1])
		if _, err := m.AddLoRA(testAdapter(m)); err != nil {
			t.Fatal(err)
		}
		shake(m)
		if err := m.SaveAdapter(filepath.Join(dir, "adapter"), dir); err != nil {
			t.Fatal(err)
		}
		writeCheck(t, m, dir, g.seqs[0], base, logits(t, m, g.seqs[:1]))
		python.check(t, dir)
	})
}

// writeCheck writes what check_saved.py compares with. adapter may be nil.
func writeCheck(t *testing.T, m *Model, dir string, s Sequence, base, adapter []float32) {
	t.Helper()
	floats := func(v ...int) []float32 {
		out := make([]float32, len(v))
		for i, x := range v {
			out[i] = float32(x)
		}
		return out
	}
	var ids, grids []int
	for _, id := range s.IDs {
		ids = append(ids, int(id))
	}
	shape := []int{len(s.IDs), m.Config.Text.VocabSize}
	tensors := []hf.NamedTensor{
		{Name: "input_ids", Shape: []int{1, len(ids)}, DType: "F32", Data: floats(ids...)},
		{Name: "logits", Shape: shape, DType: "F32", Data: base},
	}
	if adapter != nil {
		tensors = append(tensors, hf.NamedTensor{Name: "adapter.logits", Shape: shape, DType: "F32", Data: adapter})
	}
	var pixels []float32
	for _, img := range s.Images {
		pixels = append(pixels, img.Pixels...)
		grids = append(grids, img.Grid.T, img.Grid.H, img.Grid.W)
	}
	tensors = append(tensors, hf.NamedTensor{Name: "pixel_values", Shape: m.Config.PixelShape(s.Images), DType: "F32", Data: pixels})
	if m.Config.Type != "llava" {
		tensors = append(tensors, hf.NamedTensor{Name: "image_grid_thw", Shape: []int{len(s.Images), 3}, DType: "F32", Data: floats(grids...)})
	}
	if err := hf.WriteSafetensors(filepath.Join(dir, "check.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
}
