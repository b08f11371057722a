package train

import (
	"testing"

	"vgid/collective"
	"vgid/model"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/vgid/vgidtest"
)

// gauge is a CPU that knows what it holds.
type gauge struct {
	backend.Backend
	live int64
}

func (g *gauge) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	g.live += int64(n) * int64(dt.Size())
	return g.Backend.Alloc(dt, n)
}

func (g *gauge) Free(b backend.Buffer) {
	g.live -= int64(b.Len()) * int64(b.DType().Size())
	g.Backend.Free(b)
}

// A step that is taken again takes no memory that it did not have the first time, and
// all of it is given back at the end, with a batch that was prepared ahead.
func TestStepsTakeNoMoreMemory(t *testing.T) {
	for _, method := range []string{"vgid", "graddiff", "npo"} {
		t.Run(method, func(t *testing.T) {
			c := vgidtest.Small(t, map[string]string{"unlearn.method": method, "unlearn.accumulate": "3"})
			g := &gauge{Backend: cpu.New(1)}
			defer g.Close()
			m, err := model.LoadAs(t.Context(), g, c.Model.Base, model.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, enc := opened(t, c)
			obj, err := distilling(t, c, m, enc)
			if err != nil {
				t.Fatal(err)
			}
			tr, err := NewTrainer(t.Context(), m, obj, Options{Comm: collective.Solo(), Optim: c.Unlearn.Optim, Steps: 9, Seed: c.Seed})
			if err != nil {
				t.Fatal(err)
			}
			var live [4]int64
			for i := range live {
				tr.step = 0 // the same samples
				if _, err := tr.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
				live[i] = g.live
			}
			if live[3] != live[1] {
				t.Errorf("the same step, taken again and again, leaves %v bytes", live)
			}
			tr.Close()
			obj.Close()
			m.Close()
			if g.live != 0 {
				t.Errorf("%d bytes are left", g.live)
			}
		})
	}
}
