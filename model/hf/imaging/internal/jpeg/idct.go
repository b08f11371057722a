package jpeg

// Constants of the transform in 13 bits of fraction, after Loeffler, Ligtenberg
// and Moschytz (1989), as libjpeg's jidctint.c rounds them.
const (
	c0298 = 2446  // 0.298631336
	c0390 = 3196  // 0.390180644
	c0541 = 4433  // 0.541196100
	c0765 = 6270  // 0.765366865
	c0899 = 7373  // 0.899976223
	c1175 = 9633  // 1.175875602
	c1501 = 12299 // 1.501321110
	c1847 = 15137 // 1.847759065
	c1961 = 16069 // 1.961570560
	c2053 = 16819 // 2.053119869
	c2562 = 20995 // 2.562915447
	c3072 = 25172 // 3.072711026
)

// idct writes the 8 × 8 samples of a block. The columns keep 2 bits of fraction
// for the rows.
// coef and quant are in row order; stride is that of dst, in samples.
func idct(coef *[64]int16, quant *[64]int32, dst []byte, stride int) {
	var in, mid [64]int32
	for i, c := range coef {
		in[i] = int32(c) * quant[i]
	}
	for x := range 8 {
		a := transform(in[x], in[x+8], in[x+16], in[x+24], in[x+32], in[x+40], in[x+48], in[x+56])
		for y, v := range a {
			mid[8*y+x] = (v + 1<<10) >> 11
		}
	}
	for y := range 8 {
		r := mid[8*y : 8*y+8 : 8*y+8]
		a := transform(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
		out := dst[y*stride : y*stride+8 : y*stride+8]
		for x, v := range a {
			out[x] = clamp((v+1<<17)>>18 + 128)
		}
	}
}

// transform is one dimension, its results scaled by 2¹³ and √8.
// Each pass leaves √8 too much, both together 8, which the last shift takes off with the fraction.
func transform(i0, i1, i2, i3, i4, i5, i6, i7 int32) [8]int32 {
	z := (i2 + i6) * c0541
	e2, e3 := z-i6*c1847, z+i2*c0765
	e0, e1 := (i0+i4)<<13, (i0-i4)<<13
	a0, a3, a1, a2 := e0+e3, e0-e3, e1+e2, e1-e2

	z5 := (i7 + i3 + i5 + i1) * c1175
	z1, z2 := -(i7+i1)*c0899, -(i5+i3)*c2562
	z3, z4 := z5-(i7+i3)*c1961, z5-(i5+i1)*c0390
	o0 := i7*c0298 + z1 + z3
	o1 := i5*c2053 + z2 + z4
	o2 := i3*c3072 + z2 + z3
	o3 := i1*c1501 + z1 + z4
	return [8]int32{a0 + o3, a1 + o2, a2 + o1, a3 + o0, a3 - o0, a2 - o1, a1 - o2, a0 - o3}
}

func clamp(v int32) byte { return byte(max(0, min(255, v))) }
