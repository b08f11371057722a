//go:build cuda && cgo && linux

package cuda

import (
	"errors"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels"
)

// product is one matrix product: c = alpha·op(x)·op(y) + beta·c (+ bias).
// c is [M, N], op(x) [M, K] and op(y) [K, N]; bias is a row of N, added to each of c.
type product struct {
	c, x, y, bias  operand
	transX, transY bool
	alpha, beta    float32
}

// MatMul implements backend.Device.
func (b *Device) MatMul(c, x, y backend.Tensor, p backend.MatMul) {
	defer b.done()
	b.multiply(product{
		c: b.operand(c), x: b.operand(x), y: b.operand(y), bias: b.operand(p.Bias),
		transX: p.TransA, transY: p.TransB, alpha: p.Alpha, beta: p.Beta,
	})
}

// depth is the length of the sums.
func (p *product) depth() int {
	if p.transX {
		return p.x.rows
	}
	return p.x.cols
}

// multiply queues a product on cuBLASLt where there is one that can do it, else
// on our own kernels.
func (b *Device) multiply(p product) {
	if b.Err() != nil || p.c.rows == 0 || p.c.cols == 0 {
		return
	}
	if b.opt.Precision == BFloat16 && p.x.dt != p.y.dt {
		p.x, p.y = b.converted(p.x, backend.BF16), b.converted(p.y, backend.BF16)
	}
	if b.lt != nil && p.depth() > 0 {
		err := b.multiplyLt(p)
		if !errors.Is(err, driver.ErrUnsupported) {
			b.Fail(err)
			return
		}
		if !b.ltLacks {
			b.ltLacks = true
			b.opt.warn("cuBLASLt has no algorithm for a product of %d × %d over %d in %v and %v; such products run on vgid's own slower kernels",
				p.c.rows, p.c.cols, p.depth(), p.x.dt, p.y.dt)
		}
	}
	b.multiplyOwn(p)
}

// multiplyLt queues a product on cuBLASLt, which wants both operands of one
// type, a result no narrower than they are, and a bias of the result's type.
// An error that is driver.ErrUnsupported has queued nothing of the product.
func (b *Device) multiplyLt(p product) error {
	if p.x.dt != p.y.dt { // widening is exact
		p.x, p.y = b.converted(p.x, backend.F32), b.converted(p.y, backend.F32)
	}
	out := p.c
	if p.c.dt == backend.BF16 && p.x.dt == backend.F32 {
		p.c = dense(b.temp(backend.F32, out.rows*out.cols), backend.F32, out.rows, out.cols)
		if p.beta != 0 {
			b.copy(p.c, out)
		}
	}
	if p.bias.given() && (p.bias.dt != p.c.dt || p.bias.ptr%16 != 0) {
		moved := dense(b.temp(p.c.dt, p.bias.cols), p.c.dt, 1, p.bias.cols)
		b.copy(moved, p.bias)
		p.bias = moved
	}
	if b.Err() != nil {
		return b.Err()
	}
	err := b.lt.Multiply(b.stream, driver.Product{
		A: ltType(p.x), B: ltType(p.y), D: ltType(p.c), Bias: ltType(p.bias), Compute: b.compute(p),
		TransA: p.transX, TransB: p.transY, M: p.c.rows, N: p.c.cols, K: p.depth(),
		LDA: p.x.stride, LDB: p.y.stride, LDD: p.c.stride,
		AlignA: alignment(p.x), AlignB: alignment(p.y), AlignD: alignment(p.c), Workspace: ltWorkspace,
	}, p.alpha, p.x.ptr, p.y.ptr, p.beta, p.c.ptr, p.bias.ptr, b.spare)
	if err == nil && p.c.ptr != out.ptr {
		b.copy(out, p.c)
	}
	return err
}

// compute is what cuBLASLt may round operands to.
func (b *Device) compute(p product) driver.Compute {
	if b.opt.Precision == TF32 && p.x.dt == backend.F32 {
		return driver.TF32
	}
	return driver.Float32
}

// converted is an operand in another type, a copy where it is not.
func (b *Device) converted(o operand, dt backend.DType) operand {
	if o.dt == dt {
		return o
	}
	w := dense(b.temp(dt, o.rows*o.cols), dt, o.rows, o.cols)
	b.copy(w, o)
	return w
}

func ltType(o operand) driver.Type {
	switch {
	case !o.given():
		return driver.None
	case o.dt == backend.BF16:
		return driver.R16BF
	}
	return driver.R32F
}

// alignment is the power of two, up to 16, that an address is a multiple of. No
// load is wider; larger ones would only make more plans of one shape.
func alignment(o operand) uint8 { return uint8(min(16, o.ptr&-o.ptr)) }

// multiplyOwn queues a product on the kernels of this project.
func (b *Device) multiplyOwn(p product) {
	s := kernels.Product{M: p.c.rows, N: p.c.cols, K: p.depth(), TransA: p.transX, TransB: p.transY, A: p.x.dt, B: p.y.dt}
	// A product with few blocks is split along K, and its parts are added by gemm_combine in a
	// fixed order.
	plan := kernels.PlanProduct(s, b.dev.Processors)
	parts := driver.Ptr(0)
	if n := plan.Parts(s); n > 0 {
		parts = b.temp(backend.F32, n)
	}
	a := b.begin().mat(p.c, p.x, p.y, p.bias).ptr(parts).i32(s.M, s.N, s.K).f32(p.alpha).f32(p.beta).i32(plan.KPart)
	if plan.Flags {
		a.i32(flag(p.transX), flag(p.transY))
	}
	b.launch(plan.Kernel, plan.Geometry)
	if plan.Splits > 1 {
		b.begin().mat(p.c, p.bias).ptr(parts).i32(s.M, s.N).f32(p.alpha).f32(p.beta).i32(plan.Splits)
		b.launch("gemm_combine", plan.Combine)
	}
}

func flag(v bool) int {
	if v {
		return 1
	}
	return 0
}
