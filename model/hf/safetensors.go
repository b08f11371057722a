package hf

import (
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
	"syscall"

	"vgid/model/kit/filekind"
)

// Safetensors is one memory-mapped safetensors file. Its methods may be called
// from several goroutines. The file must not be truncated in place while open
// (replacing it by rename is fine).
//
// entries never changes after opening, so only the mapping needs the lock: what Close takes away
// must not be in use by a read that copies.
type Safetensors struct {
	path    string
	mu      sync.RWMutex // held for reading while mapped bytes are copied
	mapped  []byte       // nil after Close
	data    []byte       // mapped bytes after the header
	entries map[string]entry
	names   []string
	meta    map[string]string
}

// OpenSafetensors maps path and validates its header.
func OpenSafetensors(path string) (*Safetensors, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	head := make([]byte, min(st.Size(), filekind.HeadLen))
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if other := filekind.Of(head); other != "" {
		return nil, fmt.Errorf("%s is %s", path, other)
	}
	if st.Size() < 8 {
		return nil, fmt.Errorf("%s: truncated: a safetensors file starts with an 8-byte header length, found %d bytes; fetch or write the file again", path, st.Size())
	}
	// Shared and read-only: processes that hold the same model hold one copy, and
	// pages come back from the file when memory is short.
	m, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: mmap: %w", path, err)
	}
	s, err := parseMapped(path, m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; fetch or write the file again", path, joinErr(err, syscall.Munmap(m)))
	}
	return s, nil
}

// joinErr keeps the first error; the second matters only alone.
func joinErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// parseMapped reads the header of a mapped file.
// The header was checked by the time this returns, so reads need no check of bounds.
func parseMapped(path string, m []byte) (*Safetensors, error) {
	n, err := headerLength(m, int64(len(m)))
	if err != nil {
		return nil, err
	}
	list, meta, err := parseHeader(m[8:8+n], int64(len(m))-8-n)
	if err != nil {
		return nil, err
	}
	s := &Safetensors{path: path, mapped: m, data: m[8+n:], meta: meta, entries: make(map[string]entry, len(list))}
	for _, e := range list {
		s.entries[e.name] = e
		s.names = append(s.names, e.name)
	}
	sort.Strings(s.names)
	return s, nil
}

// Names lists the tensors, sorted. The slice is shared: do not change it.
func (s *Safetensors) Names() []string { return s.names }

// Metadata is the header's __metadata__, nil when absent.
func (s *Safetensors) Metadata() map[string]string { return s.meta }

// Info describes a tensor and reports whether it exists.
func (s *Safetensors) Info(name string) (TensorInfo, bool) {
	e, ok := s.entries[name]
	return e.TensorInfo, ok
}

// Raw gives the stored little-endian bytes of a tensor. They belong to the
// mapping: read-only, and gone after Close.
func (s *Safetensors) Raw(name string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.raw(name)
}

// raw is Raw for one who holds mu.
func (s *Safetensors) raw(name string) ([]byte, error) {
	e, ok := s.entries[name]
	if !ok {
		return nil, fmt.Errorf("%s: no tensor %q", s.path, name)
	}
	if s.mapped == nil {
		return nil, fmt.Errorf("%s: tensor %q read after Close", s.path, name)
	}
	return s.data[e.start:e.end:e.end], nil
}

// ReadF32 converts a tensor to float32 in row-major order; len(dst) must be
// its number of elements. F32, F16, BF16, F64, I64, I32, U8 and BOOL convert.
func (s *Safetensors) ReadF32(name string, dst []float32) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	raw, err := s.raw(name)
	if err != nil {
		return err
	}
	e := s.entries[name]
	if n := e.Elements(); n != len(dst) {
		return fmt.Errorf("%s: tensor %q: shape %v has %d elements, the destination %d", s.path, name, e.Shape, n, len(dst))
	}
	if !convertF32(dst, raw, e.DType) {
		return unreadable(s.path, name, e.DType)
	}
	return nil
}

// unreadable is the error of a type that has no numbers to be read as float32.
func unreadable(path, name, dtype string) error {
	return fmt.Errorf("%s: tensor %q: dtype %s cannot be read as float32; use a model in F32, BF16 or F16", path, name, dtype)
}

// ReadRows is ReadF32 of rows of the first dimension from row on, as many as dst
// holds: len(dst) must be a multiple of the row.
// Types of less than a byte have no place in it: convertF32 refuses them.
func (s *Safetensors) ReadRows(name string, dst []float32, row int) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	raw, err := s.raw(name)
	if err != nil {
		return err
	}
	e := s.entries[name]
	from := row * e.rowElements()
	if from < 0 || from+len(dst) > e.Elements() {
		return fmt.Errorf("%s: tensor %q: %d elements from row %d on leave shape %v", s.path, name, len(dst), row, e.Shape)
	}
	if !convertF32(dst, raw[int64(from)*elementBytes(e.DType):], e.DType) {
		return unreadable(s.path, name, e.DType)
	}
	return nil
}

// span is Raw of tensors that follow each other in the file, nil when they do
// not.
// The bytes have the same life as Raw's.
func (s *Safetensors) span(names []string) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := int64(-1)
	for i, n := range names {
		e, ok := s.entries[n]
		if !ok || i > 0 && e.start != at {
			return nil
		}
		at = e.end
	}
	if s.mapped == nil || len(names) == 0 {
		return nil
	}
	return s.data[s.entries[names[0]].start:at:at]
}

// Close unmaps the file after running reads have ended; a second Close does nothing.
func (s *Safetensors) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mapped == nil {
		return nil
	}
	m := s.mapped
	s.mapped, s.data = nil, nil
	return syscall.Munmap(m)
}
