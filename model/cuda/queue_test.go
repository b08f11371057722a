//go:build cuda && cgo && linux

package cuda

import (
	"testing"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
)

// Nothing waits for the device before Sync, and nothing is copied through
// memory that is not page-locked.
func TestOperationsDoNotWaitSimulated(t *testing.T) {
	b := openTest(Options{StagingBytes: 1 << 20, LogitBytes: 4 << 10})(t)
	if d := b.Device().(*Device); !d.Info().Simulated {
		t.Skip("only a simulated device counts waits")
	} else if !d.Info().MemoryPools {
		t.Skip("without memory pools, giving memory back waits for the device")
	}
	tensor := func(rows, cols int) backend.Tensor {
		buf, err := b.Alloc(backend.F32, rows*cols)
		if err != nil {
			t.Fatal(err)
		}
		return backend.View(buf, 0, rows, cols)
	}
	x, w, y, loss, weight := tensor(30, 16), tensor(40, 16), tensor(30, 40), tensor(30, 1), tensor(30, 1)
	buf, err := b.Alloc(backend.I32, 30)
	if err != nil {
		t.Fatal(err)
	}
	idx := backend.View(buf, 0, 30, 1)
	grads, err := b.NewHostCopy(y)
	if err != nil {
		t.Fatal(err)
	}
	defer grads.Free()
	seqs := backend.Seqs{Start: []int32{0}, Len: []int32{30}}
	before, pageable := driver.SimulatedCounter("waits"), driver.SimulatedCounter("pageable")
	for range 5 {
		b.Upload(x, make([]float32, 30*16))
		b.UploadInts(idx, make([]int32, 30))
		b.MatMul(y, x, w, backend.MatMul{TransB: true, Alpha: 1})
		b.GatherRows(x, w, idx)
		b.Attention(x, tensor(30, 2), x, x, x, backend.Attention{Q: seqs, KV: seqs, Heads: 2, KVHeads: 2, HeadDim: 8, Scale: 1})
		b.LinearCE(loss, x, w, x, w, idx, weight)
		b.SumRows(tensor(1, 40), y)
		grads.Fetch()
	}
	if n := driver.SimulatedCounter("waits") - before; n != 0 {
		t.Errorf("the host waited %d times before Sync", n)
	}
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := grads.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := driver.SimulatedCounter("pageable") - pageable; n != 0 {
		t.Errorf("%d copies went through memory that is not page-locked", n)
	}
}
