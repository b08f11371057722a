package ref

import (
	"math"

	"vgid/model/backend"
)

// RMSNorm implements backend.Device.
// y = x·rstd·w with rstd = 1/√(mean(x²) + eps) (Zhang and Sennrich 2019).
func (b *Device) RMSNorm(y, rstd, x, w backend.Tensor, eps float32) {
	m := mats(y, rstd, x, w)
	for r := range x.Rows {
		sum := 0.0
		for c := range x.Cols {
			sum += m[2].at(r, c) * m[2].at(r, c)
		}
		s := 1 / math.Sqrt(sum/float64(x.Cols)+float64(eps))
		m[1].set(r, 0, s)
		for c := range x.Cols {
			m[0].set(r, c, m[2].at(r, c)*s*m[3].at(0, c))
		}
	}
}

// RMSNormBackward implements backend.Device. With n = x·rstd and g = dy·w:
// dx = rstd·(g - n·mean(g·n)).
func (b *Device) RMSNormBackward(dx, dw, dy, x, w, rstd backend.Tensor) {
	m := mats(dx, dw, dy, x, w, rstd)
	for r := range x.Rows {
		s, mean := m[5].at(r, 0), 0.0
		for c := range x.Cols {
			mean += m[2].at(r, c) * m[4].at(0, c) * m[3].at(r, c) * s
		}
		mean /= float64(x.Cols)
		for c := range x.Cols {
			n := m[3].at(r, c) * s
			if !dw.IsZero() {
				m[1].add(0, c, m[2].at(r, c)*n)
			}
			m[0].add(r, c, s*(m[2].at(r, c)*m[4].at(0, c)-n*mean))
		}
	}
}

// LayerNorm implements backend.Device.
//
// The variance is the biased one, divided by the number of columns, as in PyTorch's layer_norm.
func (b *Device) LayerNorm(y, stats, x, w, bias backend.Tensor, eps float32) {
	m := mats(y, stats, x, w, bias)
	for r := range x.Rows {
		mean, variance := 0.0, 0.0
		for c := range x.Cols {
			mean += m[2].at(r, c) / float64(x.Cols)
		}
		for c := range x.Cols {
			d := m[2].at(r, c) - mean
			variance += d * d / float64(x.Cols)
		}
		s := 1 / math.Sqrt(variance+float64(eps))
		m[1].set(r, 0, mean)
		m[1].set(r, 1, s)
		for c := range x.Cols {
			m[0].set(r, c, (m[2].at(r, c)-mean)*s*m[3].at(0, c)+m[4].at(0, c))
		}
	}
}

// LayerNormBackward implements backend.Device. With n = (x-mean)·rstd and
// g = dy·w: dx = rstd·(g - mean(g) - n·mean(g·n)).
func (b *Device) LayerNormBackward(dx, dw, db, dy, x, w, stats backend.Tensor) {
	m := mats(dx, dw, db, dy, x, w, stats)
	for r := range x.Rows {
		mean, s := m[6].at(r, 0), m[6].at(r, 1)
		meanG, meanGN := 0.0, 0.0
		for c := range x.Cols {
			g := m[3].at(r, c) * m[5].at(0, c)
			meanG += g / float64(x.Cols)
			meanGN += g * (m[4].at(r, c) - mean) * s / float64(x.Cols)
		}
		for c := range x.Cols {
			n := (m[4].at(r, c) - mean) * s
			if !dw.IsZero() {
				m[1].add(0, c, m[3].at(r, c)*n)
			}
			if !db.IsZero() {
				m[2].add(0, c, m[3].at(r, c))
			}
			m[0].add(r, c, s*(m[3].at(r, c)*m[5].at(0, c)-meanG-n*meanGN))
		}
	}
}
