package cpu

import "vgid/model/cpu/simd"

// packA copies the m×kc block at the start of a into panels of six rows:
// element (i, k) of a panel at 6·k+i, rows past m zero. rows is how many rows
// of a follow from there on, which may be read though not packed.
func packA(dst []float32, a source, m, kc, rows int, s *scratch) {
	if a.h != nil {
		used := s.used
		packA(dst, a.f32(m, kc, s), m, kc, m, s)
		s.used = used
		return
	}
	i := 0
	if a.rs == 1 {
		for ; i+4*panelRows <= m; i += 4 * panelRows {
			simd.Pack4x6(kc, a.f[i:], a.cs, dst[i*kc:], kc*panelRows)
		}
	}
	for ; i < m; i += panelRows {
		d := dst[i*kc:][:kc*panelRows]
		h := min(panelRows, m-i)
		switch {
		case a.cs == 1 && h == panelRows:
			packRows(d, a.f[i*a.rs:], a.rs, kc, rows-i)
		case a.cs == 1:
			packFewRows(d, a.f[i*a.rs:], a.rs, h, kc)
		case a.rs == 1 && h == panelRows:
			for k := range kc {
				*(*[panelRows]float32)(d[k*panelRows:]) = *(*[panelRows]float32)(a.f[i+k*a.cs:])
			}
		default:
			for k := range kc {
				to := d[k*panelRows:][:panelRows]
				clear(to[copy(to[:h], a.f[i+k*a.cs:]):])
			}
		}
	}
}

// packRows packs one full panel of row-major a.
func packRows(dst, a []float32, lda, kc, rows int) {
	k := 0
	// The transposition works on eight rows and stores eight floats for every
	// six: each column overwrites the surplus of the one before, and the last
	// ones are left to the loop below.
	if rows >= 8 && kc >= 16 {
		k = kc&^7 - 8
		simd.Transpose8(k, a, lda, dst, panelRows)
	}
	r0, r1, r2 := a[:kc], a[lda:][:kc], a[2*lda:][:kc]
	r3, r4, r5 := a[3*lda:][:kc], a[4*lda:][:kc], a[5*lda:][:kc]
	for ; k < kc; k++ {
		d := (*[panelRows]float32)(dst[k*panelRows:])
		d[0], d[1], d[2], d[3], d[4], d[5] = r0[k], r1[k], r2[k], r3[k], r4[k], r5[k]
	}
}

// packFewRows packs a panel of fewer than six rows.
func packFewRows(dst, a []float32, lda, rows, kc int) {
	for r := range panelRows {
		d := dst[r:]
		if r >= rows {
			for k := range kc {
				d[k*panelRows] = 0
			}
			continue
		}
		for k, v := range a[r*lda:][:kc] {
			d[k*panelRows] = v
		}
	}
}

// packB copies the kc×n block at the start of b into panels of sixteen
// columns: element (k, j) of a panel at 16·k+j, columns past n zero.
func packB(dst []float32, b source, kc, n int, s *scratch) {
	if b.h != nil {
		used := s.used
		packB(dst, b.f32(kc, n, s), kc, n, s)
		s.used = used
		return
	}
	j := 0
	if b.cs == 1 {
		for ; j+4*panelCols <= n; j += 4 * panelCols {
			simd.Pack4x16(kc, b.f[j:], b.rs, dst[j*kc:], kc*panelCols)
		}
	}
	for ; j < n; j += panelCols {
		d := dst[j*kc:][:kc*panelCols]
		w := min(panelCols, n-j)
		if b.cs == 1 && w == panelCols {
			for k := range kc {
				*(*[panelCols]float32)(d[k*panelCols:]) = *(*[panelCols]float32)(b.f[k*b.rs+j:])
			}
			continue
		}
		if b.cs == 1 {
			for k := range kc {
				to := d[k*panelCols:][:panelCols]
				clear(to[copy(to[:w], b.f[k*b.rs+j:]):])
			}
			continue
		}
		packColumns(d, b.f[j*b.cs:], b.cs, w, kc)
	}
}

// packColumns packs one panel of w columns, each contiguous and ldb from the
// next.
func packColumns(dst, b []float32, ldb, w, kc int) {
	c := 0
	for ; c+8 <= w; c += 8 {
		simd.Transpose8(kc, b[c*ldb:], ldb, dst[c:], panelCols)
	}
	for ; c < panelCols; c++ {
		d := dst[c:]
		if c >= w {
			for k := range kc {
				d[k*panelCols] = 0
			}
			continue
		}
		for k, v := range b[c*ldb:][:kc] {
			d[k*panelCols] = v
		}
	}
}

// widen converts a rows×cols block of bfloat16 to float32, in the order it is
// stored in.
func widen(a source, rows, cols int, s *scratch) source {
	if a.cs != 1 {
		t := widen(source{h: a.h, rs: a.cs, cs: a.rs}, cols, rows, s)
		return source{f: t.f, rs: t.cs, cs: t.rs}
	}
	f := s.floats(rows * cols)
	for i := range rows {
		simd.FromBF16(f[i*cols:(i+1)*cols], a.h[i*a.rs:])
	}
	return source{f: f, rs: cols, cs: 1}
}
