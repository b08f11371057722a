// Package ref is the reference backend: every operation of backend.Backend as
// a plain loop over float64 values on one goroutine. It defines what the
// operations mean, is what faster backends are compared with, and is what
// gradients are checked on by finite differences. It is not meant to be fast.
package ref

import (
	"fmt"
	"math"

	"vgid/model/backend"
)

// Backend implements backend.Backend. F32 buffers keep float64 values, so that
// finite differences have digits to lose; BF16 buffers round every value they
// are given to bfloat16.
type Backend struct {
	err    error
	closed bool
}

var _ backend.Backend = (*Backend)(nil)

// New makes a reference backend.
func New() *Backend { return &Backend{} }

// buffer holds the floats of an F32 or BF16 buffer, or the ints of an I32 one.
type buffer struct {
	owner  *Backend
	dt     backend.DType
	floats []float64
	ints   []int32
}

func (b *buffer) DType() backend.DType { return b.dt }
func (b *buffer) Len() int             { return max(len(b.floats), len(b.ints)) }

// matrix is a tensor whose buffer is known to be ours.
type matrix struct {
	*buffer
	backend.Tensor
}

func (m *matrix) at(r, c int) float64 { return m.floats[m.Off+r*m.Stride+c] }
func (m *matrix) int(r, c int) int    { return int(m.ints[m.Off+r*m.Stride+c]) }

// row is row r from column c on.
func (m *matrix) row(r, c int) []float64 {
	if m.Cols == 0 {
		return nil // which may start anywhere
	}
	from := m.Off + r*m.Stride
	return m.floats[from+c : from+m.Cols]
}

func (m *matrix) set(r, c int, v float64) {
	if m.dt == backend.BF16 {
		v = roundBF16(v)
	}
	m.floats[m.Off+r*m.Stride+c] = v
}

func (m *matrix) add(r, c int, v float64) { m.set(r, c, m.at(r, c)+v) }

// roundBF16 rounds to the nearest bfloat16, ties to even, as the hardware does
// from float32.
func roundBF16(v float64) float64 {
	f := float32(v)
	if f != f {
		return math.NaN()
	}
	u := math.Float32bits(f)
	u += 0x7FFF + (u>>16)&1
	return float64(math.Float32frombits(u &^ 0xFFFF))
}

// ready reports whether an operation may run: not when its arguments do not
// fit (check), and not after an earlier failure.
func (b *Backend) ready(check error) bool {
	if b.err == nil && b.closed {
		b.err = fmt.Errorf("ref: used after Close")
	}
	if b.err == nil {
		b.err = check
	}
	return b.err == nil
}

// mats are our matrices of ts, empty where a tensor is not given. A buffer of
// another backend sticks as an error and gives ok = false.
func (b *Backend) mats(op string, ts ...backend.Tensor) (out []matrix, ok bool) {
	out = make([]matrix, len(ts))
	for i, t := range ts {
		if t.IsZero() {
			continue
		}
		buf, ours := t.Buf.(*buffer)
		if !ours || buf.owner != b {
			b.err = fmt.Errorf("%s: argument %d, %v, belongs to another backend", op, i, t)
			return nil, false
		}
		out[i] = matrix{buf, t}
	}
	return out, true
}

// Name implements backend.Backend.
func (b *Backend) Name() string { return "ref(float64)" }

// Alloc implements backend.Backend.
func (b *Backend) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	if n < 0 || dt > backend.I32 {
		return nil, fmt.Errorf("ref: cannot allocate %d elements of %v", n, dt)
	}
	if dt == backend.I32 {
		return &buffer{owner: b, dt: dt, ints: make([]int32, n)}, nil
	}
	return &buffer{owner: b, dt: dt, floats: make([]float64, n)}, nil
}

// Free implements backend.Backend; the garbage collector does the work.
func (b *Backend) Free(backend.Buffer) {}

// At reads one element in full precision, for finite differences. It panics
// when the tensor is not one of b's float tensors.
func (b *Backend) At(t backend.Tensor, r, c int) float64 {
	return t.Buf.(*buffer).floats[t.Off+r*t.Stride+c]
}

// Set writes one element in full precision (rounded when t is BF16).
func (b *Backend) Set(t backend.Tensor, r, c int, v float64) {
	m := matrix{t.Buf.(*buffer), t}
	m.set(r, c, v)
}

// Upload implements backend.Backend.
func (b *Backend) Upload(dst backend.Tensor, src []float32) {
	if !b.ready(backend.CheckUpload(dst, len(src))) {
		return
	}
	if m, ok := b.mats("upload", dst); ok {
		for i, v := range src {
			m[0].set(i/dst.Cols, i%dst.Cols, float64(v))
		}
	}
}

// UploadInts implements backend.Backend.
func (b *Backend) UploadInts(dst backend.Tensor, src []int32) {
	if !b.ready(backend.CheckUploadInts(dst, len(src))) {
		return
	}
	if m, ok := b.mats("upload_ints", dst); ok {
		for i, v := range src {
			m[0].ints[dst.Off+i/dst.Cols*dst.Stride+i%dst.Cols] = v
		}
	}
}

// Download implements backend.Backend.
func (b *Backend) Download(dst []float32, src backend.Tensor) error {
	if !b.ready(backend.CheckDownload(len(dst), src)) {
		return b.err
	}
	if m, ok := b.mats("download", src); ok {
		for i := range dst {
			dst[i] = float32(m[0].at(i/src.Cols, i%src.Cols))
		}
	}
	return b.err
}

// DownloadInts implements backend.Backend.
func (b *Backend) DownloadInts(dst []int32, src backend.Tensor) error {
	if !b.ready(backend.CheckDownloadInts(len(dst), src)) {
		return b.err
	}
	if m, ok := b.mats("download_ints", src); ok {
		for i := range dst {
			dst[i] = int32(m[0].int(i/src.Cols, i%src.Cols))
		}
	}
	return b.err
}

// Sync implements backend.Backend.
func (b *Backend) Sync() error { return b.err }

// Close implements backend.Backend.
func (b *Backend) Close() error {
	b.closed = true
	return nil
}
