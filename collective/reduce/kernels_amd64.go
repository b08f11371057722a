package reduce

import "golang.org/x/sys/cpu"

// The kernels take n elements, n a multiple of 32; they and the plain loops give
// the same bits.

// addAVX2 sets d[i] += s[i].
//
//go:noescape
func addAVX2(d, s *float32, n int)

//go:noescape
func widenBF16AVX2(d *float32, s *uint16, n int)

//go:noescape
func narrowBF16AVX2(d *uint16, s *float32, n int)

// addBF16AVX2 sets d[i] += s[i].
//
//go:noescape
func addBF16AVX2(d *float32, s *uint16, n int)

//go:noescape
func widenF16C(d *float32, s *uint16, n int)

//go:noescape
func narrowF16C(d *uint16, s *float32, n int)

var hasAVX2, hasF16C = cpu.X86.HasAVX2, cpu.X86.HasAVX && cpu.X86.HasF16C

func addF32(d, s []float32) { blocks(hasAVX2, d, s, addAVX2, addF32Plain) }

func widenBF16(d []float32, s []uint16)  { blocks(hasAVX2, d, s, widenBF16AVX2, widenBF16Plain) }
func narrowBF16(d []uint16, s []float32) { blocks(hasAVX2, d, s, narrowBF16AVX2, narrowBF16Plain) }
func addBF16(d []float32, s []uint16)    { blocks(hasAVX2, d, s, addBF16AVX2, addBF16Plain) }
func widenF16(d []float32, s []uint16)   { blocks(hasF16C, d, s, widenF16C, widenF16Plain) }
func narrowF16(d []uint16, s []float32)  { blocks(hasF16C, d, s, narrowF16C, narrowF16Plain) }

// blocks gives the kernel, if this processor has it, what it can take, and the
// rest to the plain loop.
func blocks[D, S float32 | uint16](has bool, d []D, s []S, kernel func(*D, *S, int), plain func([]D, []S)) {
	n := len(d) &^ 31
	s = s[:len(d)]
	if has && n > 0 {
		kernel(&d[0], &s[0], n)
		d, s = d[n:], s[n:]
	}
	plain(d, s)
}
