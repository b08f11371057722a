package main

import (
	"fmt"
	"math"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vec is a register of eight float32. Elementwise kernels stay with AVX2 also where there
// is AVX-512.
type vec = reg.VecVirtual

// globals are the constants emitted so far: a value that several kernels use stands once in
// the file.
var globals = map[string]Mem{}

// constant is a vector of eight copies of v in read-only memory.
// Eight copies, so that an instruction can take it as its memory operand and needs no
// register for it.
func constant(v float64) Mem { return word(math.Float32bits(float32(v))) }

// word is constant for a pattern of bits, such as a mask. 8|16 are the flags RODATA and
// NOPTR.
func word(bits uint32) Mem {
	name := fmt.Sprintf("c%08x", bits)
	m, ok := globals[name]
	if !ok {
		m = GLOBL(name, 8|16)
		for i := range 8 {
			DATA(4*i, U32(bits))
		}
		globals[name] = m
	}
	return m
}

// tailMasks is 16 words of ones followed by 16 of zeros: the mask of vector j
// with n valid elements in all starts at word 16 - n + 8·j.
func tailMasks() Mem {
	m, ok := globals["tailmasks"]
	if !ok {
		m = GLOBL("tailmasks", 8|16)
		for i := range 32 {
			bits := uint32(0)
			if i < 16 {
				bits = math.MaxUint32
			}
			DATA(4*i, U32(bits))
		}
		globals["tailmasks"] = m
	}
	return m
}

// param is where an argument lies. A panic is right in a generator: it ends go generate.
func param(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// lane is what the body of a vector loop works with: eight elements of each
// array, all of them valid, or in the tail those whose mask is set.
// The same body thus serves the unrolled loop, the single vectors and the tail, and cannot
// differ between them: an element's result does not depend on where in the array it stands.
type lane struct {
	index  reg.GPVirtual
	ptr    map[string]reg.GPVirtual
	offset int
	mask   vec // nil when all lanes are valid
	unit   int // which of the unrolled copies this is: picks the accumulator
}

// All arrays share one index, so that a step costs one addition whatever their number.
func (l lane) mem(name string) Mem {
	return Mem{Base: l.ptr[name], Index: l.index, Scale: 4, Disp: 4 * l.offset}
}

// load reads an array; lanes past the end read as 0.
func (l lane) load(name string) vec {
	v := YMM()
	if l.mask != nil {
		VMASKMOVPS(l.mem(name), l.mask, v)
	} else {
		VMOVUPS(l.mem(name), v)
	}
	return v
}

// store writes the valid lanes and touches nothing beyond them, where the array may end at
// a page's border.
func (l lane) store(v vec, name string) {
	if l.mask != nil {
		VMASKMOVPS(v, l.mask, l.mem(name))
	} else {
		VMOVUPS(v, l.mem(name))
	}
}

// keep zeroes the lanes past the end.
// Loads give 0 there, but what was computed from 0 need not be (e⁰ is 1), and a sum must
// not see it.
func (l lane) keep(v vec) vec {
	if l.mask != nil {
		VANDPS(l.mask, v, v)
	}
	return v
}

// loop emits a function over arrays of n elements: `unroll` vectors at a time,
// then single vectors, then a masked tail. setup runs first and returns the
// body; finish runs last.
//
// n is kept one vector's or one unrolled round's length below what is left, so that the
// sign of the subtraction is the test. The function is NOSPLIT: it calls nothing and has no
// frame to grow.
// arrays and scalars are names with commas between, as in a signature.
func loop(name, arrays, scalars, result string, unroll int, setup func() func(lane), finish func()) {
	sig := "func(n int, " + arrays + " *float32"
	if scalars != "" {
		sig += ", " + scalars + " float32"
	}
	sig += ")" + result
	TEXT(name, NOSPLIT, sig)
	Pragma("noescape")
	n := Load(Param("n"), GP64())
	l := lane{index: GP64(), ptr: map[string]reg.GPVirtual{}}
	for _, a := range strings.Split(arrays, ", ") {
		l.ptr[a] = GP64()
		Load(Param(a), l.ptr[a])
	}
	XORQ(l.index, l.index)
	body := setup()
	if unroll > 1 {
		SUBQ(Imm(uint64(8*unroll)), n)
		JLT(LabelRef("unrolled"))
		Label("loop")
		for u := range unroll {
			l.offset, l.unit = 8*u, u
			body(l)
		}
		l.offset, l.unit = 0, 0
		ADDQ(Imm(uint64(8*unroll)), l.index)
		SUBQ(Imm(uint64(8*unroll)), n)
		JGE(LabelRef("loop"))
		Label("unrolled")
		ADDQ(Imm(uint64(8*unroll)), n)
	}
	SUBQ(Imm(8), n)
	JLT(LabelRef("tail"))
	Label("single")
	body(l)
	ADDQ(Imm(8), l.index)
	SUBQ(Imm(8), n)
	JGE(LabelRef("single"))
	Label("tail")
	ADDQ(Imm(8), n)
	JZ(LabelRef("done"))
	table := GP64()
	LEAQ(tailMasks(), table)
	NEGQ(n)
	l.mask = YMM()
	// 16 words before the zeros begin, less n: the first n lanes read ones.
	VMOVUPS(Mem{Base: table, Index: n, Scale: 4, Disp: 64}, l.mask)
	body(l)
	Label("done")
	if finish != nil {
		finish()
	}
	// On some processors the SSE instructions of Go's own code are slow while upper halves
	// are in use.
	VZEROUPPER()
	RET()
}

// each is a loop without result.
func each(name, arrays, scalars string, unroll int, setup func() func(lane)) {
	loop(name, arrays, scalars, "", unroll, setup, nil)
}

// sum is a loop that returns the sum of what body yields, kept in `unroll`
// accumulators of eight lanes that are added in a fixed order at the end.
//
// One accumulator would wait for each addition to finish; the fixed order gives the same
// bits in every call on the same n.
func sum(name, arrays, scalars string, unroll int, setup func() func(lane, vec)) {
	acc := make([]vec, unroll)
	loop(name, arrays, scalars, " float32", unroll, func() func(lane) {
		for i := range acc {
			acc[i] = zero()
		}
		body := setup()
		return func(l lane) { body(l, acc[l.unit]) }
	}, func() {
		for w := unroll / 2; w > 0; w /= 2 {
			for i := range w {
				VADDPS(acc[i+w], acc[i], acc[i])
			}
		}
		x := XMM()
		VEXTRACTF128(Imm(1), acc[0], x)
		VADDPS(x, acc[0].AsX(), x)
		VHADDPS(x, x, x)
		VHADDPS(x, x, x)
		Store(x, ReturnIndex(0))
	})
}

// zero is a new register of zeros; broadcast one of eight copies of an argument; copyOf one
// with v in it.
func zero() vec {
	v := YMM()
	VXORPS(v, v, v)
	return v
}

func broadcast(name string) vec {
	v := YMM()
	VBROADCASTSS(param(name), v)
	return v
}

func copyOf(v Op) vec {
	c := YMM()
	VMOVUPS(v, c)
	return c
}

// Each of the following returns a new vector; the second operand of a
// subtraction, and the first of the others, may be a constant in memory.

func add(a Op, b vec) vec { v := YMM(); VADDPS(a, b, v); return v }
func mul(a Op, b vec) vec { v := YMM(); VMULPS(a, b, v); return v }
func sub(a vec, b Op) vec { v := YMM(); VSUBPS(b, a, v); return v }
func div(a vec, b Op) vec { v := YMM(); VDIVPS(b, a, v); return v }
