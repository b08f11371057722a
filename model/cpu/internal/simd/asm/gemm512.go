package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wideTiles are the tiles of the AVX-512 kernel, by columns: the most rows and
// the vectors of a row. 12×32 uses 24 accumulators, two registers of B and two
// broadcasts of the 32. On Zen 4 a broadcast to sixteen lanes costs as much as
// a multiply-add, so that two vectors of eight beat one of sixteen where there
// is one to a row, and then six rows beat twelve.
var wideTiles = map[int]struct {
	rows    int
	vectors []func() reg.VecVirtual
}{8: {6, y}, 16: {6, yy}, 24: {12, zy}, 32: {12, zz}}

var (
	y  = []func() reg.VecVirtual{YMM}
	yy = []func() reg.VecVirtual{YMM, YMM}
	zy = []func() reg.VecVirtual{ZMM, YMM}
	zz = []func() reg.VecVirtual{ZMM, ZMM}
)

// genGemm512 emits the AVX-512 twin of genGemm for mr rows and nr columns, of
// which the last vector may be partial.
//
// A is read at (i, k) = i·rs + k·cs, so that one kernel serves packed panels
// and matrices in place. B is kc rows of n floats, bs apart; nothing beyond
// them is read. Elements are the same chains of multiply-adds as with AVX2.
//
// The 32 registers hold the 24 accumulators of 12×32, and masks need none of them, so that
// there is one path for whole and partial tiles and no unpacked twin: with two strides, a
// panel is a matrix of rows one apart.
func genGemm512(mr, nr int) {
	TEXT(fmt.Sprintf("gemm%dx%dAVX512", mr, nr), NOSPLIT,
		"func(kc int, a *float32, rs, cs int, b *float32, bs int, c *float32, ldc int, alpha, beta float32, bias *float32, n int)")
	Pragma("noescape")
	vectors := wideTiles[nr].vectors
	last := len(vectors) - 1
	lanes := func(j int) int { return int(vectors[j]().Size()) / 4 }

	kc := Load(Param("kc"), GP64())
	a := []reg.GPVirtual{GP64()} // every third row
	Load(Param("a"), a[0])
	rs := Load(Param("rs"), GP64())
	cs := Load(Param("cs"), GP64())
	b := Load(Param("b"), GP64())
	bs := Load(Param("bs"), GP64())
	SHLQ(Imm(2), rs)
	SHLQ(Imm(2), cs)
	SHLQ(Imm(2), bs)
	for len(a) < (mr+2)/3 {
		next := GP64()
		LEAQ(Mem{Base: a[len(a)-1], Index: rs, Scale: 2}, next)
		ADDQ(rs, next)
		a = append(a, next)
	}
	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	SHLQ(Imm(2), ldc)
	// C is needed after the loop. A short loop gives no time to fetch it.
	p, count := GP64(), GP64()
	CMPQ(kc, Imm(64))
	JLT(LabelRef("fetched"))
	MOVQ(c, p)
	MOVQ(U32(uint32(mr)), count)
	Label("fetch")
	PREFETCHT0(Mem{Base: p})
	if nr > 16 {
		PREFETCHT0(Mem{Base: p, Disp: 64})
	}
	ADDQ(ldc, p)
	DECQ(count)
	JNZ(LabelRef("fetch"))
	Label("fetched")
	// The mask of the last vector: as many ones as n leaves for it.
	n, ones := GP64(), GP32()
	Load(Param("n"), n)
	if first := nr - lanes(last); first > 0 {
		SUBQ(Imm(uint64(first)), n)
	}
	MOVL(U32(1<<lanes(last)-1), ones)
	BZHIL(n.As32(), ones, ones)
	mask := K()
	KMOVW(ones, mask)

	at := func(base reg.Register, j int) Mem {
		m := Mem{Base: base}
		for _, v := range vectors[:j] {
			m.Disp += int(v().Size())
		}
		return m
	}
	load := func(base reg.Register, j int, v reg.VecVirtual) {
		if j < last {
			VMOVUPS(at(base, j), v)
		} else {
			VMOVUPS_Z(at(base, j), mask, v)
		}
	}
	// A broadcast of sixteen lanes holds that of eight in its lower half.
	lower := func(v reg.VecVirtual, j int) reg.Register {
		if lanes(j) == 8 {
			return v.AsY()
		}
		return v
	}
	acc := make([][]reg.VecVirtual, mr)
	for i := range acc {
		for _, v := range vectors {
			x := v()
			VPXORD(x, x, x)
			acc[i] = append(acc[i], x)
		}
	}
	bv := []reg.VecVirtual{}
	for _, v := range vectors {
		bv = append(bv, v())
	}
	// The first vector is the longest.
	av := []reg.VecVirtual{vectors[0](), vectors[0]()}
	// kc is at least 1: the test is at the loop's end.
	Label("loop")
	for j := range bv {
		load(b, j, bv[j])
	}
	ADDQ(bs, b)
	for i := range mr {
		m := Mem{Base: a[i/3]}
		if i%3 > 0 {
			m.Index, m.Scale = rs, uint8(i%3)
		}
		VBROADCASTSS(m, av[i%2])
		for j := range bv {
			VFMADD231PS(bv[j], lower(av[i%2], j), acc[i][j])
		}
	}
	for _, p := range a {
		ADDQ(cs, p)
	}
	DECQ(kc)
	JNZ(LabelRef("loop"))

	// Alpha is mostly one.
	// Then a pass over all accumulators is saved, and the product by 1 would change no bit.
	alpha, beta := vectors[0](), vectors[0]()
	VBROADCASTSS(param("alpha"), alpha)
	VUCOMISS(one(), alpha.AsX())
	JNE(LabelRef("scale"))
	JNP(LabelRef("scaled"))
	Label("scale")
	for i := range acc {
		for j := range bv {
			VMULPS(lower(alpha, j), acc[i][j], acc[i][j])
		}
	}
	Label("scaled")
	bias := Load(Param("bias"), GP64())
	TESTQ(bias, bias)
	JZ(LabelRef("nobias"))
	for j, v := range vectors {
		t := v()
		load(bias, j, t)
		for i := range acc {
			VADDPS(t, acc[i][j], acc[i][j])
		}
	}
	Label("nobias")
	VBROADCASTSS(param("beta"), beta)
	none := XMM()
	VPXORD(none, none, none)
	VUCOMISS(none, beta.AsX())
	JNE(LabelRef("accumulate"))
	JP(LabelRef("accumulate"))
	Label("store")
	for i := range acc {
		for j := range bv {
			if j < last {
				VMOVUPS(acc[i][j], at(c, j))
			} else {
				VMOVUPS(acc[i][j], mask, at(c, j))
			}
		}
		if i < mr-1 {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
	Label("accumulate")
	MOVQ(c, p)
	for i := range acc {
		for j, v := range vectors {
			t := v()
			load(p, j, t)
			VFMADD231PS(t, lower(beta, j), acc[i][j])
		}
		if i < mr-1 {
			ADDQ(ldc, p)
		}
	}
	JMP(LabelRef("store"))
}

// one is a float32 1 in memory.
func one() Mem { return constant(1) }
