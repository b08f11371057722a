package cpu

import (
	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// gatherTask moves rows by index; chunks are ranges of index entries, or of
// columns when rows may repeat.
type gatherTask struct {
	kind     gatherKind
	dst, src mat
	half     source // instead of src when that is bfloat16; gather only
	idx      ints
	step     int
}

// gatherKind is which of the operations a gatherTask is. A negative index skips its row, and
// clears it in a gather.
type gatherKind uint8

const (
	gather gatherKind = iota
	scatter
	scatterAdd
)

// GatherRows implements backend.Device.
func (b *Device) GatherRows(dst, src, idx backend.Tensor) {
	b.moveRows("gather_rows", gather, dst, src, idx)
}

// ScatterRows implements backend.Device.
func (b *Device) ScatterRows(dst, src, idx backend.Tensor) {
	b.moveRows("scatter_rows", scatter, dst, src, idx)
}

// ScatterAddRows implements backend.Device.
func (b *Device) ScatterAddRows(dst, src, idx backend.Tensor) {
	b.moveRows("scatter_add_rows", scatterAdd, dst, src, idx)
}

// All indices are checked before any row is moved: a failed operation leaves its output
// untouched.
func (b *Device) moveRows(op string, kind gatherKind, dst, src, idx backend.Tensor) {
	n, limit := src.Rows, dst.Rows
	if kind == gather {
		n, limit = dst.Rows, src.Rows
	}
	t := &b.tasks.gather
	*t = gatherTask{kind: kind, dst: b.mat(op, dst)}
	if kind == gather && src.Buf.DType() == backend.BF16 {
		t.half = sourceOf(src)
	} else {
		t.src = b.mat(op, src)
	}
	t.idx = b.indices(op, idx, limit)
	if b.Err() != nil {
		return
	}
	if kind == scatterAdd {
		// Rows may repeat, so they cannot be shared out; columns can, and each is
		// then summed in row order whatever the number of threads.
		t.step = max(32, chunkWork/max(1, n))
		b.pool.run(pieces(dst.Cols, t.step), t)
		return
	}
	t.step = rowStep(dst.Cols)
	b.pool.run(pieces(n, t.step), t)
}

func (t *gatherTask) do(chunk int, _ *scratch) {
	from := chunk * t.step
	if t.kind == scatterAdd {
		to := min(from+t.step, t.dst.cols)
		for i := range t.idx.rows {
			if j := t.idx.at(i); j >= 0 {
				d := t.dst.row(int(j))[from:to]
				simd.Add(d, d, t.src.row(i)[from:to])
			}
		}
		return
	}
	for i := from; i < min(from+t.step, t.idx.rows); i++ {
		switch j := t.idx.at(i); {
		case t.kind == scatter && j >= 0:
			copy(t.dst.row(int(j)), t.src.row(i))
		case t.kind == gather && j >= 0 && t.half.h != nil:
			simd.FromBF16(t.dst.row(i), t.half.at(int(j), 0).h)
		case t.kind == gather && j >= 0:
			copy(t.dst.row(i), t.src.row(int(j)))
		case t.kind == gather:
			clear(t.dst.row(i))
		}
	}
}
