package reduce

import "math"

// The conversions of 16-bit floats, as the definition of what the kernels do. d
// and s have the same length.

// widenBF16Plain is exact: a BF16 is a float32 without its lower half.
func widenBF16Plain(d []float32, s []uint16) {
	s = s[:len(d)]
	for i := range d {
		d[i] = math.Float32frombits(uint32(s[i]) << 16)
	}
}

// narrowBF16Plain rounds to nearest, ties to even. NaN stays NaN: it becomes
// quiet, so that cutting off its lower half cannot make it infinite.
func narrowBF16Plain(d []uint16, s []float32) {
	s = s[:len(d)]
	for i, f := range s {
		b := math.Float32bits(f)
		if f != f {
			d[i] = uint16(b>>16) | 0x40
			continue
		}
		d[i] = uint16((b + 0x7fff + b>>16&1) >> 16)
	}
}

// widenF16Plain is exact. The exponent is moved by a multiplication, which also
// makes normal numbers of subnormal ones.
func widenF16Plain(d []float32, s []uint16) {
	s = s[:len(d)]
	for i, h := range s {
		sign := uint32(h&0x8000) << 16
		b := math.Float32bits(math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112)
		if h&0x7c00 == 0x7c00 { // infinite or NaN, which becomes quiet
			b |= 0x7f800000
			if h&0x3ff != 0 {
				b |= 0x400000
			}
		}
		d[i] = math.Float32frombits(sign | b)
	}
}

// narrowF16Plain rounds to nearest, ties to even; 65520 and beyond is infinite.
func narrowF16Plain(d []uint16, s []float32) {
	s = s[:len(d)]
	for i, f := range s {
		b := math.Float32bits(f)
		sign, b := uint16(b>>16&0x8000), b&0x7fffffff
		var h uint16
		switch {
		case b > 0x7f800000: // NaN, which becomes quiet
			h = 0x7e00 | uint16(b>>13&0x3ff)
		case b >= 0x47800000: // 2¹⁶
			h = 0x7c00
		case b < 0x38800000: // 2⁻¹⁴: beside 0.5, the last place of a float32 is F16's smallest number
			h = uint16(math.Float32bits(math.Float32frombits(b)+0.5) - 0x3f000000)
		default:
			h = uint16((b - 112<<23 + 0xfff + b>>13&1) >> 13)
		}
		d[i] = sign | h
	}
}

func addF32Plain(d, s []float32) {
	s = s[:len(d)]
	for i := range d {
		d[i] += s[i]
	}
}

// addBF16Plain adds BF16 to float32.
func addBF16Plain(d []float32, s []uint16) {
	s = s[:len(d)]
	for i := range d {
		d[i] += math.Float32frombits(uint32(s[i]) << 16)
	}
}
