package simd

import "math"

// The tile of the matrix-multiplication kernel: PanelRows rows of A, at most
// PanelCols columns of B.
const (
	PanelRows = 6
	PanelCols = 16
)

// Epilogue is what a kernel does with a finished tile:
// C = Alpha·AB (+ bias) + Beta·C.
type Epilogue struct{ Alpha, Beta float32 }

type packedKernel func(kc int, a, b *float32, bs int, c *float32, ldc int, alpha, beta float32, bias *float32, n int)
type rowsKernel func(kc int, a *float32, lda int, b *float32, bs int, c *float32, ldc int, alpha, beta float32, bias *float32, n int)

var (
	packed8  = [...]packedKernel{nil, gemmP1x8, gemmP2x8, gemmP3x8, gemmP4x8, gemmP5x8, gemmP6x8}
	packed16 = [...]packedKernel{nil, gemmP1x16, gemmP2x16, gemmP3x16, gemmP4x16, gemmP5x16, gemmP6x16}
	rows8    = [...]rowsKernel{nil, gemmR1x8, gemmR2x8, gemmR3x8, gemmR4x8, gemmR5x8, gemmR6x8}
	rows16   = [...]rowsKernel{nil, gemmR1x16, gemmR2x16, gemmR3x16, gemmR4x16, gemmR5x16, gemmR6x16}
)

// TilePacked computes one [m, n] tile of C, m ≤ 6, n ≤ 16, from a packed panel
// of A (element (i, k) at 6·k+i) and B as kc rows bs apart, of which 16 (8 when
// n ≤ 8) columns are read. Slices start at the first element of the tile; bias
// is nil or starts at its first column. Each element is one chain of
// multiply-adds over k, whatever the tile.
func TilePacked(m, n, kc int, a, b []float32, bs int, c []float32, ldc int, e Epilogue, bias []float32) {
	width := PanelCols
	if n <= 8 {
		width = 8
	}
	_, _, _ = a[kc*PanelRows-PanelRows+m-1], b[(kc-1)*bs+width-1], c[(m-1)*ldc+n-1]
	if !avx2 {
		tileGo(m, n, kc, a, 1, PanelRows, b, bs, c, ldc, e, bias)
		return
	}
	kernel := packed16[m]
	if n <= 8 {
		kernel = packed8[m]
	}
	kernel(kc, &a[0], &b[0], bs, &c[0], ldc, e.Alpha, e.Beta, first(bias, n), n)
}

// TileRows is TilePacked for an A of rows lda apart.
func TileRows(m, n, kc int, a []float32, lda int, b []float32, bs int, c []float32, ldc int, e Epilogue, bias []float32) {
	width := PanelCols
	if n <= 8 {
		width = 8
	}
	_, _, _ = a[(m-1)*lda+kc-1], b[(kc-1)*bs+width-1], c[(m-1)*ldc+n-1]
	if !avx2 {
		tileGo(m, n, kc, a, lda, 1, b, bs, c, ldc, e, bias)
		return
	}
	kernel := rows16[m]
	if n <= 8 {
		kernel = rows8[m]
	}
	kernel(kc, &a[0], lda, &b[0], bs, &c[0], ldc, e.Alpha, e.Beta, first(bias, n), n)
}

func first(bias []float32, n int) *float32 {
	if bias == nil {
		return nil
	}
	_ = bias[n-1]
	return &bias[0]
}

func tileGo(m, n, kc int, a []float32, rs, cs int, b []float32, bs int, c []float32, ldc int, e Epilogue, bias []float32) {
	for i := range m {
		var acc [PanelCols]float32
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

// Pack4x16 copies n rows of 64 floats, ld apart, into four panels of width 16,
// ps apart.
func Pack4x16(n int, src []float32, ld int, dst []float32, ps int) {
	if n == 0 {
		return
	}
	_, _ = src[(n-1)*ld+63], dst[3*ps+16*n-1]
	if avx2 {
		pack4x16(n, &src[0], ld, &dst[0], ps)
		return
	}
	for k := range n {
		for q := range 4 {
			copy(dst[q*ps+16*k:][:16], src[k*ld+16*q:])
		}
	}
}

// Pack4x6 copies n rows of 24 floats, ld apart, into four panels of width 6,
// ps apart.
func Pack4x6(n int, src []float32, ld int, dst []float32, ps int) {
	if n == 0 {
		return
	}
	_, _ = src[(n-1)*ld+23], dst[3*ps+6*n-1]
	k := 0
	// The assembly moves eight floats where it wants six: the last row would
	// read past the source and write past its panel.
	if avx2 && n > 1 && ld >= 2 {
		pack4x6(n-1, &src[0], ld, &dst[0], ps)
		k = n - 1
	}
	for ; k < n; k++ {
		for q := range 4 {
			copy(dst[q*ps+6*k:][:6], src[k*ld+6*q:])
		}
	}
}
