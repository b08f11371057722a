package compliance

import (
	"errors"
	"math"
	"slices"

	"vgid/model/backend"
	"vgid/model/ref"
)

// storageMutants keep state, so that each call makes new ones.
func storageMutants() []mutant {
	// An upload that reads its source when the next operation needs it.
	var pending func()
	flush := func() {
		if pending != nil {
			pending()
			pending = nil
		}
	}
	reported, syncs, products := false, 0, 0
	return []mutant{
		{"alloc leaves memory as it was", "allocated memory is zero", "", replaced{Alloc: func(b *ref.Backend, dt backend.DType, n int) (backend.Buffer, error) {
			buf, err := b.Alloc(dt, n)
			if err == nil {
				b.Fill(backend.View(buf, 0, 1, n), 1)
			}
			return buf, err
		}}},
		{"upload keeps its source", "upload and download", "", replaced{
			Upload: func(b *ref.Backend, dst tensor, src []float32) {
				flush()
				pending = func() { b.Upload(dst, src) }
			},
			Download: func(b *ref.Backend, dst []float32, src tensor) error {
				flush()
				return b.Download(dst, src)
			},
		}},
		{"upload ignores the stride", "upload and download", "", replaced{Upload: func(b *ref.Backend, dst tensor, src []float32) {
			b.Upload(backend.View(dst.Buf, dst.Off, dst.Rows, dst.Cols), src)
		}}},
		{"upload_ints ignores the stride", "upload and download", "", replaced{UploadInts: func(b *ref.Backend, dst tensor, src []int32) {
			b.UploadInts(backend.View(dst.Buf, dst.Off, dst.Rows, dst.Cols), src)
		}}},
		{"upload_ints goes through float32", "upload and download", "", replaced{UploadInts: func(b *ref.Backend, dst tensor, src []int32) {
			src = slices.Clone(src)
			for i, v := range src {
				src[i] = int32(min(int64(float32(v)), math.MaxInt32))
			}
			b.UploadInts(dst, src)
		}}},
		{"download ignores the stride", "upload and download", "", replaced{Download: func(b *ref.Backend, dst []float32, src tensor) error {
			return b.Download(dst, backend.View(src.Buf, src.Off, src.Rows, src.Cols))
		}}},
		{"download_ints ignores the stride", "upload and download", "", replaced{DownloadInts: func(b *ref.Backend, dst []int32, src tensor) error {
			return b.DownloadInts(dst, backend.View(src.Buf, src.Off, src.Rows, src.Cols))
		}}},
		{"download after a failure reports none", "errors", "", replaced{Download: func(b *ref.Backend, dst []float32, src tensor) error {
			_ = b.Download(dst, src)
			return nil
		}}},
		{"download_ints after a failure reports none", "errors", "", replaced{DownloadInts: func(b *ref.Backend, dst []int32, src tensor) error {
			_ = b.DownloadInts(dst, src)
			return nil
		}}},
		{"sync reports an error once", "errors", "", replaced{Sync: func(b *ref.Backend) error {
			err := b.Sync()
			if reported = err != nil && !reported; reported {
				return err
			}
			return nil
		}}},
		{"a later error replaces the first", "errors", "", replaced{Sync: func(b *ref.Backend) error {
			if err := b.Sync(); err != nil {
				syncs++
				return errors.Join(err, errors.New(string(rune('a'+syncs%26))))
			}
			return nil
		}}},
		{"errors without a name", "errors", "", replaced{Sync: func(b *ref.Backend) error {
			if b.Sync() != nil {
				return errors.New("operation failed")
			}
			return nil
		}}},
		{"matmul differs from run to run", "matmul", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
			b.MatMul(c, x, y, p)
			if products++; products%7 == 0 {
				scale(b, c, 1+2e-7)
			}
		}}},
	}
}

var linearMutants = []mutant{
	{"matmul reads c at beta 0", "matmul", "patch embedding", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		p.Beta += 1e-30
		b.MatMul(c, x, y, p)
	}}},
	{"matmul scales the bias", "matmul", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		if !p.Bias.IsZero() {
			p.Bias = clone(b, p.Bias)
			b.Scale(p.Bias, p.Alpha)
		}
		b.MatMul(c, x, y, p)
	}}},
	{"matmul scales c by alpha too", "matmul", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		p.Beta *= p.Alpha
		b.MatMul(c, x, y, p)
	}}},
	{"matmul does not transpose square operands", "matmul", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		p.TransB = p.TransB && y.Rows != y.Cols
		p.TransA = p.TransA && x.Rows != x.Cols
		b.MatMul(c, x, y, p)
	}}},
	{"matmul leaves out the tail of k", "matmul", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		if !p.TransA && !p.TransB && x.Cols > 64 {
			k := x.Cols / 8 * 8
			x, y = x.ColRange(0, k), y.RowRange(0, k)
		}
		b.MatMul(c, x, y, p)
	}}},
	{"matmul skips zeros", "matmul keeps nan", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		y = clone(b, y)
		each(y, func(r, col int) {
			if math.IsNaN(b.At(y, r, col)) {
				b.Set(y, r, col, 0)
			}
		})
		b.MatMul(c, x, y, p)
	}}},
	{"sum_rows overwrites", "sum_rows", "", replaced{SumRows: func(b *ref.Backend, dst, src tensor) {
		b.Fill(dst, 0)
		b.SumRows(dst, src)
	}}},
	{"sum_rows leaves out the last of an odd number", "sum_rows", "", replaced{SumRows: func(b *ref.Backend, dst, src tensor) {
		b.SumRows(dst, src.RowRange(0, src.Rows&^1))
	}}},
	{"sum_rows takes the mean", "sum_rows", "patch embedding", replaced{SumRows: func(b *ref.Backend, dst, src tensor) {
		extra(b, dst, 1/float64(max(1, src.Rows))-1, func() { b.SumRows(dst, src) })
	}}},
	{"gather_rows leaves rows of negative indices", "gather_rows", "", replaced{GatherRows: func(b *ref.Backend, dst, src, idx tensor) {
		before := clone(b, dst)
		b.GatherRows(dst, src, idx)
		for r, i := range readInts(b, idx) {
			if i < 0 {
				b.Copy(dst.RowRange(r, r+1), before.RowRange(r, r+1))
			}
		}
	}}},
	{"gather_rows counts negative indices from the end", "gather_rows", "", replaced{GatherRows: func(b *ref.Backend, dst, src, idx tensor) {
		old := readInts(b, idx)
		b.GatherRows(dst, src, makeInts(b, idx.Rows, 1, func(r, _ int) int32 {
			if old[r] < 0 {
				return old[r] + int32(src.Rows)
			}
			return old[r]
		}))
	}}},
	{"gather_rows clamps at the end", "errors", "", replaced{GatherRows: func(b *ref.Backend, dst, src, idx tensor) {
		if idx.Buf.DType() == backend.I32 {
			old := readInts(b, idx)
			idx = makeInts(b, idx.Rows, 1, func(r, _ int) int32 { return min(old[r], int32(src.Rows-1)) })
		}
		b.GatherRows(dst, src, idx)
	}}},
	{"scatter_rows clamps negative indices", "scatter_rows", "", replaced{ScatterRows: func(b *ref.Backend, dst, src, idx tensor) {
		b.ScatterRows(dst, src, atLeastZero(b, idx))
	}}},
	{"scatter_rows clears the other rows", "scatter_rows", "", replaced{ScatterRows: func(b *ref.Backend, dst, src, idx tensor) {
		b.Fill(dst, 0)
		b.ScatterRows(dst, src, idx)
	}}},
	{"scatter_add_rows clamps negative indices", "scatter_add_rows", "", replaced{ScatterAddRows: func(b *ref.Backend, dst, src, idx tensor) {
		b.ScatterAddRows(dst, src, atLeastZero(b, idx))
	}}},
	{"scatter_add_rows keeps the last of repeated rows", "scatter_add_rows", "embedding", replaced{ScatterAddRows: func(b *ref.Backend, dst, src, idx tensor) {
		before := clone(b, dst)
		for r, i := range readInts(b, idx) {
			if i >= 0 {
				b.Add(dst.RowRange(int(i), int(i)+1), before.RowRange(int(i), int(i)+1), src.RowRange(r, r+1))
			}
		}
	}}},
	{"scatter_add_rows overwrites", "scatter_add_rows", "", replaced{ScatterAddRows: func(b *ref.Backend, dst, src, idx tensor) {
		for _, i := range readInts(b, idx) {
			if i >= 0 {
				b.Fill(dst.RowRange(int(i), int(i)+1), 0)
			}
		}
		b.ScatterAddRows(dst, src, idx)
	}}},
	{"scatter_add_rows goes backwards", "scatter_add_rows in row order", "", replaced{ScatterAddRows: func(b *ref.Backend, dst, src, idx tensor) {
		for r := src.Rows - 1; r >= 0; r-- {
			b.ScatterAddRows(dst, src.RowRange(r, r+1), idx.RowRange(r, r+1))
		}
	}}},
	{"scatter_add_rows sums two halves", "scatter_add_rows in row order", "", replaced{ScatterAddRows: func(b *ref.Backend, dst, src, idx tensor) {
		half := fresh(b, dst.Rows, dst.Cols)
		b.ScatterAddRows(dst, src.RowRange(0, src.Rows/2), idx.RowRange(0, src.Rows/2))
		b.ScatterAddRows(half, src.RowRange(src.Rows/2, src.Rows), idx.RowRange(src.Rows/2, src.Rows))
		b.Add(dst, dst, half)
	}}},
	{"patchify goes down the columns", "patchify", "patch embedding", replaced{Patchify: func(b *ref.Backend, dst, images tensor, channels, height, width, patch int) {
		b.Patchify(dst, images, channels, height, width, patch)
		rows := clone(b, dst)
		down, across := height/patch, width/patch
		each(dst, func(r, c int) {
			image, px, py := r/(down*across), r%(down*across)/down, r%down
			b.Set(dst, r, c, b.At(rows, (image*down+py)*across+px, c))
		})
	}}},
	{"patchify puts channels last", "patchify", "patch embedding", replaced{Patchify: func(b *ref.Backend, dst, images tensor, channels, height, width, patch int) {
		b.Patchify(dst, images, channels, height, width, patch)
		first := clone(b, dst)
		each(dst, func(r, c int) { b.Set(dst, r, c, b.At(first, r, c%channels*patch*patch+c/channels)) })
	}}},
	{"argmax takes the last of equals", "argmax", "", replaced{ArgMax: func(b *ref.Backend, dst, src tensor) {
		b.ArgMax(dst, src)
		best := readInts(b, dst)
		each(src, func(r, c int) {
			if best[r] >= 0 && b.At(src, r, c) == b.At(src, r, int(best[r])) {
				best[r] = int32(c)
			}
		})
		b.UploadInts(dst, best)
	}}},
	{"argmax starts from 0", "argmax", "", replaced{ArgMax: func(b *ref.Backend, dst, src tensor) {
		// Every score of the suite is negative: nothing beats 0.
		b.ArgMax(dst, src)
		best := readInts(b, dst)
		for r, i := range best {
			if i >= 0 && b.At(src, r, int(i)) < 0 {
				best[r] = 0
			}
		}
		b.UploadInts(dst, best)
	}}},
	{"argmax chooses among broken scores", "argmax of what is not finite", "", replaced{ArgMax: func(b *ref.Backend, dst, src tensor) {
		b.ArgMax(dst, src)
		b.UploadInts(dst, readInts(b, atLeastZero(b, dst)))
	}}},
}

func atLeastZero(b *ref.Backend, idx tensor) tensor {
	old := readInts(b, idx)
	return makeInts(b, idx.Rows, 1, func(r, _ int) int32 { return max(0, old[r]) })
}

// narrow reports whether a tensor is stored as BF16.
func narrow(t tensor) bool { return !t.IsZero() && t.Buf.DType() == backend.BF16 }

// rounded is a copy of t whose values are rounded to bfloat16.
func rounded(b *ref.Backend, t tensor) tensor {
	c := clone(b, t)
	each(c, func(r, col int) { b.Set(c, r, col, float64(roundBF16(float32(b.At(c, r, col))))) })
	return c
}

var bf16Mutants = []mutant{
	{"bf16 matmul rounds the activations too", "bf16 matmul", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		if narrow(y) {
			x = rounded(b, x)
		}
		b.MatMul(c, x, y, p)
	}}},
	{"bf16 matmul reads rows at the wrong stride", "bf16 matmul", "", replaced{MatMul: func(b *ref.Backend, c, x, y tensor, p backend.MatMul) {
		if narrow(y) {
			y.Stride = y.Cols
		}
		b.MatMul(c, x, y, p)
	}}},
	{"bf16 gather_rows leaves rows without an index as they were", "bf16 gather_rows", "", replaced{GatherRows: func(b *ref.Backend, dst, src, idx tensor) {
		old := clone(b, dst)
		b.GatherRows(dst, src, idx)
		if narrow(src) {
			for r, i := range readInts(b, idx) {
				if i < 0 {
					b.Copy(dst.RowRange(r, r+1), old.RowRange(r, r+1))
				}
			}
		}
	}}},
	{"bf16 linear_ce makes logits of rounded rows", "bf16 linear_ce", "", replaced{LinearCE: func(b *ref.Backend, loss, dh, dw, h, w, target, weight tensor) {
		if narrow(w) {
			h = rounded(b, h)
		}
		b.LinearCE(loss, dh, dw, h, w, target, weight)
	}}},
	{"bf16 linear_kl makes the teacher's logits of rounded rows", "bf16 linear_kl", "", replaced{LinearKL: func(b *ref.Backend, loss, dh, dw, h, w, ht, wt, weight tensor, p backend.KL) {
		if narrow(wt) {
			ht = rounded(b, ht)
		}
		b.LinearKL(loss, dh, dw, h, w, ht, wt, weight, p)
	}}},
}
