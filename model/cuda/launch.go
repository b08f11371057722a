//go:build cuda && cgo && linux

package cuda

import (
	"fmt"
	"math"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels"
)

// operand is a tensor as a kernel sees it.
// Sizes and stride are in elements; ptr is 0 for a tensor that is not given.
type operand struct {
	ptr        driver.Ptr
	rows, cols int
	stride     int
	dt         backend.DType
}

func (o operand) given() bool { return o.ptr != 0 }

// at is the address of an element.
func (o operand) at(row, col int) driver.Ptr {
	return o.ptr + driver.Ptr((row*o.stride+col)*o.dt.Size())
}

// rowRange is rows [from, to).
func (o operand) rowRange(from, to int) operand {
	if o.given() {
		o.ptr, o.rows = o.at(from, 0), to-from
	}
	return o
}

// dense makes an operand over fresh memory.
func dense(p driver.Ptr, dt backend.DType, rows, cols int) operand {
	return operand{ptr: p, rows: rows, cols: cols, stride: cols, dt: dt}
}

// operand finds the memory of a tensor for an operation that is queued next; a
// tensor that is not given has none.
func (b *Device) operand(t backend.Tensor) operand {
	if t.IsZero() {
		return operand{}
	}
	buf := t.Buf.(*buffer)
	b.touch(buf)
	return place(buf, t)
}

// place is where a tensor lies in its buffer.
func place(buf *buffer, t backend.Tensor) operand {
	o := operand{rows: t.Rows, cols: t.Cols, stride: t.Stride, dt: buf.DType()}
	// A single row has no distance to another; as a dense one it takes the faster kernels.
	if t.Rows <= 1 {
		o.stride = t.Cols
	}
	o.ptr = buf.ptr + driver.Ptr(t.Off*buf.DType().Size())
	return o
}

// args are the cells of a launch, filled in the order of the kernel's
// parameters.
// 48 cells hold the most that a kernel takes. They are filled for one launch and read by it.
type args struct {
	cells [48]uint64
	n     int
}

// begin empties the cells.
func (b *Device) begin() *args {
	b.args.n = 0
	return &b.args
}

func (a *args) cell(v uint64) *args {
	a.cells[a.n] = v
	a.n++
	return a
}

// mat adds two cells for each operand: its address, and stride and type packed in one
// (kernels.Layout).
func (a *args) mat(os ...operand) *args {
	for _, o := range os {
		a.cell(uint64(o.ptr)).cell(kernels.Layout(o.stride, o.dt))
	}
	return a
}

func (a *args) ptr(p driver.Ptr) *args { return a.cell(uint64(p)) }
func (a *args) f32(v float32) *args    { return a.cell(uint64(math.Float32bits(v))) }
func (a *args) u32(v uint32) *args     { return a.cell(uint64(v)) }

func (a *args) i32(vs ...int) *args {
	for _, v := range vs {
		a.cell(uint64(uint32(int32(v))))
	}
	return a
}

func (a *args) i64(vs ...int) *args {
	for _, v := range vs {
		a.cell(uint64(v))
	}
	return a
}

// launch queues a kernel with the cells filled since begin.
func (b *Device) launch(name string, g kernels.Geometry) {
	if b.Err() != nil {
		return
	}
	k := b.kernels[name]
	if k == nil {
		b.Fail(fmt.Errorf("cuda: there is no kernel %s", name))
		return
	}
	b.Fail(k.Launch(b.stream, dim(g.Grid), dim(g.Block), g.Shared, b.args.cells[:b.args.n]))
}

func dim(d [3]int) driver.Dim { return driver.Dim{X: d[0], Y: d[1], Z: d[2]} }

// elementwise queues a kernel whose last parameters are rows and columns, over
// operands of one shape. An empty one is not queued: a grid of no blocks is an
// error to the driver.
func (b *Device) elementwise(name string, rows, cols int) {
	if b.Err() == nil && rows > 0 && cols > 0 {
		b.args.i64(rows, cols)
		b.launch(name, kernels.Elementwise(rows, cols))
	}
}

// flat is the shape of operands of one shape, as one row where they are dense.
func flat(os ...operand) (rows, cols int) {
	var strides [5]int
	for i, o := range os {
		strides[i] = o.stride
	}
	return kernels.Flatten(os[0].rows, os[0].cols, strides[:len(os)]...)
}

// temp is memory for the operation at hand; done gives it back. Both are in
// stream order: the next operation may get the same memory while the kernels of
// this one still run, and will write to it after them.
func (b *Device) temp(dt backend.DType, n int) driver.Ptr { return b.tempBytes(n * dt.Size()) }

func (b *Device) tempBytes(n int) driver.Ptr {
	if b.Err() != nil {
		return 0
	}
	p, err := b.allocate(backend.Workspace, int64(max(1, n)))
	if err != nil {
		b.Fail(err)
		return 0
	}
	b.scratch = append(b.scratch, p)
	return p
}

// spare is memory for the operation at hand where there is some, else 0.
// cuBLASLt is slower without its workspace and still right.
func (b *Device) spare(bytes int) driver.Ptr {
	p, err := b.take(backend.Workspace, int64(bytes))
	if driver.Code(err) == driver.OutOfMemory {
		return 0
	}
	if err != nil {
		b.Fail(err)
		return 0
	}
	b.scratch = append(b.scratch, p)
	return p
}

// done frees, in stream order, what temp gave.
func (b *Device) done() {
	for _, p := range b.scratch {
		b.release(p)
	}
	b.scratch = b.scratch[:0]
}
