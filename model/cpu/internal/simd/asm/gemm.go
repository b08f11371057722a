package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// panelRows is the height of a packed panel of A; 6×16 uses 12 accumulators,
// two registers of B and two broadcasts: all 16 of AVX2.
const panelRows = 6

// genGemm emits the inner kernel C[mr, n≤nr] = alpha·A·B (+ bias) + beta·C.
//
// B is read as kc rows of nr floats, bs apart. A is a packed panel (element
// (i, k) at k·6+i) or, unpacked, rows lda apart. Every element of C is one
// chain of fused multiply-adds over k in order, so the result does not depend
// on the tile an element falls in.
//
// Registers: mr·nr/8 accumulators live through the whole loop; behind it alpha, beta and
// one temporary take the places of the operands. The general registers are scarcer: without
// packing, rows 3 to 5 have a base of their own (a3), as an address scales its index by 1,
// 2, 4 or 8, and 3 is none of these.
func genGemm(mr, nr int, packed bool) {
	name, extra := fmt.Sprintf("gemmP%dx%d", mr, nr), ""
	if !packed {
		name, extra = fmt.Sprintf("gemmR%dx%d", mr, nr), "lda int, "
	}
	TEXT(name, NOSPLIT, "func(kc int, a *float32, "+extra+"b *float32, bs int, c *float32, ldc int, alpha, beta float32, bias *float32, n int)")
	Pragma("noescape")
	kc := Load(Param("kc"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	bs := Load(Param("bs"), GP64())
	SHLQ(Imm(2), bs)

	var lda, a3 reg.GPVirtual
	if !packed {
		lda = GP64()
		Load(Param("lda"), lda)
		SHLQ(Imm(2), lda)
		if mr > 3 {
			a3 = GP64()
			LEAQ(Mem{Base: a, Index: lda, Scale: 2}, a3)
			ADDQ(lda, a3)
		}
	}
	// Element (i, k+u) of A, for u within an unrolled round.
	elem := func(i, u int) Mem {
		if packed {
			return Mem{Base: a, Disp: (u*panelRows + i) * 4}
		}
		base := a
		if i >= 3 {
			base = a3
			i -= 3
		}
		if i == 0 {
			return Mem{Base: base, Disp: 4 * u}
		}
		return Mem{Base: base, Index: lda, Scale: uint8(i), Disp: 4 * u}
	}
	advance := func(u int) {
		if packed {
			ADDQ(Imm(uint64(u*panelRows*4)), a)
			return
		}
		ADDQ(Imm(uint64(4*u)), a)
		if mr > 3 {
			ADDQ(Imm(uint64(4*u)), a3)
		}
	}

	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	SHLQ(Imm(2), ldc)
	p := GP64()
	MOVQ(c, p)
	for i := range mr {
		// The rows of C are read or written at the end only: fetched now, they come while
		// the loop runs.
		PREFETCHT0(Mem{Base: p})
		if i < mr-1 {
			ADDQ(ldc, p)
		}
	}

	nv := nr / 8
	acc := make([][]reg.VecVirtual, mr)
	for i := range acc {
		for range nv {
			v := YMM()
			VXORPS(v, v, v)
			acc[i] = append(acc[i], v)
		}
	}
	bv := []reg.VecVirtual{YMM(), YMM()}[:nv]
	av := []reg.VecVirtual{YMM(), YMM()}
	// Two broadcast registers in turn, so that one can be loaded while the other is
	// multiplied.
	step := func(u int) {
		for j := range bv {
			VMOVUPS(Mem{Base: b, Disp: 32 * j}, bv[j])
		}
		ADDQ(bs, b)
		for i := range mr {
			VBROADCASTSS(elem(i, u), av[i%2])
			for j := range bv {
				VFMADD231PS(bv[j], av[i%2], acc[i][j])
			}
		}
	}
	// Four steps a round, and the rest of kc one by one: the same chain of additions in the
	// same order.
	n4 := GP64()
	MOVQ(kc, n4)
	SHRQ(Imm(2), n4)
	ANDQ(Imm(3), kc)
	TESTQ(n4, n4)
	JZ(LabelRef("rest"))
	Label("loop")
	if packed {
		PREFETCHT0(Mem{Base: a, Disp: 512})
	}
	for u := range 4 {
		step(u)
	}
	advance(4)
	DECQ(n4)
	JNZ(LabelRef("loop"))
	Label("rest")
	TESTQ(kc, kc)
	JZ(LabelRef("epilogue"))
	Label("one")
	step(0)
	advance(1)
	DECQ(kc)
	JNZ(LabelRef("one"))

	Label("epilogue")
	alpha := YMM()
	VBROADCASTSS(param("alpha"), alpha)
	for i := range acc {
		for j := range bv {
			VMULPS(alpha, acc[i][j], acc[i][j])
		}
	}
	n := Load(Param("n"), GP64())
	bias := Load(Param("bias"), GP64())
	beta := YMM()
	VBROADCASTSS(param("beta"), beta)
	zero := XMM()
	VXORPS(zero, zero, zero)
	CMPQ(n, Imm(uint64(nr)))
	JNE(LabelRef("partial"))

	store := func(suffix string, load func(m Mem, j int, v reg.VecVirtual), put func(v reg.VecVirtual, j int, m Mem)) {
		t := YMM()
		TESTQ(bias, bias)
		JZ(LabelRef("nobias" + suffix))
		for j := range bv {
			load(Mem{Base: bias, Disp: 32 * j}, j, t)
			for i := range acc {
				VADDPS(t, acc[i][j], acc[i][j])
			}
		}
		Label("nobias" + suffix)
		// With beta 0 C is not read, for it may hold anything, NaN included, as in BLAS. JP
		// is for a beta that is NaN itself, which compares as equal to nothing.
		VUCOMISS(zero, beta.AsX())
		JNE(LabelRef("accumulate" + suffix))
		JP(LabelRef("accumulate" + suffix))
		for i := range acc {
			for j := range bv {
				put(acc[i][j], j, Mem{Base: c, Disp: 32 * j})
			}
			if i < mr-1 {
				ADDQ(ldc, c)
			}
		}
		VZEROUPPER()
		RET()
		Label("accumulate" + suffix)
		for i := range acc {
			for j := range bv {
				load(Mem{Base: c, Disp: 32 * j}, j, t)
				VFMADD231PS(t, beta, acc[i][j])
				put(acc[i][j], j, Mem{Base: c, Disp: 32 * j})
			}
			if i < mr-1 {
				ADDQ(ldc, c)
			}
		}
		VZEROUPPER()
		RET()
	}
	store("F",
		func(m Mem, _ int, v reg.VecVirtual) { VMOVUPS(m, v) },
		func(v reg.VecVirtual, _ int, m Mem) { VMOVUPS(v, m) })

	Label("partial")
	// The masks of the (up to two) halves: lanes below n. They are loaded where
	// they are used, since all sixteen registers are taken.
	table := GP64()
	// A tile of eight columns has one half, and the second mask is not asked for.
	LEAQ(tailMasks(), table)
	NEGQ(n)
	mask := YMM()
	loadMask := func(j int) {
		VMOVUPS(Mem{Base: table, Index: n, Scale: 4, Disp: 64 + 32*j}, mask)
	}
	store("P",
		func(m Mem, j int, v reg.VecVirtual) { loadMask(j); VMASKMOVPS(m, mask, v) },
		func(v reg.VecVirtual, j int, m Mem) { loadMask(j); VMASKMOVPS(v, mask, m) })
}

// genDot emits the dot products of m rows of A with 4 rows of B over k8
// vectors of 8, out[m·4]. It needs no packing, which pays when A has few rows.
//
// It is a dot product along k in eight lanes, summed at the end, and so not the chain of
// additions of genGemm: whoever dispatches must choose between the two by the shape alone,
// or bits would depend on the tile.
func genDot(m int) {
	TEXT(fmt.Sprintf("dot%dx4", m), NOSPLIT, "func(k8 int, a *float32, lda int, b *float32, ldb int, out *float32)")
	Pragma("noescape")
	n := Load(Param("k8"), GP64())
	a := Load(Param("a"), GP64())
	lda := Load(Param("lda"), GP64())
	b := Load(Param("b"), GP64())
	ldb := Load(Param("ldb"), GP64())
	out := Load(Param("out"), GP64())
	SHLQ(Imm(2), lda)
	SHLQ(Imm(2), ldb)
	ldb3 := GP64()
	LEAQ(Mem{Base: ldb, Index: ldb, Scale: 2}, ldb3)
	bm := []Mem{{Base: b}, {Base: b, Index: ldb, Scale: 1}, {Base: b, Index: ldb, Scale: 2}, {Base: b, Index: ldb3, Scale: 1}}
	am := []Mem{{Base: a}, {Base: a, Index: lda, Scale: 1}, {Base: a, Index: lda, Scale: 2}}
	acc := make([][4]reg.VecVirtual, m)
	av := make([]reg.VecVirtual, m)
	for i := range acc {
		av[i] = YMM()
		for j := range acc[i] {
			acc[i][j] = YMM()
			VXORPS(acc[i][j], acc[i][j], acc[i][j])
		}
	}
	bv := YMM()
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range av {
		VMOVUPS(am[i], av[i])
	}
	for j := range 4 {
		VMOVUPS(bm[j], bv)
		for i := range acc {
			VFMADD231PS(bv, av[i], acc[i][j])
		}
	}
	ADDQ(Imm(32), a)
	ADDQ(Imm(32), b)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	for i := range acc {
		// Two levels of horizontal additions leave the four sums of a row of A side by
		// side, in halves that are added last.
		VHADDPS(acc[i][1], acc[i][0], acc[i][0])
		VHADDPS(acc[i][3], acc[i][2], acc[i][2])
		VHADDPS(acc[i][2], acc[i][0], acc[i][0])
		x := XMM()
		VEXTRACTF128(Imm(1), acc[i][0], x)
		VADDPS(x, acc[i][0].AsX(), x)
		VMOVUPS(x, Mem{Base: out, Disp: 16 * i})
	}
	VZEROUPPER()
	RET()
}
