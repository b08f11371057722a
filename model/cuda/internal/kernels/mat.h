// mat.h: matrices of f32 or bf16 in device memory. The element type is known
// only at run time: these kernels wait for memory, not for the branch, and any
// mix of types costs no further kernel.
#pragma once
#include "gpu.h"

// Mat is a matrix operand, made of the two parameters that hold it. A pointer
// of 0 is an operand that is not given.
struct Mat {
  char* p;
  uint32_t stride;  // elements
  uint32_t size;    // of an element in bytes: 2 for bf16, 4 for f32
  bool vectors;     // four elements from a column that is a multiple of 4 can be moved at once, in every row

  DEV_METHOD Mat(void* p, Layout l) : p((char*)p), stride(l.stride), size(l.dtype == BF16 ? 2 : 4) {
    vectors = (((uintptr_t)p & (4 * size - 1)) | (stride & 3)) == 0;
  }
  DEV_METHOD bool given() const { return p != nullptr; }
  DEV_METHOD char* address(int64_t r, int64_t c) const { return p + (r * stride + c) * size; }

  // from is the matrix without its first c columns.
  DEV_METHOD Mat from(int64_t c) const {
    Mat m = *this;
    m.p += c * size;
    m.vectors = vectors && (c & 3) == 0;
    return m;
  }

  DEV_METHOD float at(int64_t r, int64_t c) const {
    const char* a = address(r, c);
    return size == 2 ? to_f32(*(const bf16*)a) : *(const float*)a;
  }
  DEV_METHOD void set(int64_t r, int64_t c, float v) const {
    char* a = address(r, c);
    if (size == 2)
      *(bf16*)a = to_bf16(v);
    else
      *(float*)a = v;
  }


  // get and put move n elements, 1 to 4, from column c on, a multiple of 4.
  DEV_METHOD f32x4 get(int64_t r, int64_t c, int n) const {
    if (vectors && n == 4) {
      const char* a = address(r, c);
      if (size == 4) return load16<f32x4>(a);
      u32x2 u = load8(a);
      return f32x4{low_f32(u[0]), high_f32(u[0]), low_f32(u[1]), high_f32(u[1])};
    }
    f32x4 v = {};
    UNROLL
    for (int i = 0; i < 4; i++)
      if (i < n) v[i] = at(r, c + i);
    return v;
  }
  DEV_METHOD void put(int64_t r, int64_t c, int n, f32x4 v) const {
    if (vectors && n == 4) {
      char* a = address(r, c);
      if (size == 4)
        store16(a, v);
      else
        store8(a, u32x2{pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3])});
      return;
    }
    UNROLL
    for (int i = 0; i < 4; i++)
      if (i < n) set(r, c + i, v[i]);
  }
};

// A matrix in a kernel's parameter list, and the Mat made of it.
#define MAT(name) void *name##_p, Layout name##_l
#define USE(name) const Mat name(name##_p, name##_l)

// each_group calls f(r, c, n) for every group of n = 4 columns from c on (the
// last of a row may be shorter), one thread a group: x over columns, y over
// rows, both with the grid's stride.
template <class F>
DEV void each_group(int64_t rows, int64_t cols, F f) {
  int64_t r0 = (int64_t)blockIdx.y * blockDim.y + threadIdx.y, dr = (int64_t)gridDim.y * blockDim.y;
  int64_t c0 = 4 * ((int64_t)blockIdx.x * blockDim.x + threadIdx.x), dc = 4 * (int64_t)gridDim.x * blockDim.x;
  for (int64_t r = r0; r < rows; r += dr)
    for (int64_t c = c0; c < cols; c += dc) f(r, c, (int)min<int64_t>(cols - c, 4));
}

// map4 applies f to each of the four elements.
template <class F>
DEV f32x4 map4(f32x4 a, F f) {
  return f32x4{f(a[0]), f(a[1]), f(a[2]), f(a[3])};
}
DEV f32x4 splat(float v) { return f32x4{v, v, v, v}; }
DEV f32x4 fmadd(f32x4 a, f32x4 b, f32x4 c) {
  return f32x4{fmadd(a[0], b[0], c[0]), fmadd(a[1], b[1], c[1]), fmadd(a[2], b[2], c[2]), fmadd(a[3], b[3], c[3])};
}
