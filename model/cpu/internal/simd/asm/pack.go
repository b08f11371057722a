package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// genTranspose emits the transposition of 8 rows × 8·n8 columns:
// dst[k·ds + r] = src[r·ld + k].
//
// It serves the packing of whichever operand lies along k in memory. Only whole blocks come
// here: what is left over simd.Transpose8 does itself.
func genTranspose() {
	TEXT("transpose8", NOSPLIT, "func(n8 int, src *float32, ld int, dst *float32, ds int)")
	Pragma("noescape")
	n := Load(Param("n8"), GP64())
	s := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	d := Load(Param("dst"), GP64())
	ds := Load(Param("ds"), GP64())
	SHLQ(Imm(2), ld)
	SHLQ(Imm(2), ds)
	s4, ld3 := GP64(), GP64()
	LEAQ(Mem{Base: s, Index: ld, Scale: 4}, s4)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, ld3)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	row := func(i int) Mem {
		base := s
		if i >= 4 {
			base = s4
		}
		switch i % 4 {
		case 1:
			return Mem{Base: base, Index: ld, Scale: 1}
		case 2:
			return Mem{Base: base, Index: ld, Scale: 2}
		case 3:
			return Mem{Base: base, Index: ld3, Scale: 1}
		}
		return Mem{Base: base}
	}
	// 4×4 blocks of rows (r, r+4) side by side first: the 128-bit inserts are
	// loads, which leaves only 16 shuffles for the two in-lane steps.
	out := make([]reg.VecVirtual, 8)
	for h := range 2 {
		q := make([]reg.VecVirtual, 4)
		for i := range q {
			q[i] = YMM()
			lo, hi := row(i), row(i+4)
			lo.Disp, hi.Disp = 16*h, 16*h
			VMOVUPS(lo, q[i].AsX())
			VINSERTF128(Imm(1), hi, q[i], q[i])
		}
		t := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
		VUNPCKLPS(q[1], q[0], t[0])
		VUNPCKHPS(q[1], q[0], t[1])
		VUNPCKLPS(q[3], q[2], t[2])
		VUNPCKHPS(q[3], q[2], t[3])
		for i := range 4 {
			out[4*h+i] = YMM()
		}
		VUNPCKLPD(t[2], t[0], out[4*h])
		VUNPCKHPD(t[2], t[0], out[4*h+1])
		VUNPCKLPD(t[3], t[1], out[4*h+2])
		VUNPCKHPD(t[3], t[1], out[4*h+3])
	}
	for i := range out {
		VMOVUPS(out[i], Mem{Base: d})
		ADDQ(ds, d)
	}
	ADDQ(Imm(32), s)
	ADDQ(Imm(32), s4)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

// genPackRows emits the copy of n rows of np·w floats, ld apart, into np
// panels of width w, ps apart. For w = 6 the stores are 8 wide and overlap, so
// each panel must have room for two more floats than it holds, and panels must
// be written in order.
// A panel is w floats for each k, one k behind the other: the order in which genGemm reads A, and
// B.
func genPackRows(np, w int) {
	TEXT(fmt.Sprintf("pack%dx%d", np, w), NOSPLIT, "func(n int, src *float32, ld int, dst *float32, ps int)")
	Pragma("noescape")
	n := Load(Param("n"), GP64())
	s := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	d := Load(Param("dst"), GP64())
	ps := Load(Param("ps"), GP64())
	SHLQ(Imm(2), ld)
	SHLQ(Imm(2), ps)
	ps3, ahead := GP64(), GP64()
	LEAQ(Mem{Base: ps, Index: ps, Scale: 2}, ps3)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	// Row strides defeat the hardware prefetcher. Four rows ahead, since rows a
	// power of two apart all fall into the same eight-way set of the cache.
	LEAQ(Mem{Base: s, Index: ld, Scale: 4}, ahead)
	for i := 0; i < np*w*4; i += 64 {
		PREFETCHT0(Mem{Base: ahead, Disp: i})
	}
	to := []Mem{{Base: d}, {Base: d, Index: ps, Scale: 1}, {Base: d, Index: ps, Scale: 2}, {Base: d, Index: ps3, Scale: 1}}
	for i := range np {
		for j := 0; j < w; j += 8 {
			v := YMM()
			if w-j == 4 {
				v = XMM()
			}
			VMOVUPS(Mem{Base: s, Disp: 4 * (i*w + j)}, v)
			m := to[i]
			m.Disp = 4 * j
			VMOVUPS(v, m)
		}
	}
	ADDQ(ld, s)
	ADDQ(Imm(uint64(4*w)), d)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

// genPause emits a spin-wait hint repeated n times.
// Go has no intrinsic for it. Workers that wait for each other for less than a wake-up
// takes spin with it.
func genPause() {
	TEXT("pause", NOSPLIT, "func(n int)")
	n := Load(Param("n"), GP64())
	Label("loop")
	PAUSE()
	DECQ(n)
	JNZ(LabelRef("loop"))
	RET()
}
