// elementwise.cu: operations on matrices of one shape, a thread per four
// neighbouring elements. A destination may be one of the sources: a thread
// reads its elements before it writes them.
#include "mathf.h"
#include "mat.h"

// A dst of dtype I32 is filled with the integer part of v.
KERNEL(fill, 256, (MAT(dst), float v, int64_t rows, int64_t cols)) {
  USE(dst);
  if (dst_l.dtype == I32) v = bits_as<float>((int)v);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) { dst.put(r, c, n, splat(v)); });
}

// Integers move as the bits of floats.
KERNEL(copy, 256, (MAT(dst), MAT(src), int64_t rows, int64_t cols)) {
  USE(dst);
  USE(src);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) { dst.put(r, c, n, src.get(r, c, n)); });
}

KERNEL(add, 256, (MAT(dst), MAT(a), MAT(b), int64_t rows, int64_t cols)) {
  USE(dst);
  USE(a);
  USE(b);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) { dst.put(r, c, n, a.get(r, c, n) + b.get(r, c, n)); });
}

KERNEL(axpy, 256, (MAT(y), float alpha, MAT(x), int64_t rows, int64_t cols)) {
  USE(y);
  USE(x);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    y.put(r, c, n, fmadd(splat(alpha), x.get(r, c, n), y.get(r, c, n)));
  });
}

KERNEL(scale, 256, (MAT(x), float alpha, int64_t rows, int64_t cols)) {
  USE(x);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) { x.put(r, c, n, splat(alpha) * x.get(r, c, n)); });
}

// Numbers of backend.Activation.
enum Activation : int { Gelu, GeluTanh, QuickGelu, Silu };

// Value holds f(x) and f'(x).
struct Value {
  float y, dy;
};
DEV Value activation(int f, float x) {
  if (f == Gelu) {
    Normal n = normal(x);
    return {x * n.phi, fmadd(0.398942280f * x, n.e, n.phi)};  // 1/√(2π)
  }
  if (f == GeluTanh) {
    // ½·(1+tanh u) = σ(2u), u = k·(x + 0.044715·x³), k = √(2/π)
    const float k = 0.797884561f;
    float square = x * x;
    Sigmoid s = sigmoid(2.f * k * x * fmadd(0.044715f, square, 1.f));
    float slope = 2.f * k * fmadd(3.f * 0.044715f, square, 1.f);
    return {x * s.s, fmadd(x * s.s * s.complement, slope, s.s)};
  }
  float k = f == QuickGelu ? 1.702f : 1.f;
  Sigmoid s = sigmoid(k * x);
  return {x * s.s, fmadd(k * x * s.s, s.complement, s.s)};
}

KERNEL(activate, 256, (MAT(y), MAT(x), int f, int64_t rows, int64_t cols)) {
  USE(y);
  USE(x);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    y.put(r, c, n, map4(x.get(r, c, n), [&](float v) { return activation(f, v).y; }));
  });
}

KERNEL(activate_backward, 256, (MAT(dx), MAT(dy), MAT(x), int f, int64_t rows, int64_t cols)) {
  USE(dx);
  USE(dy);
  USE(x);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    dx.put(r, c, n, dy.get(r, c, n) * map4(x.get(r, c, n), [&](float v) { return activation(f, v).dy; }));
  });
}

KERNEL(swiglu, 256, (MAT(y), MAT(gate), MAT(up), int64_t rows, int64_t cols)) {
  USE(y);
  USE(gate);
  USE(up);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    y.put(r, c, n, map4(gate.get(r, c, n), [&](float v) { return activation(Silu, v).y; }) * up.get(r, c, n));
  });
}

KERNEL(swiglu_backward, 256, (MAT(dgate), MAT(dup), MAT(dy), MAT(gate), MAT(up), int64_t rows, int64_t cols)) {
  USE(dgate);
  USE(dup);
  USE(dy);
  USE(gate);
  USE(up);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    f32x4 g = gate.get(r, c, n), u = up.get(r, c, n), d = dy.get(r, c, n), value, slope;
    UNROLL
    for (int i = 0; i < 4; i++) {
      Value v = activation(Silu, g[i]);
      value[i] = v.y;
      slope[i] = v.dy;
    }
    dgate.put(r, c, n, d * u * slope);
    dup.put(r, c, n, d * value);
  });
}
