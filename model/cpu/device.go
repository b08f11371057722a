// Package cpu is the float32 backend for processors: packed matrix
// multiplication in AVX2 or AVX-512 assembly and fused vector loops in AVX2
// (portable Go where there is none), spread over a few persistent threads.
//
// Operations run at once, on the caller's goroutine and the workers. In steady
// state they allocate nothing, so that a step's time does not depend on when the
// garbage collector runs. Results are the same bits for any number of threads:
// work is cut by shape alone, and sums over rows are made of partial sums added
// in a fixed order.
//
// Every operation is a task (pool.go): its arguments, and what it does with one
// chunk. Begin with elementwise.go for a simple one; matmul.go, plan.go and
// gemm.go are the matrix product, where the time goes.
package cpu

import (
	"fmt"
	"runtime"
	"unsafe"

	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// Device implements backend.Device. One operation runs at a time, and it is over
// when its method returns: that is why one set of tasks and one shared scratch
// memory are enough, and why Sync has nothing to wait for.
type Device struct {
	backend.Failure
	threads int
	pool    *pool
	shared  scratch // memory an operation shares between its chunks
	tasks   tasks
}

var (
	_ backend.Device         = (*Device)(nil)
	_ backend.Adopter        = (*Device)(nil)
	_ backend.HostMemory     = (*Device)(nil)
	_ backend.MemoryReporter = (*Device)(nil)
)

// tasks holds the arguments of the running operation, one of each kind, so
// that handing them to the workers allocates nothing.
type tasks struct {
	gemm          gemmTask
	spans         spanTask
	sums          sumRowsTask
	gather        gatherTask
	norm          normTask
	normBack      normBackTask
	random        randomTask
	rope          ropeTask
	attention     attentionTask
	attentionBack attentionBackTask
	patchify      patchifyTask
	head          headTask
	squares       squaresTask
}

// New starts a backend on so many threads; 0 means GOMAXPROCS. Close it to
// stop them.
func New(threads int) backend.Backend { return backend.New(NewDevice(threads)) }

// NewDevice is the device of New.
func NewDevice(threads int) *Device {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return &Device{threads: threads, pool: newPool(threads), shared: scratch{peak: new(peak)}}
}

// Name implements backend.Device.
func (b *Device) Name() string {
	s := "s"
	if b.threads == 1 {
		s = ""
	}
	return fmt.Sprintf("cpu(%s, %d thread%s)", simd.Current(), b.threads, s)
}

// Threads is the number of threads that operations use.
func (b *Device) Threads() int { return b.threads }

// Traits implements backend.Device. Products take bfloat16 weights as they are,
// widened while they are packed, so files can be adopted; everything else computes
// in float32, which is what processors are fast in.
func (b *Device) Traits() backend.Traits { return backend.Traits{Adopts: true, OnDemand: true} }

// buffer is host memory of one element type.
// One of f, h and i is set, by the element type; none after Free.
type buffer struct {
	backend.Storage
	f []float32
	h []uint16
	i []int32
}

// alignedFloats returns n zeros that start on a cache line: a vector load that
// crosses one costs twice.
func alignedFloats(n int) []float32 {
	f := make([]float32, n+16)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(f)))/4) & 15
	return f[skip : skip+n : skip+n]
}

// Alloc implements backend.Device.
//
// Zeroed pages of a large buffer take room only when they are touched; OnDemand in Traits says
// so.
func (b *Device) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	buf := &buffer{Storage: backend.NewStorage(dt, n)}
	switch dt {
	case backend.F32:
		buf.f = alignedFloats(n)
	case backend.BF16:
		buf.h = make([]uint16, n)
	case backend.I32:
		buf.i = make([]int32, n)
	}
	return buf, nil
}

// Adopt implements backend.Adopter.
//
// mem has to be aligned to its elements, and to outlive the buffer.
func (b *Device) Adopt(dt backend.DType, mem []byte) (backend.Buffer, error) {
	at, n := unsafe.Pointer(unsafe.SliceData(mem)), len(mem)/dt.Size()
	buf := &buffer{Storage: backend.NewStorage(dt, n)}
	switch dt {
	case backend.F32:
		buf.f = unsafe.Slice((*float32)(at), n)
	case backend.BF16:
		buf.h = unsafe.Slice((*uint16)(at), n)
	case backend.I32:
		buf.i = unsafe.Slice((*int32)(at), n)
	}
	return buf, nil
}

// Free implements backend.Device; the memory returns to Go's heap.
func (b *Device) Free(buf backend.Buffer) {
	h := buf.(*buffer)
	h.f, h.h, h.i = nil, nil, nil
}

// Sync implements backend.Device; operations are never pending.
func (b *Device) Sync() {}

// Close implements backend.Device.
func (b *Device) Close() error {
	b.pool.close()
	b.shared = scratch{peak: new(peak)}
	return nil
}
