package backend

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// checked is the Backend of a device. What must always hold:
//
//   - the device sees no call after its first failure, and none whose arguments
//     do not fit, so that it need not check either;
//   - the first failure, whoever found it, is what every later Sync and Download
//     reports;
//   - every buffer with this owner came from Alloc or Adopt of this device and
//     goes back to it once.
type checked struct {
	dev    Device
	kind   string // of device, for messages: "cpu"
	traits Traits
	closed bool

	// What the device can do beside operations; nil where it cannot.
	adopter    Adopter
	copier     HostCopier
	host       HostMemory
	reporter   MemoryReporter
	accountant Accountant
}

// New makes the Backend of a device, which belongs to it from now on.
func New(dev Device) Backend {
	s := &checked{dev: dev, traits: dev.Traits()}
	s.kind, _, _ = strings.Cut(dev.Name(), "(")
	// A wrapper that hides what the device under it can do takes it away.
	if s.adopter, _ = dev.(Adopter); s.adopter == nil {
		s.traits.Adopts = false
	}
	if s.copier, _ = dev.(HostCopier); s.copier == nil {
		s.traits.Overlaps = false
	}
	if s.accountant, _ = dev.(Accountant); s.accountant == nil {
		s.traits.Accounts = false
	}
	s.host, _ = dev.(HostMemory)
	s.reporter, _ = dev.(MemoryReporter)
	return s
}

// ready reports whether an operation may run: not after an earlier failure, nor
// when its arguments do not fit, which then sticks.
func (s *checked) ready(check error) bool {
	if s.dev.Err() != nil {
		return false
	}
	if check != nil {
		s.dev.Fail(check)
		return false
	}
	return true
}

func (s *checked) Name() string   { return s.dev.Name() }
func (s *checked) Traits() Traits { return s.traits }
func (s *checked) Device() Device { return s.dev }

func (s *checked) Alloc(dt DType, n int) (Buffer, error) {
	switch {
	case s.closed:
		return nil, fmt.Errorf("%s: alloc of %d elements on a closed backend", s.kind, n)
	case n < 0:
		return nil, fmt.Errorf("%s: alloc of %d elements: the count is negative", s.kind, n)
	case dt > I32:
		return nil, fmt.Errorf("%s: alloc: unknown element type %v", s.kind, dt)
	}
	b, err := s.dev.Alloc(dt, n)
	if err != nil {
		return nil, err
	}
	b.storage().owner = s
	return b, nil
}

func (s *checked) Free(b Buffer) {
	if b == nil || s.closed {
		return // Close has taken everything back
	}
	if st := b.storage(); st.owner == s && !st.freed {
		s.dev.Free(b)
		st.n, st.freed = 0, true
	}
}

func (s *checked) Download(dst []float32, src Tensor) error {
	if s.ready(s.checkDownload(len(dst), src)) {
		s.dev.Download(dst, src)
	}
	return s.dev.Err()
}

func (s *checked) DownloadInts(dst []int32, src Tensor) error {
	if s.ready(s.checkDownloadInts(len(dst), src)) {
		s.dev.DownloadInts(dst, src)
	}
	return s.dev.Err()
}

func (s *checked) Sync() error {
	if s.ready(nil) {
		s.dev.Sync()
	}
	return s.dev.Err()
}

func (s *checked) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.dev.Close()
	s.dev.Fail(errors.New(s.kind + ": used after Close"))
	return err
}

func (s *checked) Adopt(dt DType, mem []byte) (Buffer, error) {
	if !s.traits.Adopts || s.closed || dt > I32 {
		return nil, fmt.Errorf("%s: cannot adopt memory as %v: %w", s.kind, dt, errors.ErrUnsupported)
	}
	size := dt.Size()
	if off := int(uintptr(unsafe.Pointer(unsafe.SliceData(mem))) % uintptr(size)); len(mem)%size != 0 || off != 0 {
		return nil, fmt.Errorf("%s: cannot adopt %d bytes at an address of %d mod %d as %v", s.kind, len(mem), off, size, dt)
	}
	b, err := s.adopter.Adopt(dt, mem)
	if err != nil {
		return nil, err
	}
	st := b.storage()
	st.owner, st.lent = s, true
	return b, nil
}

func (s *checked) NewHostCopy(t Tensor) (HostCopy, error) {
	const op = "host copy"
	if !s.traits.Overlaps {
		return nil, fmt.Errorf("%s: %s of %v: %w", s.kind, op, t, errors.ErrUnsupported)
	}
	check := s.views(op, []arg{{"tensor", t, float}})
	if !s.ready(check) {
		return nil, s.dev.Err()
	}
	if t.Buf.DType() != F32 || !t.Dense() {
		return nil, fmt.Errorf("%s: %v is not a dense f32 tensor", op, t)
	}
	return s.copier.NewHostCopy(t)
}

func (s *checked) Host(t Tensor) []float32 {
	if s.host == nil || !s.ready(s.views("host memory", []arg{{"tensor", t, float | written}})) || t.Buf.DType() != F32 || !t.Dense() {
		return nil
	}
	s.dev.Sync()
	return s.host.Host(t)
}

func (s *checked) FreeBytes() (int64, error) {
	if s.reporter == nil || s.closed {
		return 0, fmt.Errorf("%s: how much memory is free is not known: %w", s.kind, errors.ErrUnsupported)
	}
	return s.reporter.FreeBytes()
}

func (s *checked) For(p Purpose) Purpose {
	if s.accountant == nil {
		return Other
	}
	return s.accountant.For(p)
}

func (s *checked) Memory() MemoryUse {
	if s.accountant == nil {
		return MemoryUse{}
	}
	return s.accountant.Memory()
}

func (s *checked) Peak() MemoryUse {
	if s.accountant == nil {
		return MemoryUse{}
	}
	return s.accountant.Peak()
}
