package selftest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"vgid/model/backend"
)

// operation is one that is compared.
// tolerance is the largest error that compare may find on any shape, relative to
// 1 + |value|.
type operation struct {
	name      string
	tolerance float64
	// By the random numbers of rng alone, so that a seed repeats it.
	// make draws a call of random shape, or the large one.
	make func(rng *rand.Rand, large bool) call
}

// call is an operation on tensors of its own.
type call struct {
	tensors []tensor
	// Indexes of tensors that are compared: what the operation writes, in place or not.
	outputs []int
	run     func(be backend.Backend, t []backend.Tensor)
	// Floating-point operations by the formula, two for each multiplication and addition; 0
	// where the time goes to memory, and only GB/s are shown.
	flops float64
}

// tensor says what a tensor holds. BF16 exists on the device only; the
// reference has the same rounded values in F32.
type tensor struct {
	rows, cols int
	dt         backend.DType
	values     func(rng *rand.Rand) float64
	below      int // I32: numbers from 0 below it; with fixed given, those
	fixed      []int32
}

// Values are of size 1, where a tolerance relative to 1 + |value| means what it says.
func normal(rng *rand.Rand) float64  { return rng.NormFloat64() }
func uniform(rng *rand.Rand) float64 { return rng.Float64() }
func zero(*rand.Rand) float64        { return 0 }

// f32 and bf16 are inputs, out a destination of zeros, which for one that is added to is a sum of
// its own.
func f32(rows, cols int) tensor { return tensor{rows: rows, cols: cols, values: normal} }
func bf16(rows, cols int) tensor {
	return tensor{rows: rows, cols: cols, dt: backend.BF16, values: normal}
}
func out(rows, cols int) tensor { return tensor{rows: rows, cols: cols, values: zero} }
func ints(rows, cols, below int) tensor {
	return tensor{rows: rows, cols: cols, dt: backend.I32, below: below}
}

// of and as are the tensor with other values, or in another type.
func (t tensor) of(values func(*rand.Rand) float64) tensor { t.values = values; return t }
func (t tensor) as(dt backend.DType) tensor                { t.dt = dt; return t }

// bytes is what a call reads and writes at least.
// Each tensor counts once, so GB/s is a lower bound of what the memory did.
func (c call) bytes() float64 {
	n := 0.0
	for _, t := range c.tensors {
		n += float64(t.rows*t.cols) * float64(t.dt.Size())
	}
	return n
}

// placed is a call's tensors on one backend.
type placed struct{ tensors []backend.Tensor }

// free gives back what was placed, also a part of a call that could not be placed whole.
func (p placed) free(be backend.Backend) {
	for _, t := range p.tensors {
		be.Free(t.Buf)
	}
}

// on fills the tensors of a call, the same for a seed.
// device says that bf16 tensors are held as such; the reference holds the rounded values
// in float32. Both draw the same numbers in the same order.
func (c call) on(be backend.Backend, seed uint64, device bool) (placed, error) {
	var p placed
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, t := range c.tensors {
		dt, n := t.dt, t.rows*t.cols
		if dt == backend.BF16 && !device {
			dt = backend.F32
		}
		buf, err := be.Alloc(dt, n)
		if err != nil {
			p.free(be)
			return p, err
		}
		view := backend.View(buf, 0, t.rows, t.cols)
		p.tensors = append(p.tensors, view)
		if dt == backend.I32 {
			v := t.fixed
			if v == nil {
				v = make([]int32, n)
				for i := range v {
					v[i] = int32(rng.IntN(t.below))
				}
			}
			be.UploadInts(view, v)
			continue
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(t.values(rng))
			if t.dt == backend.BF16 {
				v[i] = roundBF16(v[i])
			}
		}
		be.Upload(view, v)
	}
	return p, nil
}

// read gives a tensor's values.
// It waits for what was queued, whose first failure is its error.
func (p placed) read(be backend.Backend, i int) ([]float64, error) {
	t := p.tensors[i]
	v := make([]float64, t.Len())
	if t.Buf.DType() == backend.I32 {
		n := make([]int32, t.Len())
		if err := be.DownloadInts(n, t); err != nil {
			return nil, err
		}
		for j := range n {
			v[j] = float64(n[j])
		}
		return v, nil
	}
	f := make([]float32, t.Len())
	if err := be.Download(f, t); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	for j := range f {
		v[j] = float64(f[j])
	}
	return v, nil
}

// roundBF16 is to nearest, ties to even: the reference must compute on what the device was given.
func roundBF16(v float32) float32 {
	u := math.Float32bits(v)
	return math.Float32frombits((u + 0x7FFF + u>>16&1) &^ 0xFFFF)
}
