package ref

import (
	"math"

	"vgid/model/backend"
)

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// activation gives f(x) and f'(x).
// All in the form of the definitions, without any of the rearrangements that float32 needs: in
// float64 they lose nothing that matters.
func activation(f backend.Activation, x float64) (y, dy float64) {
	switch f {
	case backend.GELU:
		cdf := 0.5 * math.Erfc(-x/math.Sqrt2)
		return x * cdf, cdf + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case backend.GELUTanh:
		k := math.Sqrt(2 / math.Pi)
		t := math.Tanh(k * (x + 0.044715*x*x*x))
		return 0.5 * x * (1 + t), 0.5*(1+t) + 0.5*x*(1-t*t)*k*(1+3*0.044715*x*x)
	case backend.QuickGELU:
		s := sigmoid(1.702 * x)
		return x * s, s + 1.702*x*s*(1-s)
	default:
		s := sigmoid(x)
		return x * s, s + x*s*(1-s)
	}
}

// Activate implements backend.Device.
func (b *Device) Activate(y, x backend.Tensor, f backend.Activation) {
	m := mats(y, x)
	each(x, func(r, c int) {
		v, _ := activation(f, m[1].at(r, c))
		m[0].set(r, c, v)
	})
}

// ActivateBackward implements backend.Device.
func (b *Device) ActivateBackward(dx, dy, x backend.Tensor, f backend.Activation) {
	m := mats(dx, dy, x)
	each(x, func(r, c int) {
		_, d := activation(f, m[2].at(r, c))
		m[0].set(r, c, m[1].at(r, c)*d)
	})
}

// SwiGLU implements backend.Device.
func (b *Device) SwiGLU(y, gate, up backend.Tensor) {
	m := mats(y, gate, up)
	each(y, func(r, c int) {
		v, _ := activation(backend.SiLU, m[1].at(r, c))
		m[0].set(r, c, v*m[2].at(r, c))
	})
}

// SwiGLUBackward implements backend.Device.
func (b *Device) SwiGLUBackward(dgate, dup, dy, gate, up backend.Tensor) {
	m := mats(dgate, dup, dy, gate, up)
	each(dy, func(r, c int) {
		v, d := activation(backend.SiLU, m[3].at(r, c))
		grad := m[2].at(r, c)
		m[0].set(r, c, grad*m[4].at(r, c)*d)
		m[1].set(r, c, grad*v)
	})
}
