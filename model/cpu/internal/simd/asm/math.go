package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// fit interpolates f on [lo, hi] at Chebyshev nodes and returns the
// coefficients of the polynomial, lowest first. The interpolant is within a
// small factor of the best approximation.
// Fitted when the code is generated, the coefficients need no table that somebody has to
// trust: the function that is approximated stands beside its polynomial.
// Divided differences in float64 are exact enough for degrees of about ten.
func fit(f func(float64) float64, lo, hi float64, degree int) []float64 {
	n := degree + 1
	x, d := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i] = (lo+hi)/2 + (hi-lo)/2*math.Cos(math.Pi*(float64(i)+0.5)/float64(n))
		d[i] = f(x[i])
	}
	for j := 1; j < n; j++ { // divided differences
		for i := n - 1; i >= j; i-- {
			d[i] = (d[i] - d[i-1]) / (x[i] - x[i-j])
		}
	}
	p := make([]float64, n) // Newton form to monomials
	for i := n - 1; i >= 0; i-- {
		for j := n - 1; j > 0; j-- {
			p[j] = p[j-1] - x[i]*p[j]
		}
		p[0] = d[i] - x[i]*p[0]
	}
	return p
}

// horner evaluates a polynomial at x.
// A polynomial of degree d is a chain of d multiply-adds. The bodies of a vector loop are
// independent, so the processor works on several chains at once.
// Coefficients are memory operands, so that the chain needs two registers.
func horner(p []float64, x vec) vec {
	v := copyOf(constant(p[len(p)-1]))
	for i := len(p) - 2; i >= 0; i-- {
		VFMADD213PS(constant(p[i]), x, v)
	}
	return v
}

// expPoly approximates (e^r - 1 - r)/r² on |r| ≤ ln2/2.
// Without the first two terms, 1 and r, which exp adds by fused multiply-adds.
var expPoly = fit(func(r float64) float64 {
	if math.Abs(r) < 1e-3 { // the quotient cancels; its series does not
		return 0.5 + r/6 + r*r/24
	}
	return (math.Expm1(r) - r) / (r * r)
}, -math.Ln2/2, math.Ln2/2, 5)

// ln2Hi has few bits, so that n·ln2Hi is exact and the reduction loses nothing (Cody and
// Waite).
const (
	expMax = 88.37  // 2^127.49: the largest that scales without overflow
	expMin = -87.33 // just above the smallest normal number; below, e^x is 0 here
	ln2Hi  = 0.693359375
)

// exp returns e^x: e^x = 2^n·e^r, r = x - n·ln2 in two steps. NaN stays NaN;
// arguments beyond expMax give e^expMax.
func exp(x vec) vec {
	// Clamped before the reduction: n has to fit into the eight bits of an exponent.
	limit := copyOf(constant(expMax))
	r := YMM()
	VMINPS(x, limit, r) // a NaN in x is the operand that min returns
	VMOVUPS(constant(expMin), limit)
	VMAXPS(r, limit, r)
	n := mul(constant(math.Log2E), r)
	VROUNDPS(Imm(8), n, n)
	VFNMADD231PS(constant(ln2Hi), n, r)
	VFNMADD231PS(constant(math.Ln2-ln2Hi), n, r)
	p := horner(expPoly, r)
	one := copyOf(constant(1))
	VFMADD213PS(one, r, p) // 1 + r·q
	VFMADD213PS(one, r, p) // 1 + r + r²·q
	// 2^n is added to the exponent of p, which is in [√½, √2] and so normal.
	VCVTPS2DQ(n, n)
	VPSLLD(Imm(23), n, n)
	VPADDD(n, p, p)
	// A comparison that is true for NaN keeps it.
	VCMPPS(Imm(5), constant(expMin), x, n)
	VANDPS(n, p, p)
	return p
}

// sigmoid returns σ(x) = 1/(1+e^-x) and its complement, as e^-x/(1+e^-x) to
// keep it exact where σ is near 1.
// Both come from one exponential. For x far below 0 it overflows to the clamped e^expMax,
// whose inverse is as good as 0.
func sigmoid(x vec) (s, complement vec) {
	e := exp(sub(zero(), x))
	d := add(constant(1), e)
	s = copyOf(constant(1))
	VDIVPS(d, s, s)
	VDIVPS(d, e, e)
	return s, e
}

// tailScale is the s of t = 1/(1+s·|x|), the variable of tailPoly.
const tailScale = 0.4

// tailPoly approximates Φ(-x)·e^(x²/2)/t for 0 ≤ x ≤ 13.5 as a polynomial in
// t: the normal tail without its exponential, which keeps the relative error
// small however far out.
var tailPoly = fit(func(t float64) float64 {
	x := (1/t - 1) / tailScale
	return 0.5 * math.Erfc(x/math.Sqrt2) * math.Exp(x*x/2) / t
}, 1/(1+tailScale*13.5), 1, 10)

// normal returns Φ(x), the normal distribution function, and e^(-x²/2).
//
// x² is taken with what its rounding lost, since an error in the exponent is a relative
// error of the result: at x = 10 half a unit in the last place of x² would be 2e-6 of e.
func normal(x vec) (phi, e vec) {
	square := mul(x, x)
	low := copyOf(square)
	VFMSUB231PS(x, x, square) // square now holds what rounding lost
	lost := square
	e = exp(mul(constant(-0.5), low))
	VMULPS(constant(-0.5), lost, lost)
	VFMADD231PS(lost, e, e) // e·(1 + lost)
	t := YMM()
	VANDPS(word(math.MaxInt32), x, t)
	one := copyOf(constant(1))
	VFMADD132PS(constant(tailScale), one, t)
	VDIVPS(t, one, t)
	phi = horner(tailPoly, t)
	VMULPS(t, phi, phi)
	VMULPS(e, phi, phi)
	VSUBPS(phi, one, one)
	VBLENDVPS(x, phi, one, phi) // the sign of x picks the tail
	return phi, e
}
