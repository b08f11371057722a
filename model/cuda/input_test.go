//go:build cuda && cgo && linux

package cuda

import (
	"slices"
	"testing"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
)

// denseTensor is a tensor with a buffer of its own.
func denseTensor(t *testing.T, b backend.Backend, dt backend.DType, rows, cols int) backend.Tensor {
	t.Helper()
	buf, err := b.Alloc(dt, rows*cols)
	if err != nil {
		t.Fatal(err)
	}
	return backend.View(buf, 0, rows, cols)
}

func constant(n int, v float32) []float32 { return slices.Repeat([]float32{v}, n) }

// Whatever order the streams run in, an operation sees what was uploaded before
// it and nothing that is uploaded later: through one buffer, through two in
// turn, through memory of the operation, into fresh memory and before a free.
// The ring is so small that its halves are used again many times.
func TestUploadsAreOrderedSimulated(t *testing.T) {
	b := openTest(Options{StagingBytes: 1 << 10})(t)
	const n, rounds = 100, 60
	var in [2]backend.Tensor
	for i := range in {
		in[i] = denseTensor(t, b, backend.F32, 1, n)
	}
	narrow := denseTensor(t, b, backend.BF16, 1, n)
	sums := denseTensor(t, b, backend.F32, rounds, 4)
	ones := denseTensor(t, b, backend.F32, n, 1)
	b.Fill(ones, 1)
	into := func(r, c int, x backend.Tensor) {
		b.MatMul(sums.RowRange(r, r+1).ColRange(c, c+1), x, ones, backend.MatMul{Alpha: 1})
	}
	for r := range rounds {
		v := float32(r + 1)
		b.Upload(in[0], constant(n, v)) // one buffer: after the operation on it
		into(r, 0, in[0])
		two := in[r%2]
		b.Upload(two, constant(n, 2*v))
		into(r, 1, two)
		b.Upload(narrow, constant(n, v)) // through memory of the operation
		into(r, 2, narrow)
		fresh := denseTensor(t, b, backend.F32, 1, n)
		b.Upload(fresh, constant(n, 3*v)) // not before it is allocated and cleared
		if r%2 == 0 {
			into(r, 3, fresh)
		} else {
			into(r, 3, in[0])
		}
		b.Free(fresh.Buf) // not before the copy, read or not
	}
	got := make([]float32, 4*rounds)
	if err := b.Download(got, sums); err != nil {
		t.Fatal(err)
	}
	for r := range rounds {
		v := float32(n * (r + 1))
		want := []float32{v, 2 * v, v, 3 * v}
		if r%2 == 1 {
			want[3] = v // in[0], for in[1] had the other
		}
		if !slices.Equal(got[4*r:4*r+4], want) {
			t.Fatalf("round %d: sums %v, want %v", r, got[4*r:4*r+4], want)
		}
	}
}

// The next input is copied while operations on the present one still wait, when
// it goes to another buffer, and never when it goes to the same.
func TestUploadsOvertakeSimulated(t *testing.T) {
	for _, c := range []struct {
		name    string
		buffers int
	}{{"one buffer", 1}, {"two buffers", 2}} {
		t.Run(c.name, func(t *testing.T) {
			b := openTest(Options{StagingBytes: 1 << 20})(t)
			const n, rounds = 100, 40
			y := denseTensor(t, b, backend.F32, 1, n)
			var in []backend.Tensor
			for range c.buffers {
				in = append(in, denseTensor(t, b, backend.F32, 1, n))
			}
			before := driver.SimulatedCounter("ahead")
			waits := driver.SimulatedCounter("waits")
			for r := range rounds {
				x := in[r%len(in)]
				b.Upload(x, constant(n, 1))
				for range 5 {
					b.Axpy(y, 1, x)
				}
			}
			if n := driver.SimulatedCounter("waits") - waits; n != 0 {
				t.Errorf("the host waited %d times", n)
			}
			if err := b.Sync(); err != nil {
				t.Fatal(err)
			}
			ahead := driver.SimulatedCounter("ahead") - before
			t.Logf("%d of %d copies were done before operations on the other buffer", ahead/(4*n), rounds)
			if (ahead > 0) != (c.buffers > 1) {
				t.Errorf("%d bytes were copied before operations that were queued earlier", ahead)
			}
		})
	}
}
