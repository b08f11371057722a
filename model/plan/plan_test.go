package plan

import (
	"context"
	"path/filepath"
	"testing"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/dry"
	"vgid/model/hf/modeldir"
	"vgid/vgid/train"
)

// gauge is a CPU that knows what it holds. It hides that the CPU adopts memory.
type gauge struct {
	backend.Device
	live, peak int64
}

func (g *gauge) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	g.live += int64(n) * int64(dt.Size())
	g.peak = max(g.peak, g.live)
	return g.Device.Alloc(dt, n)
}

func (g *gauge) Free(b backend.Buffer) {
	g.live -= int64(b.Len()) * int64(b.DType().Size())
	g.Device.Free(b)
}

// training is a method's, sharded among some workers.
func training(method string, workers int) Training {
	return func(ctx context.Context, m *model.Model, full bool, choose func() error) (Trained, error) {
		of, err := train.Named(method)
		if err != nil {
			return nil, err
		}
		return of.Sized(ctx, m, full, workers, choose)
	}
}

// onModels runs a test on the tiny model of each family, with work on it.
func onModels(t *testing.T, f func(t *testing.T, dir string, o Options)) {
	dirs, err := filepath.Glob("../testdata/golden/*/config.json")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no models in model/testdata/golden (%v)", err)
	}
	for _, path := range dirs {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c, err := model.ReadConfig(dir)
			if err != nil {
				t.Fatal(err)
			}
			o := Options{
				LoRA:     model.LoRAConfig{R: 2, Alpha: 4, Targets: []string{"o_proj", "down_proj"}},
				Training: training("vgid", 1),
				Batch:    3, Tokens: min(40, c.Text.MaxPositions-4), Answer: 5, Images: 1, Side: 16, New: 4,
			}
			f(t, dir, o)
		})
	}
}

// What is estimated is what the same work then allocates, to the byte.
func TestEstimatedIsWhatIsAllocated(t *testing.T) {
	onModels(t, func(t *testing.T, dir string, o Options) {
		byName := compared(t, dir, o)
		if len(byName) != len(Names()) {
			t.Fatalf("%d steps are estimated, there are %q", len(byName), Names())
		}
		if full, lora := byName[FullStep], byName[LoRAStep]; full.Trained <= lora.Trained || full.Parameters <= lora.Parameters {
			t.Errorf("all weights: %+v, an adapter: %+v", full, lora)
		}
		// Methods have steps of their own: what one reads twice another does not read.
		for _, m := range train.Methods()[1:] {
			o.Training = training(m.Name, 1)
			compared(t, dir, o, LoRAStep, FullStep+Recompute)
		}
		// A worker of several has the moments of its part: of 8 bytes for each parameter a half,
		// a quarter. The rest are the sums that make up the norm, and zeros that align weights.
		all := compared(t, dir, o, FullStep)[FullStep]
		for _, workers := range []int{2, 4} {
			o.Training = training("vgid", workers)
			one := compared(t, dir, o, FullStep)[FullStep]
			saved, want := all.Trained-one.Trained, int64(8*all.Parameters)*int64(workers-1)/int64(workers)
			if saved < want-100 || saved > want+want/20 {
				t.Errorf("among %d workers %d bytes are saved, want about %d", workers, saved, want)
			}
		}
	})
}

// compared takes the steps of work that are named, or all, and holds what they
// allocate against their estimates, which it gives.
func compared(t *testing.T, dir string, o Options, names ...string) map[string]Need {
	t.Helper()
	needs, err := Estimate(t.Context(), modeldir.Open(dir), o, names...)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Need{}
	for _, want := range needs {
		byName[want.Step] = want
		g := &gauge{Device: cpu.NewDevice(1)}
		be := backend.New(g)
		if err := Do(t.Context(), be, modeldir.Open(dir), o, want.Step); err != nil {
			t.Fatal(err)
		}
		if g.peak != want.Total {
			t.Errorf("%s: %d bytes were allocated, %d estimated", want.Step, g.peak, want.Total)
		}
		if g.live != 0 {
			t.Errorf("%s: %d bytes are left", want.Step, g.live)
		}
		if want.Written <= 0 || want.Written > want.Total {
			t.Errorf("%s: %d of %d bytes are written", want.Step, want.Written, want.Total)
		}
		be.Close()
	}
	return byName
}

// touched fills what is allocated with a value that nothing computes, and finds
// what has been written to since.
type touched struct {
	backend.Device
	live    map[backend.Buffer]int
	written int64
}

const untouched = -7.25e30

func (g *touched) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	b, err := g.Device.Alloc(dt, n)
	if err == nil && dt == backend.F32 {
		g.Device.Fill(backend.View(b, 0, 1, n), untouched)
		g.live[b] = n
	}
	return b, err
}

func (g *touched) Free(b backend.Buffer) {
	if n := g.live[b]; n > 0 {
		values := make([]float32, n)
		if g.Device.Download(values, backend.View(b, 0, 1, n)); g.Err() == nil {
			for n > 0 && values[n-1] == untouched {
				n--
			}
			g.written += 4 * int64(n)
		}
	}
	delete(g.live, b)
	g.Device.Free(b)
}

// What is estimated to be written is no more than what is: float32 memory that
// the pass leaves alone at the end of its buffers does not count.
func TestWrittenIsWhatIsWritten(t *testing.T) {
	onModels(t, func(t *testing.T, dir string, o Options) {
		o.Batch, o.New = 1, 1
		for _, name := range []string{"forward", LoRAStep} {
			needs, err := Estimate(t.Context(), modeldir.Open(dir), o, name)
			if err != nil {
				t.Fatal(err)
			}
			g := &touched{Device: cpu.NewDevice(1), live: map[backend.Buffer]int{}}
			be := backend.New(g)
			if err := Do(t.Context(), be, modeldir.Open(dir), o, name); err != nil {
				t.Fatal(err)
			}
			be.Close()
			// Zeros that nobody writes and indices are on the side that is estimated too low.
			if got, want := g.written, needs[0].Written; want > got+1<<14 || want < got/2 {
				t.Errorf("%s: %d bytes of float32 were written, %d estimated, %d allocated", name, got, want, needs[0].Total)
			}
		}
	})
}

func TestUnknownStep(t *testing.T) {
	be, _ := dry.New(dry.Options{})
	if err := Do(t.Context(), be, modeldir.Open("../testdata/golden/llava_mha"), Options{}, "leap"); err == nil {
		t.Error("a step that nobody knows was taken")
	}
}
