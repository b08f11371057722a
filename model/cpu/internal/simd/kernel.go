package simd

import "math"

// A Tile is the most that Mul computes at once: so many rows of A, so many
// columns of B.
// Its size follows from the registers: see genGemm and genGemm512 in asm.
type Tile struct{ Rows, Cols int }

// CurrentTile depends on the level in use. The portable version takes the
// larger tile, so that tests reach it on every machine.
func CurrentTile() Tile {
	if avx2 && !avx512 {
		return Tile{Rows: 6, Cols: 16}
	}
	return Tile{Rows: 12, Cols: 32}
}

// InPlace says whether Mul is fast for an A of any strides, and reads no more
// of B than it was asked to multiply. Otherwise it is fast for packed panels
// and for rows, and reads B in whole vectors of eight.
func InPlace() bool { return !avx2 || avx512 }

// Epilogue is what a kernel does with a finished tile:
// C = Alpha·AB (+ bias) + Beta·C.
type Epilogue struct{ Alpha, Beta float32 }

// The three differ in how A is addressed: packed in panels of six rows, by rows lda apart, by two
// strides.
type packedKernel func(kc int, a, b *float32, bs int, c *float32, ldc int, alpha, beta float32, bias *float32, n int)
type rowsKernel func(kc int, a *float32, lda int, b *float32, bs int, c *float32, ldc int, alpha, beta float32, bias *float32, n int)
type stridedKernel func(kc int, a *float32, rs, cs int, b *float32, bs int, c *float32, ldc int, alpha, beta float32, bias *float32, n int)

var (
	// By columns in eights, then by rows.
	packed = [...][7]packedKernel{
		1: {nil, gemmP1x8, gemmP2x8, gemmP3x8, gemmP4x8, gemmP5x8, gemmP6x8},
		2: {nil, gemmP1x16, gemmP2x16, gemmP3x16, gemmP4x16, gemmP5x16, gemmP6x16},
	}
	rows = [...][7]rowsKernel{
		1: {nil, gemmR1x8, gemmR2x8, gemmR3x8, gemmR4x8, gemmR5x8, gemmR6x8},
		2: {nil, gemmR1x16, gemmR2x16, gemmR3x16, gemmR4x16, gemmR5x16, gemmR6x16},
	}
	strided = [...][]stridedKernel{
		1: {nil, gemm1x8AVX512, gemm2x8AVX512, gemm3x8AVX512, gemm4x8AVX512, gemm5x8AVX512, gemm6x8AVX512},
		2: {nil, gemm1x16AVX512, gemm2x16AVX512, gemm3x16AVX512, gemm4x16AVX512, gemm5x16AVX512, gemm6x16AVX512},
		3: {nil, gemm1x24AVX512, gemm2x24AVX512, gemm3x24AVX512, gemm4x24AVX512, gemm5x24AVX512, gemm6x24AVX512,
			gemm7x24AVX512, gemm8x24AVX512, gemm9x24AVX512, gemm10x24AVX512, gemm11x24AVX512, gemm12x24AVX512},
		4: {nil, gemm1x32AVX512, gemm2x32AVX512, gemm3x32AVX512, gemm4x32AVX512, gemm5x32AVX512, gemm6x32AVX512,
			gemm7x32AVX512, gemm8x32AVX512, gemm9x32AVX512, gemm10x32AVX512, gemm11x32AVX512, gemm12x32AVX512},
	}
)

// Mul computes m rows and n columns of C, n within a tile, from kc columns of
// A, element (i, k) at i·rs + k·cs, and kc rows of B, bs apart. Of a packed
// panel of A, rs is 1, cs is Tile.Rows, and m within a tile too. Slices start
// at the first element; bias is nil or starts at the first column. Each element
// is one chain of multiply-adds over k, whatever the tile.
func Mul(m, n, kc int, a []float32, rs, cs int, b []float32, bs int, c []float32, ldc int, e Epilogue, bias []float32) {
	width := n
	if !InPlace() {
		width = (n + 7) &^ 7
	}
	_, _, _ = a[(m-1)*rs+(kc-1)*cs], b[(kc-1)*bs+width-1], c[(m-1)*ldc+n-1]
	switch {
	case avx512:
		// A tile of few columns has kernels of six rows, so that twelve go in two calls.
		kernels := strided[(n+7)/8]
		for i, h := 0, len(kernels)-1; i < m; i += h {
			kernels[min(h, m-i)](kc, &a[i*rs], rs, cs, &b[0], bs, &c[i*ldc], ldc, e.Alpha, e.Beta, first(bias, n), n)
		}
	case avx2 && rs == 1 && cs == 6:
		packed[(n+7)/8][m](kc, &a[0], &b[0], bs, &c[0], ldc, e.Alpha, e.Beta, first(bias, n), n)
	case avx2 && cs == 1:
		kernels := rows[(n+7)/8]
		for i := 0; i < m; i += 6 {
			kernels[min(6, m-i)](kc, &a[i*rs], rs, &b[0], bs, &c[i*ldc], ldc, e.Alpha, e.Beta, first(bias, n), n)
		}
	default:
		mulGo(m, n, kc, a, rs, cs, b, bs, c, ldc, e, bias)
	}
}

// first is where an optional bias begins; it panics where that is shorter than n.
func first(bias []float32, n int) *float32 {
	if bias == nil {
		return nil
	}
	_ = bias[n-1]
	return &bias[0]
}

// mulGo needs an accumulator for each column of the largest tile.
func mulGo(m, n, kc int, a []float32, rs, cs int, b []float32, bs int, c []float32, ldc int, e Epilogue, bias []float32) {
	for i := range m {
		var acc [32]float32
		for k := range kc {
			av := a[i*rs+k*cs]
			for j, bv := range b[k*bs:][:n] {
				acc[j] += av * bv
			}
		}
		row := c[i*ldc:][:n]
		for j := range row {
			v := e.Alpha * acc[j]
			if bias != nil {
				v += bias[j]
			}
			if e.Beta != 0 {
				v += e.Beta * row[j]
			}
			row[j] = v
		}
	}
}

// Dots writes out[i·4+j] = Σ_k a[i·lda+k]·b[j·ldb+k] for i < m ≤ 3, j < 4.
// Sums go in eight lanes and are added at the end: other bits than Mul's, so that the shape alone
// decides which is called.
func Dots(m, k int, a []float32, lda int, b []float32, ldb int, out *[12]float32) {
	_, _ = a[(m-1)*lda+k-1], b[3*ldb+k-1]
	k8 := 0
	if avx2 {
		k8 = k / 8
		switch m {
		case 1:
			dot1x4(k8, &a[0], lda, &b[0], ldb, &out[0])
		case 2:
			dot2x4(k8, &a[0], lda, &b[0], ldb, &out[0])
		default:
			dot3x4(k8, &a[0], lda, &b[0], ldb, &out[0])
		}
	} else {
		clear(out[:])
	}
	if k8*8 == k {
		return
	}
	for i := range m {
		x := a[i*lda+k8*8 : i*lda+k]
		for j := range 4 {
			s := out[i*4+j]
			for q, v := range b[j*ldb+k8*8 : j*ldb+k] {
				s = float32(math.FMA(float64(x[q]), float64(v), float64(s)))
			}
			out[i*4+j] = s
		}
	}
}

// Transpose8 writes dst[k·ds+r] = src[r·ld+k] for r < 8, k < n.
func Transpose8(n int, src []float32, ld int, dst []float32, ds int) {
	if n == 0 {
		return
	}
	_, _ = src[7*ld+n-1], dst[(n-1)*ds+7]
	k := 0
	if avx2 && n >= 8 {
		transpose8(n/8, &src[0], ld, &dst[0], ds)
		k = n &^ 7
	}
	for ; k < n; k++ {
		d := dst[k*ds:][:8]
		for r := range d {
			d[r] = src[r*ld+k]
		}
	}
}

// PackPanels copies n rows of 4·w floats, ld apart, into four panels of width
// w, ps apart; w is a height or a width of a Tile.
func PackPanels(w, n int, src []float32, ld int, dst []float32, ps int) {
	if n == 0 {
		return
	}
	_, _ = src[(n-1)*ld+4*w-1], dst[3*ps+w*n-1]
	k := 0
	switch {
	case !avx2:
	case w == 6:
		// The assembly moves eight floats where it wants six: the last row would
		// read past the source and write past its panel.
		if n > 1 && ld >= 2 {
			pack4x6(n-1, &src[0], ld, &dst[0], ps)
			k = n - 1
		}
	case w == 12:
		pack4x12(n, &src[0], ld, &dst[0], ps)
		return
	case w == 16:
		pack4x16(n, &src[0], ld, &dst[0], ps)
		return
	case w == 32:
		pack4x32(n, &src[0], ld, &dst[0], ps)
		return
	}
	for ; k < n; k++ {
		for q := range 4 {
			copy(dst[q*ps+w*k:][:w], src[k*ld+w*q:])
		}
	}
}
