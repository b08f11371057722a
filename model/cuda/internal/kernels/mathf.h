// mathf.h: functions in f32 that are within a few units of the last place and
// give the same bits on the device and on the host. They are the CPU backend's
// own (model/cpu/internal/simd/asm/math.go, where the polynomials are fitted).
#pragma once
#include "gpu.h"

template <int n>
DEV float horner(const float (&p)[n], float x) {
  float v = p[n - 1];
  UNROLL
  for (int i = n - 2; i >= 0; i--) v = fmadd(v, x, p[i]);
  return v;
}
template <int n>
DEV double horner(const double (&p)[n], double x) {
  double v = p[n - 1];
  UNROLL
  for (int i = n - 2; i >= 0; i--) v = fmadd(v, x, p[i]);
  return v;
}

// exp_of gives e^x = 2^n·e^r with r = x - n·ln2 in two steps. Below the normal
// numbers it is 0, beyond 88.37 it stays e^88.37; NaN stays NaN.
DEV float exp_of(float x) {
  const float poly[] = {0.5f,           0.166666672f,   0.0416664667f,  // (e^r - 1 - r)/r²
                        0.00833331048f, 0.00139336416f, 0.000198909809f};
  float r = min(x, 88.37f);  // min and max give their first operand for NaN
  if (r < -87.33f) return 0.f;
  float n = round_even(1.44269502f * r);
  r = fmadd(n, -0.693359375f, r);
  r = fmadd(n, 0.000212194442f, r);
  float p = horner(poly, r);
  p = fmadd(p, r, 1.f);
  p = fmadd(p, r, 1.f);
  if (is_nan(p)) return p;
  return bits_as<float>(bits_as<uint32_t>(p) + ((uint32_t)(int)n << 23));
}

// reciprocal gives 1/d for 1 ≤ d < 2^126 to one unit of the last place, without the
// branch and the call of the exact instruction: a guess from the bits, right
// to 12 %, and twice x·(1 + e + e²) with e = 1 - d·x.
DEV float reciprocal(float d) {
  float x = bits_as<float>(0x7EF311C3u - bits_as<uint32_t>(d));
  UNROLL
  for (int i = 0; i < 2; i++) {
    float e = fmadd(-d, x, 1.f);
    x = fmadd(x, fmadd(e, e, e), x);
  }
  return x;
}

// Sigmoid holds σ(x) and 1-σ(x), each precise where it is small.
struct Sigmoid {
  float s, complement;
};
DEV Sigmoid sigmoid(float x) {
  float e = exp_of(min(-x, 80.f)), s = reciprocal(1.f + e);
  return {s, e * s};
}

// Normal holds Φ(x), the normal distribution function, and e^(-x²/2).
struct Normal {
  float phi, e;
};
DEV Normal normal(float x) {
  // Φ(-x)·e^(x²/2)/t in t = 1/(1+0.4·|x|): the tail without its exponential.
  const float tail[] = {0.159566447f,  0.159871489f, 0.130452722f,  0.107968457f, -0.0910955071f, 0.281839818f,
                        -0.646694541f, 0.683917999f, -0.387837976f, 0.116809398f, -0.014798305f};
  float square = x * x, lost = fmadd(x, x, -square);
  float e = exp_of(-0.5f * square);
  e = fmadd(-0.5f * lost, e, e);
  float magnitude = x < 0 ? -x : x;
  float t = reciprocal(fmadd(magnitude, 0.4f, 1.f));
  float phi = horner(tail, t) * t * e;
  return {x < 0 ? phi : 1.f - phi, e};
}

// log_of gives ln x for normal positive x, to about 1e-16 of its size.
DEV double log_of(double x) {
  // x = m·2^e with m in [√½, √2); ln m = 2·artanh s, s = (m-1)/(m+1).
  const double series[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                           2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
  uint64_t u = bits_as<uint64_t>(x);
  int e = (int)(u >> 52) - 1023;
  double m = bits_as<double>((u & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e++;
  }
  double s = div_rn(m - 1.0, m + 1.0), z = s * s;
  double small = fmadd(s * z, horner(series, z), 2.0 * s);
  // ln 2 in two parts, the first with so few bits that e times it is exact.
  return fmadd((double)e, 0.693147180369123816490, fmadd((double)e, 1.90821492927058770002e-10, small));
}

// Angle holds the sine and the cosine of an angle.
struct Angle {
  double sin, cos;
};
// sin_cos takes 0 ≤ x < 2π.
DEV Angle sin_cos(double x) {
  const double sine[] = {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0, -1.0 / 1307674368000.0};
  const double cosine[] = {-1.0 / 2,         1.0 / 24,           -1.0 / 720,             1.0 / 40320,
                           -1.0 / 3628800.0, 1.0 / 479001600.0, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
  int octant = (int)(x * 1.2732395447351628);  // 4/π
  octant += octant & 1;
  // What is left of the quarter turn, |z| ≤ π/4; π/4 in two parts.
  double z = fmadd((double)octant, -0.78539816339744828, x);
  z = fmadd((double)octant, -3.0616169978683830e-17, z);
  double q = z * z;
  double s = fmadd(z * q, horner(sine, q), z), c = fmadd(q, horner(cosine, q), 1.0);
  switch (octant >> 1 & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}
