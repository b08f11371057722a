package dry

import "vgid/model/backend"

// What operations of model/cuda take for as long as they run: operands that a
// product needs in another type, logits, and cuBLASLt's workspace. A step that fits
// but for these does not fit, so they are estimated with the rest. What sums over
// rows leave aside is left out; it is under a megabyte.

const (
	logitBytes = 512 << 20 // as in model/cuda
	// LtMost is the workspace that cuBLASLt may take for a product.
	LtMost = 32 << 20
)

// takes counts memory that is given back at once.
func (b *Device) takes(bytes int64) {
	if bytes > 0 {
		b.take(backend.Workspace, bytes)
		b.use.Add(backend.Workspace, -bytes)
	}
}

func typeOf(t backend.Tensor) backend.DType { return t.Buf.DType() }

func sizeAs(t backend.Tensor, dt backend.DType) int64 { return int64(t.Len()) * int64(dt.Size()) }

// product is the workspace of a product of x and y.
func (b *Device) product(c, x, y backend.Tensor) int64 {
	if c.Len() == 0 {
		return 0
	}
	n := int64(b.opt.LtBytes)
	dx, dy := typeOf(x), typeOf(y)
	if dx != dy {
		to := backend.F32 // widening is exact
		if b.opt.Activations == backend.BF16 {
			to = backend.BF16
		}
		for _, t := range []backend.Tensor{x, y} {
			if typeOf(t) != to {
				n += sizeAs(t, to)
			}
		}
		dx = to
	}
	if typeOf(c) == backend.BF16 && dx == backend.F32 {
		n += sizeAs(c, backend.F32)
	}
	return n
}

// head is the workspace of LinearCE and LinearKL over pairs of rows and weights.
func (b *Device) head(pairs ...[2]backend.Tensor) int64 {
	rows, weights := pairs[0][0], pairs[0][1]
	if rows.Len() == 0 {
		return 0
	}
	n := int64(b.opt.LtBytes)
	for _, p := range pairs {
		if dt := typeOf(p[0]); dt != typeOf(p[1]) {
			n += sizeAs(p[1], dt)
		}
	}
	limit := b.opt.LogitBytes
	if limit == 0 {
		limit = logitBytes
	}
	row := (weights.Rows + 7) / 8 * 8 * typeOf(rows).Size() * len(pairs)
	return n + int64(min(rows.Rows, max(1, limit/row)))*int64(row)
}
