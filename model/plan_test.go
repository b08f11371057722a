package model

import (
	"context"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/dry"
)

// gauge is a CPU backend that knows what it holds.
type gauge struct {
	*cpu.Backend
	live, peak int64
}

func (g *gauge) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	g.live += int64(n) * int64(dt.Size())
	g.peak = max(g.peak, g.live)
	return g.Backend.Alloc(dt, n)
}

func (g *gauge) Free(b backend.Buffer) {
	g.live -= int64(b.Len()) * int64(b.DType().Size())
	g.Backend.Free(b)
}

// What is foretold is what the same work then allocates, to the byte.
func TestPlanIsWhatIsAllocated(t *testing.T) {
	onGolden(t, func(t *testing.T, m *Model, _ *golden, dir string) {
		o := PlanOptions{LoRA: testAdapter(m), Batch: 3, Tokens: 40, Answer: 5, Images: 1, Side: 16, New: 4}
		if m.Config.Text.MaxPositions < 44 {
			o.Tokens = m.Config.Text.MaxPositions - 4
		}
		needs, err := Plan(context.Background(), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range needs {
			g := &gauge{Backend: cpu.New(1)}
			n, err := LoadAs(context.Background(), plainGauge{g}, dir, o.Load)
			if err != nil {
				t.Fatal(err)
			}
			p := &planned{m: n, be: &dry.Backend{}, o: o}
			switch want.Step {
			case "load":
			case "forward":
				err = p.forward()
			case "generate":
				err = p.generate()
			case "lora step":
				err = p.step(false, false)
			case "lora step, recompute":
				err = p.step(false, true)
			case "full step":
				err = p.step(true, false)
			case "full step, recompute":
				err = p.step(true, true)
			default:
				t.Fatalf("step %q", want.Step)
			}
			if err != nil {
				t.Fatal(err)
			}
			if g.peak != want.Total {
				t.Errorf("%s: %d bytes were allocated, %d foretold", want.Step, g.peak, want.Total)
			}
			n.Close()
			if g.live != 0 {
				t.Errorf("%s: %d bytes are left", want.Step, g.live)
			}
			g.Close()
		}
		if full, lora := needs[4], needs[2]; full.Trained <= lora.Trained || full.Parameters <= lora.Parameters {
			t.Errorf("all weights: %+v, an adapter: %+v", full, lora)
		}
	})
}

// plainGauge hides that the CPU adopts memory.
type plainGauge struct{ backend.Backend }

func TestPlanOfMappedWeights(t *testing.T) {
	adoptAll(t)
	onGolden(t, func(t *testing.T, m *Model, _ *golden, dir string) {
		narrow, _ := narrowCopy(t, m)
		for _, dir := range []string{dir, narrow} {
			n := load(t, newMeter(t), dir, LoadOptions{})
			want := int64(0)
			for _, w := range n.weights {
				if w.mapped {
					want += int64(w.Value.Len()) * int64(w.stored.Size())
				}
			}
			got, err := plan(context.Background(), dir, PlanOptions{Adopts: true}, func(*planned) error { return nil })
			if err != nil || got.Mapped != want || want == 0 {
				t.Errorf("%d bytes are mapped, %d foretold (%v)", want, got.Mapped, err)
			}
		}
	})
}
