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

  DEV_METHOD Mat(void* p, Layout l) : p((char*)p), stride(l.stride), size(l.dtype == BF16 ? 2 : 4) {}
  DEV_METHOD bool given() const { return p != nullptr; }
  DEV_METHOD char* address(int64_t r, int64_t c) const { return p + (r * stride + c) * size; }

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

  // vector says whether four elements from a column that is a multiple of 4
  // can be moved at once, in every row.
  DEV_METHOD bool vector() const { return (((uintptr_t)p & (4 * size - 1)) | (stride & 3)) == 0; }
  DEV_METHOD f32x4 at4(int64_t r, int64_t c) const {
    const char* a = address(r, c);
    if (size == 4) return load16<f32x4>(a);
    u32x2 u = load8(a);
    return f32x4{low_f32(u[0]), high_f32(u[0]), low_f32(u[1]), high_f32(u[1])};
  }
  DEV_METHOD void set4(int64_t r, int64_t c, f32x4 v) const {
    char* a = address(r, c);
    if (size == 4)
      store16(a, v);
    else
      store8(a, u32x2{pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3])});
  }
};
