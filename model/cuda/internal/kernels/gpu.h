// gpu.h: what a kernel may use, and nothing else. One kernel source, two
// compilers: clang -x cuda makes PTX of it (gpu_device.h), g++ makes the
// simulated device of it (hostsim/device.h). Both offer the same names:
//
//   KERNEL(name, threads, (params)) { … }   an entry point; blocks of at most
//                                           `threads` threads, a multiple of 32
//   DEV                                     prefix of every other function
//   SHARED(float, tile, [16][17]);          shared memory of the block
//   DYNAMIC_SHARED(float, smem);            its dynamic part, 16-byte aligned
//   threadIdx blockIdx blockDim gridDim     as in CUDA
//   sync_threads() sync_warp(mask)
//   shfl(v, lane) shfl_xor(v, m) shfl_up(v, n) shfl_down(v, n)   4 or 8 bytes
//   ballot(p)                               bit per lane of the warp
//   atomic_add(p, v) float, int; atomic_max(p, v) int
//   to_f32(bf16) to_bf16(float) pack_bf16(lo, hi) low_f32(u) high_f32(u)
//   load16 load8 store16 store8 store4      vector access, aligned to its size
//   cp_async16(dst, src, valid) cp_async_commit() cp_async_wait<n>()
//   ldmatrix_x1/x2/x4(r, row) and …_trans; mma_bf16(d, a, b); mma_tf32(d, a, b)
//   exp2_fast log2_fast rsqrt_fast tanh_fast   the approximate instructions
//   fmadd sqrt_rn rcp_rn div_rn round_even  rounded alike on both
//
// Rules that keep the two builds equal: no intrinsic or inline assembly outside
// gpu_device.h; multiply-adds are written as fmadd() (both builds forbid the
// compiler to fuse others); every parameter fits 8 bytes; whole warps reach
// shuffles and barriers; nothing from the C library.
#pragma once
#include <stdint.h>

// bf16 is the upper half of a float: a struct, so that it is never computed
// with by accident.
struct bf16 {
  uint16_t bits;
};

// Vectors of 16 and 8 bytes.
typedef float f32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x2 __attribute__((vector_size(8)));

// Numbers of backend.DType.
enum DType : uint32_t { F32 = 0, BF16 = 1, I32 = 2 };

// Layout is how a matrix lies at its pointer: element (r, c) is at
// r·stride + c. A parameter of 8 bytes.
struct Layout {
  uint32_t stride;  // elements
  uint32_t dtype;
};

#if defined(__CUDA__)
#include "gpu_device.h"
#else
#include "hostsim/device.h"
#endif

// The same on both sides.

template <class To, class From>
DEV To bits_as(From v) {
  static_assert(sizeof(To) == sizeof(From), "bits_as keeps the size");
  return __builtin_bit_cast(To, v);
}

DEV float to_f32(bf16 h) { return bits_as<float>((uint32_t)h.bits << 16); }

// The two halves of a word that holds two bf16, the lower first.
DEV float low_f32(uint32_t u) { return bits_as<float>(u << 16); }
DEV float high_f32(uint32_t u) { return bits_as<float>(u & 0xFFFF0000u); }

DEV float infinity() { return bits_as<float>(0x7F800000u); }
DEV bool is_nan(float x) { return x != x; }
template <class T>
DEV T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
DEV T max(T a, T b) {
  return a < b ? b : a;
}

DEV int lane_id() { return threadIdx.x & 31; }
DEV int warp_id() { return threadIdx.x >> 5; }

DEV float warp_sum(float v) {
  for (int m = 16; m; m >>= 1) v += shfl_xor(v, m);
  return v;
}
DEV double warp_sum(double v) {
  for (int m = 16; m; m >>= 1) v += shfl_xor(v, m);
  return v;
}
DEV float warp_max(float v) {
  for (int m = 16; m; m >>= 1) v = max(v, shfl_xor(v, m));
  return v;
}

// block_sum adds up one value of each thread of a one-dimensional block and
// gives the sum to all of them. buf holds one value per warp; it may be used
// again at once.
template <class T>
DEV T block_sum(T v, T* buf) {
  v = warp_sum(v);
  if (lane_id() == 0) buf[warp_id()] = v;
  sync_threads();
  v = lane_id() < (int)(blockDim.x >> 5) ? buf[lane_id()] : T(0);
  v = warp_sum(v);
  sync_threads();
  return v;
}

// block_max is block_sum for the maximum.
DEV float block_max(float v, float* buf) {
  v = warp_max(v);
  if (lane_id() == 0) buf[warp_id()] = v;
  sync_threads();
  v = lane_id() < (int)(blockDim.x >> 5) ? buf[lane_id()] : -infinity();
  v = warp_max(v);
  sync_threads();
  return v;
}
