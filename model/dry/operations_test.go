package dry

import (
	"testing"

	"vgid/model/backend"
)

// What each operation writes to is what counts as given by the system, and what it
// only reads is not. Tensors are [4, 4] of float32, 64 bytes each, made anew for each
// operation.
func TestWhatOperationsWrite(t *testing.T) {
	const size = 4 * 4 * 4
	for name, tc := range map[string]struct {
		run  func(be backend.Backend, x func() backend.Tensor, col func() backend.Tensor, ints func() backend.Tensor)
		want int64 // bytes
	}{
		"upload":             {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.Upload(x(), make([]float32, 16)) }, size},
		"upload of integers": {func(be backend.Backend, _, _, ints func() backend.Tensor) { be.UploadInts(ints(), make([]int32, 4)) }, 16},
		"add":                {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.Add(x(), x(), x()) }, size},
		"axpy":               {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.Axpy(x(), 2, x()) }, size},
		"scale":              {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.Scale(x(), 2) }, size},
		"a sum":              {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.SumRows(x().RowRange(0, 1), x()) }, 16},
		"gather":             {func(be backend.Backend, x, _, ints func() backend.Tensor) { be.GatherRows(x(), x(), ints()) }, size},
		"scatter":            {func(be backend.Backend, x, _, ints func() backend.Tensor) { be.ScatterRows(x(), x(), ints()) }, size},
		"add rows":           {func(be backend.Backend, x, _, ints func() backend.Tensor) { be.ScatterAddRows(x(), x(), ints()) }, size},
		"norm": {func(be backend.Backend, x, col, _ func() backend.Tensor) {
			be.RMSNorm(x(), col(), x(), x().RowRange(0, 1), .1)
		}, size + 16},
		"norm, backward": {func(be backend.Backend, x, col, _ func() backend.Tensor) {
			be.RMSNormBackward(x(), x().RowRange(0, 1), x(), x(), x().RowRange(0, 1), col())
		}, size + 16},
		"norm of frozen weights, backward": {func(be backend.Backend, x, col, _ func() backend.Tensor) {
			be.RMSNormBackward(x(), backend.Tensor{}, x(), x(), x().RowRange(0, 1), col())
		}, size},
		"activation": {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.Activate(x(), x(), backend.GELU) }, size},
		"activation, backward": {func(be backend.Backend, x, _, _ func() backend.Tensor) {
			be.ActivateBackward(x(), x(), x(), backend.GELU)
		}, size},
		"gate":           {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.SwiGLU(x(), x(), x()) }, size},
		"gate, backward": {func(be backend.Backend, x, _, _ func() backend.Tensor) { be.SwiGLUBackward(x(), x(), x(), x(), x()) }, 2 * size},
		"rotation": {func(be backend.Backend, x, _, _ func() backend.Tensor) {
			be.RoPE(x(), x().ColRange(0, 1), x().ColRange(0, 1), 2, false)
		}, size},
		"largest": {func(be backend.Backend, x, _, ints func() backend.Tensor) { be.ArgMax(ints(), x()) }, 16},
		"squares": {func(be backend.Backend, x, _, _ func() backend.Tensor) {
			be.SumSquares(x().RowRange(0, 1).ColRange(0, 1), x())
		}, 4},
		"cross-entropy": {func(be backend.Backend, x, col, ints func() backend.Tensor) {
			be.LinearCE(col(), x(), x(), x(), x(), ints(), col())
		}, 2*size + 16},
		"... of no grads": {func(be backend.Backend, x, col, ints func() backend.Tensor) {
			be.LinearCE(col(), backend.Tensor{}, backend.Tensor{}, x(), x(), ints(), backend.Tensor{})
		}, 16},
	} {
		t.Run(name, func(t *testing.T) {
			be, counts := New(Options{})
			made := func(dt backend.DType, cols int) func() backend.Tensor {
				return func() backend.Tensor {
					b, err := be.Alloc(dt, 4*cols)
					if err != nil {
						t.Fatal(err)
					}
					return backend.View(b, 0, 4, cols)
				}
			}
			tc.run(be, made(backend.F32, 4), made(backend.F32, 1), made(backend.I32, 1))
			if err := be.Sync(); err != nil {
				t.Fatal(err)
			}
			if got := counts.Written(); got != tc.want {
				t.Errorf("%d bytes were written to, want %d", got, tc.want)
			}
		})
	}
}

// There is nothing to read: downloads clear what they are given, and a copy for the host is
// refused.
func TestNoContents(t *testing.T) {
	be, counts := New(CUDA(backend.BF16))
	if tr := be.Traits(); !tr.Empty || !tr.Accounts || tr.Activations != backend.BF16 || tr.Adopts || tr.OnDemand {
		t.Errorf("the traits are %+v", tr)
	}
	b, err := be.Alloc(backend.F32, 4)
	if err != nil {
		t.Fatal(err)
	}
	host := []float32{1, 2, 3, 4}
	if err := be.Download(host, backend.View(b, 0, 1, 4)); err != nil || host[0] != 0 || host[3] != 0 {
		t.Errorf("downloaded %v, %v", host, err)
	}
	if _, err := counts.NewHostCopy(backend.View(b, 0, 1, 4)); err == nil {
		t.Error("contents that there are not were copied")
	}
	if counts.Written() != 0 {
		t.Error("reading wrote")
	}
}

// Logits are made in chunks of rows that fit what they may take, one row at least; a
// head in another type than its rows is converted beside them.
func TestWorkspaceOfAHead(t *testing.T) {
	for name, tc := range map[string]struct {
		o    Options
		rows int
		head backend.DType
		want int64
	}{
		// 10 columns are 16 floats: 64 bytes a row.
		"all rows":          {Options{}, 6, backend.F32, 6 * 64},
		"chunks of two":     {Options{LogitBytes: 64*3 - 1}, 6, backend.F32, 2 * 64},
		"a row at least":    {Options{LogitBytes: 1}, 6, backend.F32, 64},
		"another type":      {Options{LogitBytes: 64}, 6, backend.BF16, 64 + 10*8*4},
		"cuBLASLt besides":  {Options{LogitBytes: 64, LtBytes: 1000}, 6, backend.F32, 64 + 1000},
		"no rows, no space": {Options{LtBytes: 1000}, 0, backend.F32, 0},
	} {
		tc.o.Workspace = true
		be, counts := New(tc.o)
		tensor := func(dt backend.DType, rows, cols int) backend.Tensor {
			b, err := be.Alloc(dt, rows*cols)
			if err != nil {
				t.Fatal(err)
			}
			return backend.View(b, 0, rows, cols)
		}
		none := backend.Tensor{}
		be.LinearCE(tensor(backend.F32, tc.rows, 1), none, none, tensor(backend.F32, tc.rows, 8), tensor(tc.head, 10, 8), tensor(backend.I32, tc.rows, 1), none)
		if err := be.Sync(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := counts.Peak()[backend.Workspace]; got != tc.want {
			t.Errorf("%s: %d bytes of workspace, want %d", name, got, tc.want)
		}
	}
}
