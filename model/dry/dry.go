// Package dry is a backend without memory or arithmetic: it counts what is
// asked of it. A pass over it takes the memory that the same pass takes on a
// device, and tells how much that is before any of it exists.
//
// Downloads give zeros; operations do not look at their arguments.
package dry

import (
	"fmt"
	"unsafe"

	"vgid/model/backend"
)

// Backend counts bytes.
type Backend struct {
	live, peak, mapped int64
}

// Adopting is a Backend that adopts memory, as the CPU does.
type Adopting struct{ Backend }

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Adopter = (*Adopting)(nil)
)

type buffer struct {
	dt   backend.DType
	n    int
	lent bool
}

func (b *buffer) DType() backend.DType { return b.dt }
func (b *buffer) Len() int             { return b.n }

// Live is how many bytes are allocated now.
func (b *Backend) Live() int64 { return b.live }

// Peak is the most that was.
func (b *Backend) Peak() int64 { return b.peak }

// Mapped is how many bytes were adopted.
func (b *Backend) Mapped() int64 { return b.mapped }

// Name implements backend.Backend.
func (b *Backend) Name() string { return "dry" }

// Dry tells that contents do not matter, so that nobody reads files for them.
func (b *Backend) Dry() {}

// Alloc implements backend.Backend.
func (b *Backend) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	b.live += int64(n) * int64(dt.Size())
	b.peak = max(b.peak, b.live)
	return &buffer{dt: dt, n: n}, nil
}

// Free implements backend.Backend.
func (b *Backend) Free(x backend.Buffer) {
	if h, ok := x.(*buffer); ok && !h.lent {
		b.live -= int64(h.n) * int64(h.dt.Size())
		h.n = 0
	}
}

// Adopt implements backend.Adopter.
func (b *Adopting) Adopt(dt backend.DType, mem []byte) (backend.Buffer, error) {
	if uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%uintptr(dt.Size()) != 0 {
		return nil, fmt.Errorf("dry: memory is not aligned to %v", dt)
	}
	b.mapped += int64(len(mem))
	return &buffer{dt: dt, n: len(mem) / dt.Size(), lent: true}, nil
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
