package cpu

import "vgid/model/cpu/internal/simd"

// packA copies the m×kc block at the start of a into panels of tall rows:
// element (i, k) of a panel at tall·k+i. The rows that a panel lacks are left
// as they are: nothing reads them. rows is how many rows of a follow from
// there on, which may be read though not packed.
//
// A panel is what one call of the kernel reads, from front to back: no matter how far apart
// rows are in a, it meets each cache line once.
func packA(dst []float32, a source, m, kc, rows, tall int, s *scratch) {
	if a.h != nil {
		used := s.used
		packA(dst, a.f32(m, kc, s), m, kc, m, tall, s)
		s.used = used
		return
	}
	i := 0
	if a.rs == 1 {
		for ; i+4*tall <= m; i += 4 * tall {
			simd.PackPanels(tall, kc, a.f[i:], a.cs, dst[i*kc:], kc*tall)
		}
	}
	for ; i < m; i += tall {
		d := dst[i*kc:][:kc*tall]
		h := min(tall, m-i)
		switch {
		case a.rs == 1:
			copyRows(d, a.f[i:], a.cs, kc, h, tall)
		case tall == 6 && h == 6:
			packSix(d, a.f[i*a.rs:], a.rs, kc, rows-i)
		default:
			packColumns(d, a.f[i*a.rs:], a.rs, h, kc, tall)
		}
	}
}

// packSix packs a full panel of six rows.
func packSix(dst, a []float32, lda, kc, rows int) {
	k := 0
	// The transposition works on eight rows and stores eight floats for every
	// six: each column overwrites the surplus of the one before, and the last
	// ones are left to the loop below.
	if rows >= 8 && kc >= 16 {
		k = kc&^7 - 8
		simd.Transpose8(k, a, lda, dst, 6)
	}
	r0, r1, r2 := a[:kc], a[lda:][:kc], a[2*lda:][:kc]
	r3, r4, r5 := a[3*lda:][:kc], a[4*lda:][:kc], a[5*lda:][:kc]
	for ; k < kc; k++ {
		d := (*[6]float32)(dst[k*6:])
		d[0], d[1], d[2], d[3], d[4], d[5] = r0[k], r1[k], r2[k], r3[k], r4[k], r5[k]
	}
}

// packB copies the kc×n block at the start of b into panels of wide columns:
// element (k, j) of a panel at wide·k+j. Columns past n are zero up to a whole
// vector of eight, which is the most that is read.
func packB(dst []float32, b source, kc, n, wide int, s *scratch) {
	if b.h != nil {
		used := s.used
		packB(dst, b.f32(kc, n, s), kc, n, wide, s)
		s.used = used
		return
	}
	j := 0
	if b.cs == 1 {
		for ; j+4*wide <= n; j += 4 * wide {
			simd.PackPanels(wide, kc, b.f[j:], b.rs, dst[j*kc:], kc*wide)
		}
	}
	for ; j < n; j += wide {
		d := dst[j*kc:][:kc*wide]
		w := min(wide, n-j)
		if b.cs == 1 {
			copyRows(d, b.f[j:], b.rs, kc, w, wide)
		} else {
			packColumns(d, b.f[j*b.cs:], b.cs, w, kc, wide)
		}
		if !simd.InPlace() && w%8 != 0 {
			for k := range kc {
				clear(d[k*wide+w : k*wide+up(w, 8)])
			}
		}
	}
}

// copyRows copies n rows of w elements, ld apart, to rows that are width apart.
// Widths known when compiling become a few vector moves; copy would call memmove for 24 bytes.
func copyRows(dst, src []float32, ld, n, w, width int) {
	for k := range n {
		from, to := src[k*ld:], dst[k*width:]
		switch w {
		case 6:
			*(*[6]float32)(to) = [6]float32(from)
		case 12:
			*(*[12]float32)(to) = [12]float32(from)
		case 16:
			*(*[16]float32)(to) = [16]float32(from)
		default:
			copy(to[:w], from)
		}
	}
}

// packColumns packs one panel of w columns, each contiguous and ldb from the
// next.
func packColumns(dst, b []float32, ldb, w, kc, wide int) {
	c := 0
	for ; c+8 <= w; c += 8 {
		simd.Transpose8(kc, b[c*ldb:], ldb, dst[c:], wide)
	}
	if c < w && w >= 8 { // the last eight, some of them again
		simd.Transpose8(kc, b[(w-8)*ldb:], ldb, dst[w-8:], wide)
		return
	}
	for ; c < w; c++ {
		d := dst[c:]
		for k, v := range b[c*ldb:][:kc] {
			d[k*wide] = v
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
