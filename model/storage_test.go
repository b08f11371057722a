package model

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/dry"
	"vgid/model/hf"
	"vgid/model/optim"
	"vgid/model/tape"
)

// meter counts the memory that is asked for.
type meter struct {
	backend.Backend
	bytes int64
	free  int64 // what it says is left, when positive
}

func (m *meter) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	m.bytes += int64(n) * int64(dt.Size())
	return m.Backend.Alloc(dt, n)
}

func (m *meter) FreeBytes() (int64, error) {
	if m.free > 0 {
		return m.free, nil
	}
	return m.Backend.FreeBytes()
}

func newMeter(t *testing.T) *meter {
	m := &meter{Backend: cpu.New(1)}
	t.Cleanup(func() { m.Close() })
	return m
}

// everything is the MapFrom by which matrices of any size stay in the mapped file.
const everything = 1

// narrowCopy saves a golden model as bfloat16 and its values, as rounded, again
// as float32.
func narrowCopy(t *testing.T, m *Model) (narrow, wide string) {
	t.Helper()
	narrow, wide = filepath.Join(t.TempDir(), "narrow"), filepath.Join(t.TempDir(), "wide")
	if err := m.Save(narrow, SaveOptions{DType: "bfloat16"}); err != nil {
		t.Fatal(err)
	}
	n := load(t, m.Backend(), narrow, LoadOptions{Weights: "float32"})
	if err := n.Save(wide, SaveOptions{DType: "float32"}); err != nil {
		t.Fatal(err)
	}
	return narrow, wide
}

func load(t *testing.T, be backend.Backend, dir string, o LoadOptions) *Model {
	t.Helper()
	m, err := LoadAs(context.Background(), be, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// However the matrices are kept, the numbers are those of the values: from
// bfloat16 or float32 files, copied or mapped, answers and gradients agree.
func TestStorageDoesNotChangeNumbers(t *testing.T) {
	if testing.Short() {
		t.Skip("each golden model in narrow and wide storage")
	}
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		narrow, wide := narrowCopy(t, m)
		run := func(m *Model) (out, grads []float32) {
			if _, err := m.AddLoRA(testAdapter(m)); err != nil {
				t.Fatal(err)
			}
			shake(m)
			tp := tape.New(m.Backend(), backend.F32)
			defer tp.Close()
			g.step(t, m, tp)
			grads = make([]float32, m.Flat().Len())
			if err := m.Backend().Download(grads, m.Flat().Grads()); err != nil {
				t.Fatal(err)
			}
			return logits(t, m, g.seqs), grads
		}
		plain := load(t, plainBackend{newMeter(t)}, wide, LoadOptions{Weights: "float32", MapFrom: everything})
		want, wantGrads := run(plain)
		for _, c := range []struct {
			name, dir string
			adopts    bool
			weights   string
			narrow    bool
		}{
			{"narrow files, mapped", narrow, true, "", true},
			{"narrow files, copied", narrow, false, "auto", true},
			{"narrow files, widened", narrow, true, "float32", false},
			{"wide files, mapped", wide, true, "", false},
			{"wide files, narrowed", wide, true, "bfloat16", true},
		} {
			be := newMeter(t)
			var device backend.Backend = be
			if !c.adopts {
				device = plainBackend{be}
			}
			n := load(t, device, c.dir, LoadOptions{Weights: c.weights, MapFrom: everything})
			for _, w := range n.Weights {
				if dt := w.Value.Buf.DType(); (dt == backend.BF16) != (c.narrow && w.Decay) {
					t.Errorf("%s: %s is kept as %v", c.name, w.Name, dt)
				}
				if mapped := c.adopts && w.Decay && (c.weights == ""); w.Mapped() != mapped {
					t.Errorf("%s: %s is mapped: %v", c.name, w.Name, w.Mapped())
				}
			}
			got, grads := run(n)
			if e := relative(got, want); e > 1e-6 {
				t.Errorf("%s: logits are %g off", c.name, e)
			}
			if e := relative(grads, wantGrads); e > 1e-5 {
				t.Errorf("%s: gradients are %g off", c.name, e)
			}
		}
	})
}

// plainBackend is one that adopts no memory.
type plainBackend struct{ backend.Backend }

func (plainBackend) Traits() backend.Traits { return backend.Traits{} }

// A mapped model takes no memory for its matrices, shares them with its clone,
// and gives those that are trained memory of their own: the file never changes.
func TestMappedWeights(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		dir, _ := narrowCopy(t, m)
		before, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		be := newMeter(t)
		n := load(t, be, dir, LoadOptions{MapFrom: everything})
		vectors := int64(0)
		for _, w := range n.Weights {
			if !w.Decay {
				vectors += 4 * int64(w.Value.Len())
			}
		}
		if be.bytes != vectors {
			t.Errorf("%d bytes were taken, want %d for norms and biases", be.bytes, vectors)
		}
		clone, err := n.Clone()
		if err != nil {
			t.Fatal(err)
		}
		if be.bytes != 2*vectors {
			t.Errorf("the clone took %d bytes, want %d", be.bytes-vectors, vectors)
		}
		want := logits(t, n, g.seqs)
		if _, err := n.Trainable("*"); err != nil {
			t.Fatal(err)
		}
		n.Backend().Scale(n.Flat().Values(), 0.5)
		if got := logits(t, n, g.seqs); relative(got, want) < 1e-2 {
			t.Error("training changes nothing")
		}
		if _, err := n.Trainable(); err != nil { // back to memory of their own
			t.Fatal(err)
		}
		n.Close()
		if got := logits(t, clone, g.seqs); !slices.Equal(got, want) {
			t.Errorf("the clone followed: %g", relative(got, want))
		}
		clone.Close()
		if after, err := os.ReadFile(filepath.Join(dir, "model.safetensors")); err != nil || !bytes.Equal(before, after) {
			t.Errorf("the file changed (%v)", err)
		}
	})
}

// Too little memory is refused before any is taken, in one line that says how
// much is missing and how less would do.
func TestTooLittleMemoryIsRefused(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	dir := t.TempDir()
	if err := m.Save(dir, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	be := newMeter(t)
	be.free = 1000
	_, err := LoadAs(context.Background(), be, dir, LoadOptions{})
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{dir, "the weights take", "1000 B are free", "are missing; kept as bfloat16 they take"} {
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if be.bytes != 0 {
		t.Errorf("%d bytes were taken all the same", be.bytes)
	}
	if _, err := LoadAs(context.Background(), be, dir, LoadOptions{Weights: "float16"}); err == nil || !strings.Contains(err.Error(), `weights "float16"`) {
		t.Errorf("storage that is not implemented: %v", err)
	}
}

// So are the buffers of what is trained; the model is then as it was.
func TestTooLittleMemoryToTrainIsRefused(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	dir := t.TempDir()
	if err := m.Save(dir, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	be := newMeter(t)
	n, err := LoadAs(context.Background(), be, dir, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	loaded := be.bytes
	refused := func(err error, what string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "are missing; train fewer weights") || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v does not say %q", err, what)
		}
	}
	be.free = 100
	_, err = n.AddLoRA(testAdapter(n))
	refused(err, "the trained values and their gradients take")
	if be.bytes != loaded {
		t.Errorf("%d bytes were taken all the same", be.bytes-loaded)
	}
	be.free = 0
	if _, err := n.AddLoRA(testAdapter(n)); err != nil {
		t.Fatal(err)
	}
	be.free = 100
	_, err = optim.New(n.Set, optim.Config{})
	refused(err, "the optimizer's moments take")
}

// A model is written under the names, in the files and with the element types
// it was read from, to the byte where nothing changed.
func TestSaveKeepsTheLayout(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, _ string) {
		from, to := newLayout(t, m), filepath.Join(t.TempDir(), "to")
		n := load(t, m.Backend(), from, LoadOptions{})
		if err := n.Save(to, SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		a, b := folder(t, from), folder(t, to)
		for name := range a {
			if !bytes.Equal(a[name], b[name]) {
				t.Errorf("%s differs", name)
			}
		}
		if len(a) != len(b) {
			t.Errorf("%d files became %d", len(a), len(b))
		}
	})
}

// newLayout saves a model in transformers 5's names, several shards and two
// element types.
func newLayout(t *testing.T, m *Model) string {
	t.Helper()
	dir := t.TempDir()
	if err := m.Save(dir, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := hf.OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var list []hf.Stream
	for i, name := range w.Names() {
		info, _ := w.Info(name)
		info.DType = []string{"BF16", "F16", "F32"}[i%3]
		list = append(list, hf.Stream{Name: m.Config.Family.MemoryName(m.Config.Family.DiskName(name)), TensorInfo: info, Rows: func(dst []float32, from int) error { return w.ReadRows(name, dst, from) }})
	}
	shards := hf.Shards(list, 8000)
	if len(shards) < 2 {
		t.Fatal("one shard only")
	}
	out := t.TempDir()
	if err := hf.WriteShards(out, shards); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"config.json", "generation_config.json"} {
		if err := hf.CopyFile(out, dir, f); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func folder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		if out[f.Name()], err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Merging on the way to the file is merging in memory; from a lazy model too,
// which has no memory to merge in.
func TestMergedFolder(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, g *golden, dir string) {
		c := testAdapter(m)
		c.ModulesToSave = []string{"norm"}
		if _, err := m.AddLoRA(c); err != nil {
			t.Fatal(err)
		}
		shake(m)
		for _, w := range m.Weights {
			if w.Whole {
				m.Backend().Scale(w.Value, 1.5)
			}
		}
		adapter, whole, lazy := t.TempDir(), t.TempDir(), t.TempDir()
		if err := m.SaveAdapter(adapter, dir); err != nil {
			t.Fatal(err)
		}
		if err := m.Save(whole, SaveOptions{Merge: true}); err != nil {
			t.Fatal(err)
		}
		be := newMeter(t)
		n := load(t, be, dir, LoadOptions{Lazy: true})
		if _, err := n.LoadAdapter(adapter, AdapterOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := n.Save(lazy, SaveOptions{Merge: true}); err != nil {
			t.Fatal(err)
		}
		a, b := folder(t, whole), folder(t, lazy)
		for name := range a {
			if !bytes.Equal(a[name], b[name]) {
				t.Errorf("%s differs between a loaded and a lazy model", name)
			}
		}
		want := logits(t, m, g.seqs)
		if err := m.MergeLoRA(); err != nil {
			t.Fatal(err)
		}
		inMemory := logits(t, m, g.seqs)
		if e := relative(inMemory, want); e > 1e-5 {
			t.Errorf("merging in memory moves logits by %g", e)
		}
		if e := relative(logits(t, load(t, m.Backend(), whole, LoadOptions{}), g.seqs), inMemory); e > 1e-6 {
			t.Errorf("the merged folder is %g off", e)
		}
	})
}

// What a device that only counts takes as mapped is what the CPU maps.
func TestMappedWeightsAreCounted(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, _ *golden, dir string) {
		narrow, _ := narrowCopy(t, m)
		for _, dir := range []string{dir, narrow} {
			n := load(t, newMeter(t), dir, LoadOptions{MapFrom: everything})
			want := int64(0)
			for _, w := range n.Weights {
				if w.Mapped() {
					want += int64(w.Value.Len()) * int64(w.Stored().Size())
				}
			}
			be, counts := dry.New(dry.Like(n.Backend()))
			teacher, err := load(t, be, dir, LoadOptions{MapFrom: everything}).Clone() // of the same memory
			if err != nil {
				t.Fatal(err)
			}
			defer teacher.Close()
			if got := counts.Mapped(); got != want || want == 0 {
				t.Errorf("%d bytes are mapped, %d counted", want, got)
			}
		}
	})
}
