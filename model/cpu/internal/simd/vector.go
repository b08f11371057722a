package simd

import "math"

// Add computes dst = a + b; dst may be a or b.
func Add(dst, a, b []float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	a, b = a[:n], b[:n]
	if avx2 {
		addAVX2(n, &dst[0], &a[0], &b[0])
		return
	}
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Axpy computes y += alpha·x.
// y may overlap x only where they are the same.
func Axpy(y []float32, alpha float32, x []float32) {
	n := len(y)
	if n == 0 {
		return
	}
	x = x[:n]
	if avx2 {
		axpyAVX2(n, &y[0], &x[0], alpha)
		return
	}
	for i := range y {
		y[i] += alpha * x[i]
	}
}

// Scale computes dst = alpha·x; dst may be x.
func Scale(dst []float32, alpha float32, x []float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	x = x[:n]
	if avx2 {
		scaleAVX2(n, &dst[0], &x[0], alpha)
		return
	}
	for i := range dst {
		dst[i] = alpha * x[i]
	}
}

// Fill sets every element.
func Fill(dst []float32, v float32) {
	if v == 0 {
		clear(dst)
		return
	}
	for i := range dst {
		dst[i] = v
	}
}

// Rotate turns the pairs (x1[i], x2[i]) in place by the angle with cosine c[i]
// and sine sign·s[i].
func Rotate(x1, x2, c, s []float32, sign float32) {
	n := len(x1)
	if n == 0 {
		return
	}
	x2, c, s = x2[:n], c[:n], s[:n]
	if avx2 {
		rotateAVX2(n, &x1[0], &x2[0], &c[0], &s[0], sign)
		return
	}
	for i := range x1 {
		a, b, sin := x1[i], x2[i], sign*s[i]
		x1[i] = a*c[i] - b*sin
		x2[i] = b*c[i] + a*sin
	}
}

// Sum returns Σ x.
// The portable versions add in float64: exact enough in any order, and not the assembly's bits.
func Sum(x []float32) float32 {
	n := len(x)
	if n == 0 {
		return 0
	}
	if avx2 {
		return sumAVX2(n, &x[0])
	}
	var s float64
	for _, v := range x {
		s += float64(v)
	}
	return float32(s)
}

// Dot returns Σ a·b.
func Dot(a, b []float32) float32 {
	n := len(a)
	if n == 0 {
		return 0
	}
	b = b[:n]
	if avx2 {
		return dotAVX2(n, &a[0], &b[0])
	}
	var s float64
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return float32(s)
}

// Dot3 returns Σ a·b·(x - mean).
func Dot3(a, b, x []float32, mean float32) float32 {
	n := len(a)
	if n == 0 {
		return 0
	}
	b, x = b[:n], x[:n]
	if avx2 {
		return dot3AVX2(n, &a[0], &b[0], &x[0], mean)
	}
	var s float64
	for i := range a {
		s += float64(a[i]) * float64(b[i]) * float64(x[i]-mean)
	}
	return float32(s)
}

// Squares returns Σ (x - mean)².
// The mean is taken off first: E[x²] − mean² would cancel.
func Squares(x []float32, mean float32) float32 {
	n := len(x)
	if n == 0 {
		return 0
	}
	if avx2 {
		return squaresAVX2(n, &x[0], mean)
	}
	var s float64
	for _, v := range x {
		s += float64(v-mean) * float64(v-mean)
	}
	return float32(s)
}

// Squares64 returns Σ x², accumulated in double precision.
func Squares64(x []float32) float64 {
	n := len(x)
	if n == 0 {
		return 0
	}
	if avx2 {
		return squares64AVX2(n, &x[0])
	}
	var s float64
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return s
}

// Max returns the largest element, -Inf when there is none. NaN may be ignored.
// Whoever needs to know of a NaN looks for it in what is computed from the maximum.
func Max(x []float32) float32 {
	m := float32(math.Inf(-1))
	n := len(x)
	if n == 0 {
		return m
	}
	if avx2 {
		return maxAVX2(n, &x[0])
	}
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

// NormScale computes y = (x - mean)·scale·w; y may be x.
func NormScale(y, x, w []float32, mean, scale float32) {
	n := len(y)
	if n == 0 {
		return
	}
	x, w = x[:n], w[:n]
	if avx2 {
		normScaleAVX2(n, &y[0], &x[0], &w[0], mean, scale)
		return
	}
	for i := range y {
		y[i] = (x[i] - mean) * scale * w[i]
	}
}

// NormBackward computes dx += scale·dy·w + k·(x - mean) + c.
func NormBackward(dx, dy, w, x []float32, scale, k, mean, c float32) {
	n := len(dx)
	if n == 0 {
		return
	}
	dy, w, x = dy[:n], w[:n], x[:n]
	if avx2 {
		normBackwardAVX2(n, &dx[0], &dy[0], &w[0], &x[0], scale, k, mean, c)
		return
	}
	for i := range dx {
		dx[i] += scale*dy[i]*w[i] + k*(x[i]-mean) + c
	}
}

// NormWeight computes dw += scale·dy·(x - mean).
func NormWeight(dw, dy, x []float32, mean, scale float32) {
	n := len(dw)
	if n == 0 {
		return
	}
	dy, x = dy[:n], x[:n]
	if avx2 {
		normWeightAVX2(n, &dw[0], &dy[0], &x[0], mean, scale)
		return
	}
	for i := range dw {
		dw[i] += scale * dy[i] * (x[i] - mean)
	}
}

// AdamW is the element-wise update p = decay·p - rate·m'/(root·√v' + eps) with
// the moments m' = g + β1·(m - g), v' = g² + β2·(v - g²) of the clipped
// gradient g·clip. Rate and root carry the bias corrections.
func AdamW(p, g, m, v []float32, clip, beta1, beta2, rate, root, eps, decay float32) {
	n := len(p)
	if n == 0 {
		return
	}
	g, m, v = g[:n], m[:n], v[:n]
	if avx2 {
		adamwAVX2(n, &p[0], &g[0], &m[0], &v[0], clip, beta1, beta2, rate, root, eps, decay)
		return
	}
	for i := range p {
		gi := clip * g[i]
		m[i] = gi + beta1*(m[i]-gi)
		v[i] = gi*gi + beta2*(v[i]-gi*gi)
		p[i] = decay*p[i] - rate*m[i]/(root*float32(math.Sqrt(float64(v[i])))+eps)
	}
}

// FromBF16 widens bfloat16 to float32, exactly.
func FromBF16(dst []float32, src []uint16) {
	src = src[:len(dst)]
	i := 0
	if n8 := len(dst) / 8; avx2 && n8 > 0 {
		fromBF16AVX2(n8, &dst[0], &src[0])
		i = 8 * n8
	}
	for ; i < len(dst); i++ {
		dst[i] = math.Float32frombits(uint32(src[i]) << 16)
	}
}

// ToBF16 rounds float32 to the nearest bfloat16, ties to even; NaN becomes the
// quiet NaN.
func ToBF16(dst []uint16, src []float32) {
	src = src[:len(dst)]
	i := 0
	if n8 := len(dst) / 8; avx2 && n8 > 0 {
		toBF16AVX2(n8, &dst[0], &src[0])
		i = 8 * n8
	}
	for ; i < len(dst); i++ {
		b := math.Float32bits(src[i])
		if src[i] != src[i] {
			dst[i] = 0x7fc0
			continue
		}
		dst[i] = uint16((b + 0x7fff + b>>16&1) >> 16)
	}
}
