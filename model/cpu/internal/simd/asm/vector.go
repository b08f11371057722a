package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// genArithmetic emits sums and products of arrays. Four vectors a round hide the latency of
// loads; the kernels whose body is long have one, which is unrolled enough by itself.
func genArithmetic() {
	each("addAVX2", "dst, a, b", "", 4, func() func(lane) {
		return func(l lane) { l.store(add(l.load("a"), l.load("b")), "dst") }
	})
	each("axpyAVX2", "y, x", "alpha", 4, func() func(lane) {
		alpha := broadcast("alpha")
		return func(l lane) {
			y := l.load("y")
			VFMADD231PS(l.load("x"), alpha, y)
			l.store(y, "y")
		}
	})
	each("scaleAVX2", "dst, x", "alpha", 4, func() func(lane) {
		alpha := broadcast("alpha")
		return func(l lane) { l.store(mul(alpha, l.load("x")), "dst") }
	})
	// (x1, x2) rotated by the angle of cosine c and sine sign·s, in place.
	each("rotateAVX2", "x1, x2, c, s", "sign", 1, func() func(lane) {
		sign := broadcast("sign")
		return func(l lane) {
			x1, x2, c, s := l.load("x1"), l.load("x2"), l.load("c"), mul(sign, l.load("s"))
			y := mul(s, x2)
			VFMSUB231PS(x1, c, y)
			VMULPS(c, x2, x2)
			VFMADD231PS(x1, s, x2)
			l.store(y, "x1")
			l.store(x2, "x2")
		}
	})
}

// genReductions emits sums over an array. Where zeros beyond the end would not give 0, keep
// removes them: a difference from the mean is such a case, a product with a loaded 0 is
// none.
func genReductions() {
	sum("sumAVX2", "x", "", 4, func() func(lane, vec) {
		return func(l lane, acc vec) { VADDPS(l.load("x"), acc, acc) }
	})
	sum("dotAVX2", "a, b", "", 4, func() func(lane, vec) {
		return func(l lane, acc vec) { VFMADD231PS(l.load("a"), l.load("b"), acc) }
	})
	// Σ a·b·(x - mean)
	sum("dot3AVX2", "a, b, x", "mean", 4, func() func(lane, vec) {
		mean := broadcast("mean")
		return func(l lane, acc vec) {
			VFMADD231PS(mul(l.load("a"), l.load("b")), sub(l.load("x"), mean), acc)
		}
	})
	// Σ (x - mean)²
	sum("squaresAVX2", "x", "mean", 4, func() func(lane, vec) {
		mean := broadcast("mean")
		return func(l lane, acc vec) {
			d := l.keep(sub(l.load("x"), mean))
			VFMADD231PS(d, d, acc)
		}
	})
	genSquares64()
	genMax()
}

// genSquares64 emits Σ x² in double precision, for the norm of a gradient.
func genSquares64() {
	acc := []vec{}
	loop("squares64AVX2", "x", "", " float64", 2, func() func(lane) {
		for range 4 {
			acc = append(acc, zero())
		}
		return func(l lane) {
			x := l.load("x")
			lo, hi := YMM(), YMM()
			VCVTPS2PD(x.AsX(), lo)
			VEXTRACTF128(Imm(1), x, hi.AsX())
			VCVTPS2PD(hi.AsX(), hi)
			VFMADD231PD(lo, lo, acc[2*l.unit])
			VFMADD231PD(hi, hi, acc[2*l.unit+1])
		}
	}, func() {
		VADDPD(acc[1], acc[0], acc[0])
		VADDPD(acc[3], acc[2], acc[2])
		VADDPD(acc[2], acc[0], acc[0])
		x := XMM()
		VEXTRACTF128(Imm(1), acc[0], x)
		VADDPD(x, acc[0].AsX(), x)
		VHADDPD(x, x, x)
		Store(x, ReturnIndex(0))
	})
}

// genMax emits the largest element. NaN are ignored here: the exponentials
// that follow bring them back.
func genMax() {
	var m [4]vec
	loop("maxAVX2", "x", "", " float32", 4, func() func(lane) {
		for i := range m {
			m[i] = copyOf(constant(math.Inf(-1)))
		}
		return func(l lane) {
			x := l.load("x")
			if l.mask != nil {
				// The loaded zeros could be larger than all valid elements.
				low := copyOf(constant(math.Inf(-1)))
				VBLENDVPS(l.mask, x, low, x)
			}
			VMAXPS(m[l.unit], x, m[l.unit])
		}
	}, func() {
		VMAXPS(m[1], m[0], m[0])
		VMAXPS(m[3], m[2], m[2])
		VMAXPS(m[2], m[0], m[0])
		x, t := XMM(), XMM()
		VEXTRACTF128(Imm(1), m[0], x)
		VMAXPS(x, m[0].AsX(), x)
		VPERMILPS(Imm(0x4E), x, t)
		VMAXPS(t, x, x)
		VPERMILPS(Imm(0xB1), x, t)
		VMAXPS(t, x, x)
		Store(x, ReturnIndex(0))
	})
}

// genNorms emits the rows of RMSNorm and LayerNorm; RMSNorm is the case of mean 0.
// Statistics come from genReductions.
// scale is rstd of the row; k and c hold what the backward pass takes from the row's sums.
func genNorms() {
	// y = (x - mean)·scale·w
	each("normScaleAVX2", "y, x, w", "mean, scale", 2, func() func(lane) {
		mean, scale := broadcast("mean"), broadcast("scale")
		return func(l lane) {
			l.store(mul(l.load("w"), mul(scale, sub(l.load("x"), mean))), "y")
		}
	})
	// dx += scale·dy·w + k·(x - mean) + c
	each("normBackwardAVX2", "dx, dy, w, x", "scale, k, mean, c", 1, func() func(lane) {
		scale, k, mean, c := broadcast("scale"), broadcast("k"), broadcast("mean"), broadcast("c")
		return func(l lane) {
			dx := add(c, l.load("dx"))
			VFMADD231PS(mul(l.load("dy"), l.load("w")), scale, dx)
			VFMADD231PS(sub(l.load("x"), mean), k, dx)
			l.store(dx, "dx")
		}
	})
	// dw += scale·dy·(x - mean)
	each("normWeightAVX2", "dw, dy, x", "mean, scale", 2, func() func(lane) {
		mean, scale := broadcast("mean"), broadcast("scale")
		return func(l lane) {
			dw := l.load("dw")
			VFMADD231PS(mul(scale, l.load("dy")), sub(l.load("x"), mean), dw)
			l.store(dw, "dw")
		}
	})
}

const (
	tanhScale = 0.7978845608028654 // √(2/π)
	tanhCubic = 0.044715
	quickGain = 1.702
)

// geluTanhArg returns 2·√(2/π)·(x + 0.044715·x³): the approximation
// x/2·(1 + tanh u) is x·σ(2u).
func geluTanhArg(x vec) vec {
	t := mul(x, x)
	VMULPS(constant(2*tanhScale*tanhCubic), t, t)
	VADDPS(constant(2*tanhScale), t, t)
	VMULPS(x, t, t)
	return t
}

// genActivations emits f and dy·f' of each activation, and of silu(gate)·up. All but the
// exact GELU are x·σ(u(x)), so that one sigmoid serves them; what tanh would cancel near 1
// the sigmoid's complement keeps.
func genActivations() {
	forward := func(name string, f func(x vec) vec) {
		each(name, "y, x", "", 1, func() func(lane) {
			return func(l lane) { l.store(f(l.load("x")), "y") }
		})
	}
	// backward: dx = dy·f'(x)
	backward := func(name string, f func(x vec) vec) {
		each(name, "dx, dy, x", "", 1, func() func(lane) {
			return func(l lane) { l.store(mul(l.load("dy"), f(l.load("x"))), "dx") }
		})
	}
	// gate returns σ(u)·(1 + x·u'·(1-σ(u))), the derivative of x·σ(u(x)), given
	// xdu = x·u'. The sum has a root near -1.3: it is rounded once.
	gate := func(u, xdu vec) vec {
		s, v := sigmoid(u)
		VFMADD213PS(constant(1), xdu, v)
		VMULPS(s, v, v)
		return v
	}
	sigma := func(u vec) vec {
		s, _ := sigmoid(u)
		return s
	}
	forward("geluAVX2", func(x vec) vec {
		phi, _ := normal(x)
		return mul(x, phi)
	})
	backward("geluBackwardAVX2", func(x vec) vec {
		phi, e := normal(x)
		VMULPS(constant(1/math.Sqrt(2*math.Pi)), e, e)
		VFMADD231PS(x, e, phi)
		return phi
	})
	forward("geluTanhAVX2", func(x vec) vec { return mul(x, sigma(geluTanhArg(x))) })
	backward("geluTanhBackwardAVX2", func(x vec) vec {
		t := mul(x, x)
		VMULPS(constant(6*tanhScale*tanhCubic), t, t)
		VADDPS(constant(2*tanhScale), t, t)
		VMULPS(x, t, t)
		return gate(geluTanhArg(x), t)
	})
	forward("quickGELUAVX2", func(x vec) vec { return mul(x, sigma(mul(constant(quickGain), x))) })
	backward("quickGELUBackwardAVX2", func(x vec) vec {
		u := mul(constant(quickGain), x)
		return gate(u, u)
	})
	forward("siluAVX2", func(x vec) vec { return mul(x, sigma(x)) })
	backward("siluBackwardAVX2", func(x vec) vec { return gate(x, x) })
	each("swigluAVX2", "y, gate, up", "", 1, func() func(lane) {
		return func(l lane) {
			g := l.load("gate")
			l.store(mul(mul(g, sigma(g)), l.load("up")), "y")
		}
	})
	each("swigluBackwardAVX2", "dgate, dup, dy, gate, up", "", 1, func() func(lane) {
		return func(l lane) {
			g, dy := l.load("gate"), l.load("dy")
			s, d := sigmoid(g)
			VFMADD213PS(constant(1), g, d)
			VMULPS(s, d, d)
			VMULPS(dy, d, d)
			VMULPS(l.load("up"), d, d)
			VMULPS(s, g, g)
			VMULPS(dy, g, g)
			l.store(d, "dgate")
			l.store(g, "dup")
		}
	})
}

// genSoftmax emits the rows of attention and of the losses. The shift is the row's largest
// element or its log-sum-exp, so that no exponential overflows.
func genSoftmax() {
	// dst = e^(x - shift), returned too as a sum.
	sum("expSumAVX2", "dst, x", "shift", 1, func() func(lane, vec) {
		shift := broadcast("shift")
		return func(l lane, acc vec) {
			e := exp(sub(l.load("x"), shift))
			l.store(e, "dst")
			VADDPS(l.keep(e), acc, acc)
		}
	})
	// ds = p·(dp - delta)·scale, the gradient of a softmax row.
	each("softmaxBackwardAVX2", "ds, p, dp", "delta, scale", 2, func() func(lane) {
		delta, scale := broadcast("delta"), broadcast("scale")
		return func(l lane) {
			l.store(mul(mul(scale, l.load("p")), sub(l.load("dp"), delta)), "ds")
		}
	})
	// One row of a KL divergence from logits s (student) and t (teacher), their
	// log-sum-exp and the difference of these: returns Σ p·(log p - log q) + q - p
	// and leaves gain·(q - p) in s. See KL for why.
	sum("klAVX2", "s, t", "lseS, lseT, shift, gain", 1, func() func(lane, vec) {
		lseS, lseT, shift, gain := broadcast("lseS"), broadcast("lseT"), broadcast("shift"), broadcast("gain")
		return func(l lane, acc vec) {
			s, t := l.load("s"), l.load("t")
			diff := sub(t, s)
			VADDPS(shift, diff, diff)
			q := exp(sub(s, lseS))
			p := exp(sub(t, lseT))
			VSUBPS(p, q, q)
			VFMADD213PS(q, p, diff) // p·diff + (q - p)
			VADDPS(l.keep(diff), acc, acc)
			VMULPS(gain, q, q)
			l.store(q, "s")
		}
	})
}

// genOptimizer emits AdamW: g is scaled by clip, decay is 1 - lr·wd, rate is
// lr/(1-β1^t), root is 1/√(1-β2^t).
func genOptimizer() {
	each("adamwAVX2", "p, grad, m, v", "clip, beta1, beta2, rate, root, eps, decay", 1, func() func(lane) {
		clip, beta1, beta2 := broadcast("clip"), broadcast("beta1"), broadcast("beta2")
		rate, root, eps, decay := broadcast("rate"), broadcast("root"), broadcast("eps"), broadcast("decay")
		return func(l lane) {
			g := mul(clip, l.load("grad"))
			m := sub(l.load("m"), g)
			VFMADD213PS(g, beta1, m) // g + β1·(m - g)
			l.store(m, "m")
			VMULPS(g, g, g)
			v := sub(l.load("v"), g)
			VFMADD213PS(g, beta2, v)
			l.store(v, "v")
			VSQRTPS(v, v)
			VFMADD213PS(eps, root, v)
			VMULPS(rate, m, m)
			VDIVPS(v, m, m)
			p := l.load("p")
			VFMSUB213PS(m, decay, p)
			l.store(p, "p")
		}
	})
}

// genBF16 emits conversions of 8·n8 elements; rounding is to nearest even.
// The loop tests at its end: n8 is at least 1, and what is left over Go code converts.
func genBF16() {
	TEXT("fromBF16AVX2", NOSPLIT, "func(n8 int, dst *float32, src *uint16)")
	Pragma("noescape")
	n, d, s := Load(Param("n8"), GP64()), Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	Label("loop")
	v := YMM()
	VPMOVZXWD(Mem{Base: s}, v)
	VPSLLD(Imm(16), v, v)
	VMOVUPS(v, Mem{Base: d})
	ADDQ(Imm(16), s)
	ADDQ(Imm(32), d)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	TEXT("toBF16AVX2", NOSPLIT, "func(n8 int, dst *uint16, src *float32)")
	Pragma("noescape")
	n, d, s = Load(Param("n8"), GP64()), Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	// x + 0x7fff + its own 16th bit rounds to nearest, ties to even, in the upper half.
	half, one, quiet := copyOf(word(0x7fff)), copyOf(word(1)), copyOf(word(0x7fc0))
	Label("loop")
	x, r, nan := YMM(), YMM(), YMM()
	VMOVUPS(Mem{Base: s}, x)
	VPSRLD(Imm(16), x, r)
	VPAND(one, r, r)
	VPADDD(half, r, r)
	VPADDD(x, r, r)
	VPSRLD(Imm(16), r, r)
	VCMPPS(Imm(3), x, x, nan) // rounding could turn a NaN into an infinity
	VBLENDVPS(nan, quiet, r, r)
	VEXTRACTF128(Imm(1), r, x.AsX())
	VPACKUSDW(x.AsX(), r.AsX(), r.AsX())
	VMOVUPS(r.AsX(), Mem{Base: d})
	ADDQ(Imm(32), s)
	ADDQ(Imm(16), d)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
