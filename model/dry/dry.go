// Package dry is a device without memory or arithmetic: it counts what is asked
// of it. A pass over it takes the memory that the same pass takes on a device
// with the same traits, and tells how much that is before any of it exists.
// What does not fit is refused as everywhere, by the backend.Backend before it.
//
// Downloads give zeros; operations look at the shapes of their arguments only.
package dry

import (
	"errors"

	"vgid/model/backend"
)

// Options say how the device that is imitated deals with memory. The zero value
// copies its files and works in place.
type Options struct {
	backend.Traits     // of it; Workspace: as operations of model/cuda take it
	LogitBytes     int // most that logits take of workspace; 0: the default of model/cuda
	LtBytes        int // what cuBLASLt takes for a product; LtMost at most
}

// CPU is the device of model/cpu.
func CPU() Options { return Options{Traits: backend.Traits{Adopts: true, OnDemand: true}} }

// CUDA is a GPU, whose activations have an element type, at its hungriest.
func CUDA(activations backend.DType) Options {
	return Options{Traits: backend.Traits{Activations: activations, Overlaps: true, Workspace: true}, LtBytes: LtMost}
}

// Like are the Options of a device that exists, without what it may do without.
func Like(be backend.Backend) Options { return Options{Traits: be.Traits()} }

// Device counts bytes.
type Device struct {
	backend.Failure
	opt     Options
	purpose backend.Purpose
	use     backend.MemoryUse // allocated now
	peak    backend.MemoryUse // when most was
	mapped  int64
	adopted map[*byte]bool // where adopted memory begins

	written, mostWritten int64
}

var (
	_ backend.Device     = (*Device)(nil)
	_ backend.Accountant = (*Device)(nil)
	_ backend.Adopter    = (*Device)(nil)
	_ backend.HostCopier = (*Device)(nil)
)

// New makes a device and its counts.
func New(o Options) (backend.Backend, *Device) {
	b := &Device{opt: o, adopted: map[*byte]bool{}}
	return backend.New(b), b
}

// Traits implements backend.Device: those of the device that is imitated, but
// that there are no contents.
func (b *Device) Traits() backend.Traits {
	t := b.opt.Traits
	t.Accounts, t.Empty = true, true
	return t
}

type buffer struct {
	backend.Storage
	lent    bool
	purpose backend.Purpose
	high    int // elements before the end of what was written
}

func (b *buffer) bytes() int64 { return int64(b.Len()) * int64(b.DType().Size()) }

// Live is how many bytes are allocated now.
func (b *Device) Live() int64 { return b.use.Total() }

// Most is the most that was.
func (b *Device) Most() int64 { return b.peak.Total() }

// Written is the most bytes that were allocated at once and had been written
// to, each buffer up to the last written element. A system that gives memory
// when it is touched, as a CPU's does, has given no more than that.
func (b *Device) Written() int64 { return b.mostWritten }

// Mapped is how many bytes were adopted.
func (b *Device) Mapped() int64 { return b.mapped }

// Restart forgets the peaks, not what is allocated.
func (b *Device) Restart() { b.peak, b.mostWritten = b.use, b.written }

// For implements backend.Accountant.
func (b *Device) For(p backend.Purpose) backend.Purpose {
	before := b.purpose
	b.purpose = p
	return before
}

// Memory implements backend.Accountant.
func (b *Device) Memory() backend.MemoryUse { return b.use }

// Peak implements backend.Accountant.
func (b *Device) Peak() backend.MemoryUse { return b.peak }

// Name implements backend.Device.
func (b *Device) Name() string { return "dry" }

// Alloc implements backend.Device.
func (b *Device) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	x := &buffer{Storage: backend.NewStorage(dt, n), purpose: b.purpose}
	b.take(b.purpose, x.bytes())
	return x, nil
}

func (b *Device) take(p backend.Purpose, bytes int64) {
	b.use.Add(p, bytes)
	if b.use.Total() > b.peak.Total() {
		b.peak = b.use
	}
}

// Free implements backend.Device.
func (b *Device) Free(x backend.Buffer) {
	h := x.(*buffer)
	if h.lent {
		return
	}
	b.use.Add(h.purpose, -h.bytes())
	b.written -= int64(h.high) * int64(h.DType().Size())
	h.high = 0
}

// wrote notes that an operation writes to tensors.
func (b *Device) wrote(ts ...backend.Tensor) {
	for _, t := range ts {
		if t.IsZero() || t.Len() == 0 {
			continue
		}
		h := t.Buf.(*buffer)
		if end := t.Off + (t.Rows-1)*t.Stride + t.Cols; end > h.high {
			b.written += int64(end-h.high) * int64(h.DType().Size())
			h.high = end
		}
	}
	b.mostWritten = max(b.mostWritten, b.written)
}

// Adopt implements backend.Adopter.
func (b *Device) Adopt(dt backend.DType, mem []byte) (backend.Buffer, error) {
	if len(mem) > 0 && !b.adopted[&mem[0]] { // a clone adopts the same
		b.adopted[&mem[0]] = true
		b.mapped += int64(len(mem))
	}
	return &buffer{Storage: backend.NewStorage(dt, len(mem)/dt.Size()), lent: true}, nil
}

// NewHostCopy implements backend.HostCopier.
func (b *Device) NewHostCopy(backend.Tensor) (backend.HostCopy, error) {
	return nil, errors.New("dry: a device without contents has none to copy")
}

// Download implements backend.Device.
func (b *Device) Download(dst []float32, _ backend.Tensor) { clear(dst) }

// DownloadInts implements backend.Device.
func (b *Device) DownloadInts(dst []int32, _ backend.Tensor) { clear(dst) }

// Sync implements backend.Device; operations are never pending.
func (b *Device) Sync() {}

// Close implements backend.Device.
func (b *Device) Close() error { return nil }
