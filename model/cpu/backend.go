// Package cpu is the float32 backend for processors: packed matrix
// multiplication in AVX2 or AVX-512 assembly and fused vector loops in AVX2
// (portable Go where there is none), spread over a few persistent threads.
//
// Operations run at once, on the caller's goroutine and the workers. In steady
// state they allocate nothing. Results are the same bits for any number of
// threads: work is cut by shape alone, and sums over rows are made of partial
// sums added in a fixed order.
package cpu

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"vgid/model/backend"
	"vgid/model/cpu/simd"
)

// Backend implements backend.Backend.
type Backend struct {
	threads int
	pool    *pool
	err     error
	closed  bool
	shared  scratch // memory an operation shares between its chunks
	tasks   tasks
}

var (
	_ backend.Backend        = (*Backend)(nil)
	_ backend.Adopter        = (*Backend)(nil)
	_ backend.MemoryReporter = (*Backend)(nil)
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
func New(threads int) *Backend {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return &Backend{threads: threads, pool: newPool(threads), shared: scratch{peak: new(peak)}}
}

// Name implements backend.Backend.
func (b *Backend) Name() string {
	s := "s"
	if b.threads == 1 {
		s = ""
	}
	return fmt.Sprintf("cpu(%s, %d thread%s)", simd.Current(), b.threads, s)
}

// Threads is the number of threads that operations use.
func (b *Backend) Threads() int { return b.threads }

// buffer is host memory of one element type.
type buffer struct {
	owner *Backend
	dt    backend.DType
	n     int
	f     []float32
	h     []uint16
	i     []int32
	lent  bool // memory of others, which must not be written to
}

func (b *buffer) DType() backend.DType { return b.dt }
func (b *buffer) Len() int             { return b.n }

// alignedFloats returns n zeros that start on a cache line.
func alignedFloats(n int) []float32 {
	f := make([]float32, n+16)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(f)))/4) & 15
	return f[skip : skip+n : skip+n]
}

// Alloc implements backend.Backend.
func (b *Backend) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	if b.closed {
		return nil, fmt.Errorf("cpu: alloc of %d elements on a closed backend", n)
	}
	if n < 0 {
		return nil, fmt.Errorf("cpu: alloc of %d elements: the count is negative", n)
	}
	buf := &buffer{owner: b, dt: dt, n: n}
	switch dt {
	case backend.F32:
		buf.f = alignedFloats(n)
	case backend.BF16:
		buf.h = make([]uint16, n)
	case backend.I32:
		buf.i = make([]int32, n)
	default:
		return nil, fmt.Errorf("cpu: alloc: unknown element type %v", dt)
	}
	return buf, nil
}

// Adopt implements backend.Adopter.
func (b *Backend) Adopt(dt backend.DType, mem []byte) (backend.Buffer, error) {
	size := dt.Size()
	at := unsafe.Pointer(unsafe.SliceData(mem))
	if b.closed || len(mem)%size != 0 || uintptr(at)%uintptr(size) != 0 {
		return nil, fmt.Errorf("cpu: cannot adopt %d bytes at an address of %d mod %d as %v", len(mem), uintptr(at)%uintptr(size), size, dt)
	}
	buf := &buffer{owner: b, dt: dt, n: len(mem) / size, lent: true}
	switch dt {
	case backend.F32:
		buf.f = unsafe.Slice((*float32)(at), buf.n)
	case backend.BF16:
		buf.h = unsafe.Slice((*uint16)(at), buf.n)
	case backend.I32:
		buf.i = unsafe.Slice((*int32)(at), buf.n)
	default:
		return nil, fmt.Errorf("cpu: adopt: unknown element type %v", dt)
	}
	return buf, nil
}

// writable is t, which an operation is about to write to; adopted memory sticks
// as an error. Only the operations that write to weights ask: the others write
// to what they were given for that.
func (b *Backend) writable(op string, t backend.Tensor) backend.Tensor {
	if buf, ok := t.Buf.(*buffer); ok && buf.lent && b.err == nil {
		b.err = fmt.Errorf("%s: %v is adopted memory, which is only read", op, t)
	}
	return t
}

// Free implements backend.Backend; the memory returns to Go's heap.
func (b *Backend) Free(buf backend.Buffer) {
	if h, ok := buf.(*buffer); ok {
		h.f, h.h, h.i, h.n = nil, nil, nil, 0
	}
}

// Sync implements backend.Backend; operations are never pending.
func (b *Backend) Sync() error { return b.err }

// Close implements backend.Backend.
func (b *Backend) Close() error {
	if !b.closed {
		b.closed = true
		b.pool.close()
		b.shared = scratch{peak: new(peak)}
		if b.err == nil {
			b.err = errors.New("cpu: used after Close")
		}
	}
	return nil
}
