package dry

import (
	"testing"

	"vgid/model/backend"
	"vgid/model/backend/compliance"
	"vgid/model/cpu"
)

func TestCounts(t *testing.T) {
	be, c := New(Options{})
	defer backend.For(be, backend.Activations)()
	x, err := be.Alloc(backend.F32, 100)
	if err != nil {
		t.Fatal(err)
	}
	be.Fill(backend.View(x, 10, 2, 5), 1)
	y, err := be.Alloc(backend.BF16, 50)
	if err != nil {
		t.Fatal(err)
	}
	be.Copy(backend.View(y, 0, 1, 10), backend.View(x, 0, 1, 10))
	be.Copy(backend.View(y, 0, 1, 3), backend.View(x, 90, 1, 3)) // reading gives nothing
	want := backend.MemoryUse{backend.Activations: 500}
	if c.Live() != 500 || c.Written() != 4*20+2*10 || c.Peak() != want {
		t.Errorf("live %d, written %d, peak %v", c.Live(), c.Written(), c.Peak())
	}
	be.Free(x)
	be.Free(x)
	if c.Live() != 100 || c.Most() != 500 || c.Written() != 100 {
		t.Errorf("after Free: live %d, most %d, written %d", c.Live(), c.Most(), c.Written())
	}
	if c.Restart(); c.Most() != 100 || c.Written() != 20 {
		t.Errorf("after Restart: most %d, written %d", c.Most(), c.Written())
	}
}

func TestAdoptedMemoryCountsOnce(t *testing.T) {
	be, c := New(CPU())
	mem := make([]byte, 64)
	for range 2 {
		b, err := be.Adopt(backend.BF16, mem)
		if err != nil {
			t.Fatal(err)
		}
		be.Fill(backend.View(b, 0, 1, 32), 1)
		be.Free(b)
	}
	if c.Mapped() != 64 || c.Live() != 0 || c.Written() != 0 {
		t.Errorf("mapped %d, live %d, written %d", c.Mapped(), c.Live(), c.Written())
	}
	if _, err := be.Adopt(backend.F32, mem[2:]); err == nil {
		t.Error("memory that is not aligned was adopted")
	}
}

// On a GPU a product of two types needs a copy of one, in the type that the device
// computes in, and a divergence the logits of both heads in its chunk of rows.
func TestWorkspace(t *testing.T) {
	for _, c := range []struct {
		activations backend.DType
		product     int64 // of float32 [4, 8] and bfloat16 [16, 8]
	}{
		{backend.F32, 4 * 16 * 8},
		{backend.BF16, 2 * 4 * 8},
	} {
		be, counts := New(Options{Traits: backend.Traits{Workspace: true, Activations: c.activations}})
		tensor := func(dt backend.DType, rows, cols int) backend.Tensor {
			b, err := be.Alloc(dt, rows*cols)
			if err != nil {
				t.Fatal(err)
			}
			return backend.View(b, 0, rows, cols)
		}
		x, w, y := tensor(backend.F32, 4, 8), tensor(backend.BF16, 16, 8), tensor(backend.F32, 4, 16)
		be.MatMul(y, x, w, backend.MatMul{TransB: true, Alpha: 1})
		if got := counts.Peak()[backend.Workspace]; got != c.product || counts.Memory()[backend.Workspace] != 0 {
			t.Errorf("%v: a product takes %d bytes of workspace, want %d", c.activations, got, c.product)
		}
		h, head := tensor(c.activations, 3, 8), tensor(c.activations, 10, 8)
		loss := tensor(backend.F32, 3, 1)
		none := backend.Tensor{}
		be.LinearKL(loss, none, none, h, head, h, head, none, backend.KL{})
		want := int64(3 * 2 * 16 * c.activations.Size()) // rows of 16: ten, rounded up to eights
		if got := counts.Peak()[backend.Workspace]; got != want {
			t.Errorf("%v: a divergence takes %d bytes of workspace, want %d", c.activations, got, want)
		}
	}
}

// What no device would do is not estimated either: it is refused, in the same words.
func TestRefusesWhatDevicesRefuse(t *testing.T) {
	compliance.Refusals(t, func(*testing.T) backend.Backend {
		be, _ := New(Options{})
		return be
	})
}

func TestLikeTheCPU(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	if Like(be) != CPU() {
		t.Errorf("the CPU is %+v, taken for %+v", Like(be), CPU())
	}
}
