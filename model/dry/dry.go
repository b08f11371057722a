// Package dry is a backend without memory or arithmetic: it counts what is
// asked of it. A pass over it takes the memory that the same pass takes on a
// device, and tells how much that is before any of it exists.
//
// Downloads give zeros; operations look at the shapes of their arguments only.
package dry

import (
	"errors"
	"fmt"
	"unsafe"

	"vgid/model/backend"
)

// Options say how the device that is imitated deals with memory. The zero value
// is the CPU that reads its files.
type Options struct {
	Adopts      bool          // mapped files are its memory, as on the CPU
	Activations backend.DType // their element type
	CUDA        bool          // operations take workspace as those of model/cuda do
	LogitBytes  int           // CUDA: most that logits take; 0: its default
	LtBytes     int           // CUDA: what cuBLASLt takes for a product; LtMost at most
}

// CUDA is a GPU, whose activations have an element type, at its hungriest.
func CUDA(activations backend.DType) Options {
	return Options{Activations: activations, CUDA: true, LtBytes: LtMost}
}

// Like are the Options of a device that exists, without what it may do without.
func Like(be backend.Backend) Options {
	o := Options{Activations: backend.ActivationType(be)}
	_, o.Adopts = be.(backend.Adopter)
	_, o.CUDA = be.(backend.HostCopier)
	return o
}

// Backend counts bytes.
type Backend struct {
	opt     Options
	purpose backend.Purpose
	use     backend.MemoryUse // allocated now
	peak    backend.MemoryUse // when most was
	mapped  int64
	adopted map[*byte]bool // where adopted memory begins

	written, mostWritten int64
}

// adopting is a Backend that adopts memory.
type adopting struct{ *Backend }

// copying is a Backend that copies beside its operations, as model/cuda does:
// work on it keeps more at once.
type copying struct{ *Backend }

var (
	_ backend.Accountant = (*Backend)(nil)
	_ backend.Activator  = (*Backend)(nil)
	_ backend.Adopter    = adopting{}
	_ backend.HostCopier = copying{}
)

// New makes a device and its counts.
func New(o Options) (backend.Backend, *Backend) {
	b := &Backend{opt: o, adopted: map[*byte]bool{}}
	switch {
	case o.Adopts:
		return adopting{b}, b
	case o.CUDA:
		return copying{b}, b
	}
	return b, b
}

type buffer struct {
	dt      backend.DType
	n       int
	lent    bool
	purpose backend.Purpose
	high    int // elements before the end of what was written
}

func (b *buffer) DType() backend.DType { return b.dt }
func (b *buffer) Len() int             { return b.n }
func (b *buffer) bytes() int64         { return int64(b.n) * int64(b.dt.Size()) }

// Live is how many bytes are allocated now.
func (b *Backend) Live() int64 { return b.use.Total() }

// Most is the most that was.
func (b *Backend) Most() int64 { return b.peak.Total() }

// Written is the most bytes that were allocated at once and had been written
// to, each buffer up to the last written element. A system that gives memory
// when it is touched, as a CPU's does, has given no more than that.
func (b *Backend) Written() int64 { return b.mostWritten }

// Mapped is how many bytes were adopted.
func (b *Backend) Mapped() int64 { return b.mapped }

// Restart forgets the peaks, not what is allocated.
func (b *Backend) Restart() { b.peak, b.mostWritten = b.use, b.written }

// For implements backend.Accountant.
func (b *Backend) For(p backend.Purpose) backend.Purpose {
	before := b.purpose
	b.purpose = p
	return before
}

// Memory implements backend.Accountant.
func (b *Backend) Memory() backend.MemoryUse { return b.use }

// Peak implements backend.Accountant.
func (b *Backend) Peak() backend.MemoryUse { return b.peak }

// ActivationType implements backend.Activator.
func (b *Backend) ActivationType() backend.DType { return b.opt.Activations }

// Name implements backend.Backend.
func (b *Backend) Name() string { return "dry" }

// Dry tells that contents do not matter, so that nobody reads files for them.
func (b *Backend) Dry() {}

// Alloc implements backend.Backend.
func (b *Backend) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	x := &buffer{dt: dt, n: n, purpose: b.purpose}
	b.take(b.purpose, x.bytes())
	return x, nil
}

func (b *Backend) take(p backend.Purpose, bytes int64) {
	b.use.Add(p, bytes)
	if b.use.Total() > b.peak.Total() {
		b.peak = b.use
	}
}

// Free implements backend.Backend.
func (b *Backend) Free(x backend.Buffer) {
	if h, ok := x.(*buffer); ok && !h.lent {
		b.use.Add(h.purpose, -h.bytes())
		b.written -= int64(h.high) * int64(h.dt.Size())
		h.n, h.high = 0, 0
	}
}

// wrote notes that an operation writes to tensors.
func (b *Backend) wrote(ts ...backend.Tensor) {
	for _, t := range ts {
		h, ok := t.Buf.(*buffer)
		if !ok || h.lent || t.Len() == 0 {
			continue
		}
		if end := t.Off + (t.Rows-1)*t.Stride + t.Cols; end > h.high {
			b.written += int64(end-h.high) * int64(h.dt.Size())
			h.high = end
		}
	}
	b.mostWritten = max(b.mostWritten, b.written)
}

// Adopt implements backend.Adopter.
func (b adopting) Adopt(dt backend.DType, mem []byte) (backend.Buffer, error) {
	if uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%uintptr(dt.Size()) != 0 {
		return nil, fmt.Errorf("dry: memory is not aligned to %v", dt)
	}
	if at := unsafe.SliceData(mem); !b.adopted[at] { // a clone adopts the same
		b.adopted[at] = true
		b.mapped += int64(len(mem))
	}
	return &buffer{dt: dt, n: len(mem) / dt.Size(), lent: true}, nil
}

// NewHostCopy implements backend.HostCopier.
func (b copying) NewHostCopy(backend.Tensor) (backend.HostCopy, error) {
	return nil, errors.New("dry: a device without contents has none to copy")
}

// Download implements backend.Backend.
func (b *Backend) Download(dst []float32, _ backend.Tensor) error {
	clear(dst)
	return nil
}

// DownloadInts implements backend.Backend.
func (b *Backend) DownloadInts(dst []int32, _ backend.Tensor) error {
	clear(dst)
	return nil
}

// Sync implements backend.Backend.
func (b *Backend) Sync() error { return nil }

// Close implements backend.Backend.
func (b *Backend) Close() error { return nil }
