package ref

import (
	"math"

	"vgid/model/backend"
)

// each calls f for every element of a [rows, cols] matrix.
func each(t backend.Tensor, f func(r, c int)) {
	for r := range t.Rows {
		for c := range t.Cols {
			f(r, c)
		}
	}
}

// Fill implements backend.Device.
func (b *Device) Fill(dst backend.Tensor, v float32) {
	m := mats(dst)
	each(dst, func(r, c int) {
		if dst.Buf.DType() == backend.I32 {
			m[0].ints[dst.Off+r*dst.Stride+c] = int32(v)
		} else {
			m[0].set(r, c, float64(v))
		}
	})
}

// Copy implements backend.Device.
func (b *Device) Copy(dst, src backend.Tensor) {
	m := mats(dst, src)
	each(dst, func(r, c int) {
		if dst.Buf.DType() == backend.I32 {
			m[0].ints[dst.Off+r*dst.Stride+c] = m[1].ints[src.Off+r*src.Stride+c]
		} else {
			m[0].set(r, c, m[1].at(r, c))
		}
	})
}

// Add implements backend.Device.
func (b *Device) Add(dst, x, y backend.Tensor) {
	m := mats(dst, x, y)
	each(dst, func(r, c int) { m[0].set(r, c, m[1].at(r, c)+m[2].at(r, c)) })
}

// Axpy implements backend.Device.
func (b *Device) Axpy(y backend.Tensor, alpha float32, x backend.Tensor) {
	m := mats(y, x)
	each(y, func(r, c int) { m[0].add(r, c, float64(alpha)*m[1].at(r, c)) })
}

// Scale implements backend.Device.
func (b *Device) Scale(x backend.Tensor, alpha float32) {
	m := mats(x)
	each(x, func(r, c int) { m[0].set(r, c, float64(alpha)*m[0].at(r, c)) })
}

// lines are the rows of a matrix, or its columns.
// Both operands of a product become lists of lines, so that each of the four combinations of
// transposes is one dot product.
func (m *matrix) lines(columns bool) [][]float64 {
	if !columns {
		out := make([][]float64, m.Rows)
		for r := range out {
			out[r] = m.row(r, 0)
		}
		return out
	}
	out := make([][]float64, m.Cols)
	for c := range out {
		out[c] = make([]float64, m.Rows)
		for r := range out[c] {
			out[c][r] = m.at(r, c)
		}
	}
	return out
}

// MatMul implements backend.Device.
//
// With Beta 0 what is in c is not read, NaN or not.
func (b *Device) MatMul(c, a, bt backend.Tensor, p backend.MatMul) {
	m := mats(c, a, bt, p.Bias)
	left, right := m[1].lines(p.TransA), m[2].lines(!p.TransB)
	each(c, func(i, j int) {
		sum := dot(left[i], right[j])
		sum *= float64(p.Alpha)
		if p.Beta != 0 {
			sum += float64(p.Beta) * m[0].at(i, j)
		}
		if !p.Bias.IsZero() {
			sum += m[3].at(0, j)
		}
		m[0].set(i, j, sum)
	})
}

// SumRows implements backend.Device.
func (b *Device) SumRows(dst, src backend.Tensor) {
	m := mats(dst, src)
	for c := range src.Cols {
		sum := 0.0
		for r := range src.Rows {
			sum += m[1].at(r, c)
		}
		m[0].add(0, c, sum)
	}
}

// indices are the values of idx, each below limit.
// Negative ones are kept: what they mean is the operation's.
func (b *Device) indices(op string, idx matrix, limit int) ([]int, bool) {
	out := make([]int, idx.Rows)
	for i := range out {
		out[i] = idx.int(i, 0)
		if b.Fail(backend.CheckIndex(op, i, out[i], limit)); b.Err() != nil {
			return nil, false
		}
	}
	return out, true
}

// GatherRows implements backend.Device.
func (b *Device) GatherRows(dst, src, idx backend.Tensor) {
	m := mats(dst, src, idx)
	if ix, ok := b.indices("gather_rows", m[2], src.Rows); ok {
		each(dst, func(r, c int) {
			v := 0.0
			if ix[r] >= 0 {
				v = m[1].at(ix[r], c)
			}
			m[0].set(r, c, v)
		})
	}
}

// ScatterRows implements backend.Device.
func (b *Device) ScatterRows(dst, src, idx backend.Tensor) {
	m := mats(dst, src, idx)
	if ix, ok := b.indices("scatter_rows", m[2], dst.Rows); ok {
		each(src, func(r, c int) {
			if ix[r] >= 0 {
				m[0].set(ix[r], c, m[1].at(r, c))
			}
		})
	}
}

// ScatterAddRows implements backend.Device.
func (b *Device) ScatterAddRows(dst, src, idx backend.Tensor) {
	m := mats(dst, src, idx)
	if ix, ok := b.indices("scatter_add_rows", m[2], dst.Rows); ok {
		each(src, func(r, c int) {
			if ix[r] >= 0 {
				m[0].add(ix[r], c, m[1].at(r, c))
			}
		})
	}
}

// Dropout implements backend.Device.
// Four columns share a block of the generator, keyed by the sample and the row's place in it.
func (b *Device) Dropout(y, x backend.Tensor, p float32, key backend.Key, rows backend.Tensor) {
	m := mats(y, x, rows)
	each(x, func(r, c int) {
		words := key.Block(uint32(c/4), uint32(m[2].int(r, 1)), uint32(m[2].int(r, 0)))
		v := 0.0
		if backend.Keep(words[c%4], p) {
			v = m[1].at(r, c) / (1 - float64(p))
		}
		m[0].set(r, c, v)
	})
}

// Random implements backend.Device.
func (b *Device) Random(dst backend.Tensor, dist backend.Distribution, key backend.Key, sample backend.Tensor) {
	m := mats(dst, sample)
	row := make([]float32, dst.Cols)
	for r := range dst.Rows {
		backend.FillRandom(row, dist, key, uint32(m[1].int(r, 0)))
		for c, v := range row {
			m[0].set(r, c, float64(v))
		}
	}
}

// Patchify implements backend.Device.
// Rows count images, then patches from the top left; columns count channels, then the patch's
// pixels.
func (b *Device) Patchify(dst, images backend.Tensor, channels, height, width, patch int) {
	m := mats(dst, images)
	down, across := height/patch, width/patch
	each(dst, func(r, c int) {
		image, py, px := r/(down*across), r/across%down, r%across
		channel, y, x := c/(patch*patch), c/patch%patch, c%patch
		m[0].set(r, c, m[1].at(image, (channel*height+py*patch+y)*width+px*patch+x))
	})
}

// ArgMax implements backend.Device.
func (b *Device) ArgMax(dst, src backend.Tensor) {
	m := mats(dst, src)
	for r := range src.Rows {
		best := 0
		for c := range src.Cols {
			v := m[1].at(r, c)
			if v-v != 0 { // NaN or infinite
				best = -1
				break
			}
			if v > m[1].at(r, best) {
				best = c
			}
		}
		m[0].ints[dst.Off+r*dst.Stride] = int32(best)
	}
}

// SumSquares implements backend.Device.
func (b *Device) SumSquares(dst, x backend.Tensor) {
	m := mats(dst, x)
	each(x, func(r, c int) { m[0].add(0, 0, m[1].at(r, c)*m[1].at(r, c)) })
}

// AdamW implements backend.Device.
//
// It is written as in the paper, with the bias corrections applied to the moments; faster devices
// move them into the rate.
func (b *Device) AdamW(p, g, mean, square, normSq backend.Tensor, h backend.AdamW) {
	m := mats(p, g, mean, square, normSq)
	clip := 1.0
	if !normSq.IsZero() && h.ClipNorm > 0 {
		clip = math.Min(1, float64(h.ClipNorm)/math.Sqrt(m[4].at(0, 0)))
	}
	lr, beta1, beta2 := float64(h.LR), float64(h.Beta1), float64(h.Beta2)
	correct1 := 1 - math.Pow(beta1, float64(h.Step))
	correct2 := 1 - math.Pow(beta2, float64(h.Step))
	each(p, func(r, c int) {
		grad := clip * m[1].at(r, c)
		m[2].set(r, c, beta1*m[2].at(r, c)+(1-beta1)*grad)
		m[3].set(r, c, beta2*m[3].at(r, c)+(1-beta2)*grad*grad)
		decayed := m[0].at(r, c) * (1 - lr*float64(h.WeightDecay))
		step := m[2].at(r, c) / correct1 / (math.Sqrt(m[3].at(r, c)/correct2) + float64(h.Eps))
		m[0].set(r, c, decayed-lr*step)
	})
}
