package simd

import "math"

// phi is the normal distribution function, sigma the logistic one.
func phi(x float64) float64   { return 0.5 * math.Erfc(-x/math.Sqrt2) }
func sigma(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

const (
	tanhScale = 0.7978845608028654 // √(2/π)
	tanhCubic = 0.044715
	quickGain = 1.702
)

// Without the assembly all of this is float64, which is slow and rounds to float32 at the end
// alone.
func gelu(x float64) float64 { return x * phi(x) }
func geluGrad(x float64) float64 {
	return phi(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
}

// gate returns x·σ(u) and gateGrad its derivative given xdu = x·u'.
func gate(x, u float64) float64 { return x * sigma(u) }

// 1 − σ(u) is σ(−u), which does not cancel where σ is near 1.
func gateGrad(u, xdu float64) float64 {
	return sigma(u) + xdu*sigma(u)*sigma(-u)
}

func geluTanh(x float64) float64 { return gate(x, 2*tanhScale*(x+tanhCubic*x*x*x)) }
func geluTanhGrad(x float64) float64 {
	return gateGrad(2*tanhScale*(x+tanhCubic*x*x*x), 2*tanhScale*(x+3*tanhCubic*x*x*x))
}
func quickGELU(x float64) float64     { return gate(x, quickGain*x) }
func quickGELUGrad(x float64) float64 { return gateGrad(quickGain*x, quickGain*x) }
func silu(x float64) float64          { return gate(x, x) }
func siluGrad(x float64) float64      { return gateGrad(x, x) }

// x is cut to y's length, so that one that is too short panics here and not beyond the slice in
// assembly.
func apply(y, x []float32, kernel func(n int, y, x *float32), f func(float64) float64) {
	n := len(y)
	if n == 0 {
		return
	}
	x = x[:n]
	if avx2 {
		kernel(n, &y[0], &x[0])
		return
	}
	for i := range y {
		y[i] = float32(f(float64(x[i])))
	}
}

func applyGrad(dx, dy, x []float32, kernel func(n int, dx, dy, x *float32), df func(float64) float64) {
	n := len(dx)
	if n == 0 {
		return
	}
	dy, x = dy[:n], x[:n]
	if avx2 {
		kernel(n, &dx[0], &dy[0], &x[0])
		return
	}
	for i := range dx {
		dx[i] = dy[i] * float32(df(float64(x[i])))
	}
}

// GELU computes y = x·Φ(x) with the exact normal distribution function. As
// with all functions of this file, y may be x.
func GELU(y, x []float32) { apply(y, x, geluAVX2, gelu) }

// GELUBackward computes dx = dy·f'(x); here and below dx may be dy or x.
func GELUBackward(dx, dy, x []float32) { applyGrad(dx, dy, x, geluBackwardAVX2, geluGrad) }

// GELUTanh computes the tanh approximation of GELU, as x·σ(2u).
func GELUTanh(y, x []float32) { apply(y, x, geluTanhAVX2, geluTanh) }

// GELUTanhBackward computes dx = dy·f'(x).
func GELUTanhBackward(dx, dy, x []float32) {
	applyGrad(dx, dy, x, geluTanhBackwardAVX2, geluTanhGrad)
}

// QuickGELU computes y = x·σ(1.702·x).
func QuickGELU(y, x []float32) { apply(y, x, quickGELUAVX2, quickGELU) }

// QuickGELUBackward computes dx = dy·f'(x).
func QuickGELUBackward(dx, dy, x []float32) {
	applyGrad(dx, dy, x, quickGELUBackwardAVX2, quickGELUGrad)
}

// SiLU computes y = x·σ(x).
func SiLU(y, x []float32) { apply(y, x, siluAVX2, silu) }

// SiLUBackward computes dx = dy·f'(x).
func SiLUBackward(dx, dy, x []float32) { applyGrad(dx, dy, x, siluBackwardAVX2, siluGrad) }

// SwiGLU computes y = silu(gate)·up.
func SwiGLU(y, gate, up []float32) {
	n := len(y)
	if n == 0 {
		return
	}
	gate, up = gate[:n], up[:n]
	if avx2 {
		swigluAVX2(n, &y[0], &gate[0], &up[0])
		return
	}
	for i := range y {
		y[i] = float32(silu(float64(gate[i]))) * up[i]
	}
}

// SwiGLUBackward computes dgate = dy·up·silu'(gate) and dup = dy·silu(gate).
func SwiGLUBackward(dgate, dup, dy, gate, up []float32) {
	n := len(dgate)
	if n == 0 {
		return
	}
	dup, dy, gate, up = dup[:n], dy[:n], gate[:n], up[:n]
	if avx2 {
		swigluBackwardAVX2(n, &dgate[0], &dup[0], &dy[0], &gate[0], &up[0])
		return
	}
	for i := range dgate {
		g, u, d := float64(gate[i]), up[i], dy[i]
		dgate[i] = d * u * float32(siluGrad(g))
		dup[i] = d * float32(silu(g))
	}
}

// ExpSum computes dst = e^(x - shift) and returns the sum; dst may be x.
// Exponentials below the smallest normal number are 0.
// shift is the largest element or more: e^(x − shift) is then at most 1.
func ExpSum(dst, x []float32, shift float32) float32 {
	n := len(dst)
	if n == 0 {
		return 0
	}
	x = x[:n]
	if avx2 {
		return expSumAVX2(n, &dst[0], &x[0], shift)
	}
	var s float64
	for i := range dst {
		e := math.Exp(float64(x[i] - shift))
		dst[i] = float32(e)
		s += e
	}
	return float32(s)
}

// SoftmaxBackward computes ds = p·(dp - delta)·scale.
// delta is Σ p·dp of the row, scale that of the scores.
func SoftmaxBackward(ds, p, dp []float32, delta, scale float32) {
	n := len(ds)
	if n == 0 {
		return
	}
	p, dp = p[:n], dp[:n]
	if avx2 {
		softmaxBackwardAVX2(n, &ds[0], &p[0], &dp[0], delta, scale)
		return
	}
	for i := range ds {
		ds[i] = p[i] * (dp[i] - delta) * scale
	}
}

// KL returns Σ p·(log p - log q) + q - p for q = e^(s - lseS), p = e^(t - lseT),
// and replaces s by gain·(q - p).
//
// As p and q sum to one, that is their divergence; but an error of the two
// log-sum-exps, which would be as large as a small divergence, cancels in it.
// For the same reason log p - log q is formed from the differences.
func KL(s, t []float32, lseS, lseT float64, gain float32) float32 {
	n := len(s)
	if n == 0 {
		return 0
	}
	t = t[:n]
	if avx2 {
		return klAVX2(n, &s[0], &t[0], float32(lseS), float32(lseT), float32(lseS-lseT), gain)
	}
	var sum float64
	for i := range s {
		logQ, logP := float64(s[i])-lseS, float64(t[i])-lseT
		p, q := math.Exp(logP), math.Exp(logQ)
		sum += p*(logP-logQ) + q - p
		s[i] = gain * float32(q-p)
	}
	return float32(sum)
}
