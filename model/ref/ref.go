// Package ref is the reference device: every operation of backend.Operations as
// a plain loop over float64 values on one goroutine. It defines what the
// operations mean, is what faster backends are compared with, and is what
// gradients are checked on by finite differences. It is not meant to be fast:
// each operation reads like the formula in the comment on backend.Operations, in
// float64, so that its own rounding is far below what is compared with it.
package ref

import (
	"math"

	"vgid/model/backend"
)

// Device implements backend.Device. F32 buffers keep float64 values, so that
// finite differences have digits to lose; BF16 buffers round every value they
// are given to bfloat16.
type Device struct{ backend.Failure }

var _ backend.Device = (*Device)(nil)

// Backend is a backend.Backend whose values can be read and written in full.
// At and Set reach past the checks of the backend, and see values before they are rounded to
// float32.
type Backend struct{ backend.Backend }

// New makes a reference backend.
func New() *Backend { return &Backend{backend.New(&Device{})} }

// buffer holds the floats of an F32 or BF16 buffer, or the ints of an I32 one.
// Which of the two is set follows from the element type.
type buffer struct {
	backend.Storage
	floats []float64
	ints   []int32
}

// matrix is a tensor whose buffer is known to be ours.
// Everything below goes through at, set and add, so that rounding to BF16 is in one place.
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
	if m.DType() == backend.BF16 {
		v = roundBF16(v)
	}
	m.floats[m.Off+r*m.Stride+c] = v
}

func (m *matrix) add(r, c int, v float64) { m.set(r, c, m.at(r, c)+v) }

// addTimes adds f·x to row r from column c on.
func (m *matrix) addTimes(r, c int, f float64, x []float64) {
	to := m.row(r, c)[:len(x)]
	for i, v := range x {
		to[i] += f * v
	}
	if m.DType() == backend.BF16 {
		for i, v := range to {
			to[i] = roundBF16(v)
		}
	}
}

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

// mats are the matrices of ts, empty where a tensor is not given.
// The shell around the device (backend.New) has checked shapes, types and owners by now.
func mats(ts ...backend.Tensor) []matrix {
	out := make([]matrix, len(ts))
	for i, t := range ts {
		if !t.IsZero() {
			out[i] = matrix{t.Buf.(*buffer), t}
		}
	}
	return out
}

// Name implements backend.Device.
func (b *Device) Name() string { return "ref(float64)" }

// Traits implements backend.Device.
func (b *Device) Traits() backend.Traits { return backend.Traits{} }

// Alloc implements backend.Device.
func (b *Device) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	buf := &buffer{Storage: backend.NewStorage(dt, n)}
	if dt == backend.I32 {
		buf.ints = make([]int32, n)
	} else {
		buf.floats = make([]float64, n)
	}
	return buf, nil
}

// Free implements backend.Device; the garbage collector does the work.
func (b *Device) Free(backend.Buffer) {}

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

// Upload implements backend.Device.
func (b *Device) Upload(dst backend.Tensor, src []float32) {
	m := mats(dst)
	for i, v := range src {
		m[0].set(i/dst.Cols, i%dst.Cols, float64(v))
	}
}

// UploadInts implements backend.Device.
func (b *Device) UploadInts(dst backend.Tensor, src []int32) {
	m := mats(dst)
	for i, v := range src {
		m[0].ints[dst.Off+i/dst.Cols*dst.Stride+i%dst.Cols] = v
	}
}

// Download implements backend.Device.
func (b *Device) Download(dst []float32, src backend.Tensor) {
	m := mats(src)
	for i := range dst {
		dst[i] = float32(m[0].at(i/src.Cols, i%src.Cols))
	}
}

// DownloadInts implements backend.Device.
func (b *Device) DownloadInts(dst []int32, src backend.Tensor) {
	m := mats(src)
	for i := range dst {
		dst[i] = int32(m[0].int(i/src.Cols, i%src.Cols))
	}
}

// Sync implements backend.Device; operations are never pending.
func (b *Device) Sync() {}

// Close implements backend.Device.
func (b *Device) Close() error { return nil }
