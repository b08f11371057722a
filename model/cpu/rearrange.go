package cpu

import (
	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// ropeTask rotates rows.
type ropeTask struct {
	x, cos, sin mat
	heads       int
	sign        float32
	step        int
}

// RoPE implements backend.Device.
func (b *Device) RoPE(x, cos, sin backend.Tensor, heads int, inverse bool) {
	const op = "rope"
	t := &b.tasks.rope
	*t = ropeTask{x: b.mat(op, x), cos: b.mat(op, cos), sin: b.mat(op, sin), heads: heads, sign: 1, step: rowStep(x.Cols)}
	if inverse {
		t.sign = -1
	}
	if b.Err() == nil {
		b.pool.run(pieces(x.Rows, t.step), t)
	}
}

// Element i of a head is paired with i + half, as Hugging Face's rotate_half has it, not with
// its neighbour.
func (t *ropeTask) do(chunk int, _ *scratch) {
	half := t.cos.cols
	for i := chunk * t.step; i < min((chunk+1)*t.step, t.x.rows); i++ {
		x, cos, sin := t.x.row(i), t.cos.row(i), t.sin.row(i)
		for h := range t.heads {
			head := x[2*half*h:][:2*half]
			simd.Rotate(head[:half], head[half:], cos, sin, t.sign)
		}
	}
}

// patchifyTask copies patches; a chunk is one image.
type patchifyTask struct {
	dst, src                       mat
	channels, height, width, patch int
}

// Patchify implements backend.Device.
func (b *Device) Patchify(dst, images backend.Tensor, channels, height, width, patch int) {
	const op = "patchify"
	t := &b.tasks.patchify
	*t = patchifyTask{b.mat(op, dst), b.mat(op, images), channels, height, width, patch}
	if b.Err() == nil {
		b.pool.run(images.Rows, t)
	}
}

// A patch becomes a row in the order channel, y, x, which is that of a convolution's weights.
func (t *patchifyTask) do(image int, _ *scratch) {
	down, across, p := t.height/t.patch, t.width/t.patch, t.patch
	src := t.src.row(image)
	for py := range down {
		for px := range across {
			dst := t.dst.row((image*down+py)*across + px)
			for c := range t.channels {
				for y := range p {
					copy(dst[(c*p+y)*p:][:p], src[(c*t.height+py*p+y)*t.width+px*p:])
				}
			}
		}
	}
}

// ArgMax implements backend.Device.
func (b *Device) ArgMax(dst, src backend.Tensor) {
	const op = "argmax"
	d, s := intsOf(dst), b.mat(op, src)
	if b.Err() != nil {
		return
	}
	for i := range s.rows {
		d.d[i*d.ld] = argMax(s.row(i))
	}
}

// argMax is the first position of the largest element, -1 where one is NaN or
// infinite.
// -1 tells generation that the model is broken; a token picked among NaN would hide it.
func argMax(x []float32) int32 {
	// The sum is not finite where an element is not; a sum of finite elements may
	// overflow, so only then each is looked at.
	if !backend.Finite(simd.Sum(x)) {
		for _, v := range x {
			if !backend.Finite(v) {
				return -1
			}
		}
	}
	top := simd.Max(x)
	for i, v := range x {
		if v == top {
			return int32(i)
		}
	}
	return 0
}
