// gpu_device.h: gpu.h for the device, on clang -x cuda without any file of the
// CUDA toolkit. Inline assembly is not checked by clang; ptxas checks it
// (ptx_test.go).
#pragma once
#include <__clang_cuda_builtin_vars.h>

#define DEV static __attribute__((device, always_inline)) inline
#define KERNEL(name, threads, params)                                       \
  extern "C" __attribute__((global, launch_bounds(threads))) void name params
#define SHARED(type, name, dims) static __attribute__((shared)) type name dims
// All kernels of a module share the one symbol, as CUDA has it.
extern __attribute__((shared, aligned(16))) unsigned char dynamic_shared_memory[];
#define DYNAMIC_SHARED(type, name) type* name = (type*)dynamic_shared_memory
#define DEV_METHOD __attribute__((device, always_inline))
#define UNROLL _Pragma("unroll")

DEV void sync_threads() { __nvvm_bar_sync(0); }
DEV void sync_warp(uint32_t mask = ~0u) { __nvvm_bar_warp_sync(mask); }

// Shuffles move 4-byte words; 8-byte values go in two.
enum ShuffleKind { ShuffleIndex, ShuffleXor, ShuffleUp, ShuffleDown };
template <ShuffleKind kind>
DEV uint32_t shuffle_word(uint32_t v, uint32_t n, uint32_t mask) {
  if (kind == ShuffleIndex) return __nvvm_shfl_sync_idx_i32(mask, v, n, 0x1f);
  if (kind == ShuffleXor) return __nvvm_shfl_sync_bfly_i32(mask, v, n, 0x1f);
  if (kind == ShuffleUp) return __nvvm_shfl_sync_up_i32(mask, v, n, 0);
  return __nvvm_shfl_sync_down_i32(mask, v, n, 0x1f);
}
template <ShuffleKind kind, class T>
DEV T shuffle(T v, uint32_t n, uint32_t mask) {
  if constexpr (sizeof(T) == 4) {
    return __builtin_bit_cast(T, shuffle_word<kind>(__builtin_bit_cast(uint32_t, v), n, mask));
  } else {
    static_assert(sizeof(T) == 8, "shuffles take 4 or 8 bytes");
    uint64_t u = __builtin_bit_cast(uint64_t, v);
    uint32_t lo = shuffle_word<kind>((uint32_t)u, n, mask);
    uint32_t hi = shuffle_word<kind>((uint32_t)(u >> 32), n, mask);
    return __builtin_bit_cast(T, (uint64_t)hi << 32 | lo);
  }
}
template <class T>
DEV T shfl(T v, int lane, uint32_t mask = ~0u) {
  return shuffle<ShuffleIndex>(v, lane, mask);
}
template <class T>
DEV T shfl_xor(T v, int m, uint32_t mask = ~0u) {
  return shuffle<ShuffleXor>(v, m, mask);
}
template <class T>
DEV T shfl_up(T v, int n, uint32_t mask = ~0u) {
  return shuffle<ShuffleUp>(v, n, mask);
}
template <class T>
DEV T shfl_down(T v, int n, uint32_t mask = ~0u) {
  return shuffle<ShuffleDown>(v, n, mask);
}
DEV uint32_t ballot(bool p, uint32_t mask = ~0u) { return __nvvm_vote_ballot_sync(mask, p); }

DEV float atomic_add(float* p, float v) { return __nvvm_atom_add_gen_f(p, v); }
DEV int atomic_add(int* p, int v) { return __nvvm_atom_add_gen_i(p, v); }
DEV int atomic_max(int* p, int v) { return __nvvm_atom_max_gen_i(p, v); }

// bf16, rounded to the nearest, ties to even.
DEV bf16 to_bf16(float v) {
  uint16_t r;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(v));
  return bf16{r};
}
DEV uint32_t pack_bf16(float lo, float hi) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
  return r;
}

template <class V = u32x4>
DEV V load16(const void* p) {
  static_assert(sizeof(V) == 16, "load16 loads 16 bytes");
  return *(const V*)p;
}
template <class V = u32x2>
DEV V load8(const void* p) {
  static_assert(sizeof(V) == 8, "load8 loads 8 bytes");
  return *(const V*)p;
}
template <class V>
DEV void store16(void* p, V v) {
  static_assert(sizeof(V) == 16, "store16 stores 16 bytes");
  *(V*)p = v;
}
template <class V>
DEV void store8(void* p, V v) {
  static_assert(sizeof(V) == 8, "store8 stores 8 bytes");
  *(V*)p = v;
}
DEV void store4(void* p, uint32_t v) { *(uint32_t*)p = v; }

// Address in the shared window, which the instructions below want.
DEV uint32_t shared_address(const void* p) {
  return (uint32_t)(uintptr_t)(const __attribute__((address_space(3))) void*)p;
}

// cp_async16 copies 16 bytes from global to shared memory in the background;
// where valid is false it writes zeros and reads nothing.
DEV void cp_async16(void* dst, const void* src, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(dst)), "l"(src), "r"(valid ? 16 : 0)
               : "memory");
}
DEV void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// cp_async_wait waits until at most n of this thread's newest groups are under way.
template <int n>
DEV void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

// ldmatrix: lane l gives the address of row l of the 8×8 matrices of 2-byte
// elements (x1 uses lanes 0–7, x2 0–15, x4 0–31) and gets elements 2·(l%4),
// 2·(l%4)+1 of row l/4 of matrix i in r[i]; _trans transposes each.
#define LDMATRIX(name, op, n, outs, address, ...)                                             \
  DEV void name(uint32_t (&r)[n], const void* row) {                                          \
    asm volatile("ldmatrix.sync.aligned.m8n8." op ".shared.b16 {" outs "}, [" address "];"    \
                 : __VA_ARGS__                                                                \
                 : "r"(shared_address(row))                                                   \
                 : "memory");                                                                 \
  }
#define LDMATRIX_SIZES(suffix, trans)                                                         \
  LDMATRIX(ldmatrix_x1##suffix, "x1" trans, 1, "%0", "%1", "=r"(r[0]))                        \
  LDMATRIX(ldmatrix_x2##suffix, "x2" trans, 2, "%0,%1", "%2", "=r"(r[0]), "=r"(r[1]))         \
  LDMATRIX(ldmatrix_x4##suffix, "x4" trans, 4, "%0,%1,%2,%3", "%4", "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]))
LDMATRIX_SIZES(, "")
LDMATRIX_SIZES(_trans, ".trans")

// mma_bf16: d [16, 8] += a [16, 16] · b [16, 8]. mma_tf32: the same with a
// [16, 8] and b [8, 8] of f32 words rounded by to_tf32. Fragments as the PTX
// manual lays them out.
DEV void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEV void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEV uint32_t to_tf32(float v) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
  return r;
}

// Approximate instructions: relative error about 2^-22 (tanh: 2^-11).
DEV float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEV float log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEV float rsqrt_fast(float x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEV float tanh_fast(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Correctly rounded.
DEV float fmadd(float a, float b, float c) { return __nvvm_fma_rn_f(a, b, c); }
DEV double fmadd(double a, double b, double c) { return __nvvm_fma_rn_d(a, b, c); }
DEV float sqrt_rn(float x) { return __nvvm_sqrt_rn_f(x); }
DEV double sqrt_rn(double x) { return __nvvm_sqrt_rn_d(x); }
DEV float rcp_rn(float x) { return __nvvm_rcp_rn_f(x); }
DEV float div_rn(float a, float b) { return __nvvm_div_rn_f(a, b); }
DEV double div_rn(double a, double b) { return __nvvm_div_rn_d(a, b); }
DEV float round_even(float x) { return __builtin_rintf(x); }
DEV double round_even(double x) { return __builtin_rint(x); }
