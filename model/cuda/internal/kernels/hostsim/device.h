// device.h: gpu.h for the host. See hostsim.h for what is simulated.
#pragma once
#include <string.h>

#include <atomic>
#include <utility>

#include "hostsim.h"

namespace hs {

// self is the running thread's own numbers.
struct Self {
  Dim thread, block, block_dim, grid_dim;
};
extern thread_local Self self;

// fail ends the launch with a message; it does not return.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
void check_aligned(const void* p, size_t n, const char* what);

void barrier();

// A warp operation takes place when every lane of its mask has arrived with
// the same function; the function then reads and writes the operands of all of
// them at once: args[lane] is what that lane passed.
typedef void (*WarpOp)(void* const* args, uint32_t mask);
void warp_op(WarpOp op, uint32_t mask, void* arg);

struct ShuffleArg {
  uint64_t value;
  int source;  // the lane to read
};
void shuffle_op(void* const* args, uint32_t mask);
struct BallotArg {
  uint32_t bit, all;
};
void ballot_op(void* const* args, uint32_t mask);
void sync_warp_op(void* const* args, uint32_t mask);
// check_row checks lane's address for an ldmatrix of n matrices.
void check_row(const void* row, int lane, int n);
struct MatrixArg {
  const void* row;
  uint32_t* r;
};
template <int n, bool trans>
void ldmatrix_op(void* const* args, uint32_t mask);
struct MmaArg {
  float* d;
  const uint32_t *a, *b;
};
void mma_bf16_op(void* const* args, uint32_t mask);
void mma_tf32_op(void* const* args, uint32_t mask);

// shared gives the one place in the block for the array of this site.
void* shared(const void* site, size_t bytes, size_t align);
void* dynamic_shared();

void cp_async(void* dst, const void* src, bool valid);
void cp_async_commit();
void cp_async_wait(int newest);

// Registration of kernels: the parameter types give the signature.
template <class T>
char letter() {
  if (std::is_pointer<T>::value) return 'p';
  if (std::is_same<T, float>::value) return 'f';
  if (std::is_same<T, double>::value) return 'd';
  if (std::is_same<T, Layout>::value) return 'v';
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a parameter takes 4 or 8 bytes");
  return sizeof(T) == 8 ? 'l' : 'i';
}
template <class... A>
std::string signature(void (*)(A...)) {
  return {letter<A>()...};
}
template <class... A, size_t... i>
void apply(void (*f)(A...), void* const* cells, std::index_sequence<i...>) {
  f(*(A*)cells[i]...);
}
template <class... A>
void apply(void (*f)(A...), void* const* cells) {
  apply(f, cells, std::index_sequence_for<A...>{});
}
struct Registered {
  explicit Registered(const Kernel& k);
};

}  // namespace hs

#define DEV static inline
#define KERNEL(name, threads, params)                                                        \
  static void name params;                                                                   \
  static hs::Registered registered_##name({#name, hs::signature(name), threads,              \
                                           [](void* const* cells) { hs::apply(name, cells); }}); \
  static void name params
#define SHARED(type, name, dims)     \
  typedef type name##_array dims;    \
  static const char name##_site = 0; \
  auto& name = *(name##_array*)hs::shared(&name##_site, sizeof(name##_array), alignof(type) < 16 ? 16 : alignof(type))
#define DYNAMIC_SHARED(type, name) type* name = (type*)hs::dynamic_shared()
#define DEV_METHOD
#define UNROLL
#define threadIdx (hs::self.thread)
#define blockIdx (hs::self.block)
#define blockDim (hs::self.block_dim)
#define gridDim (hs::self.grid_dim)

DEV void sync_threads() { hs::barrier(); }
DEV void sync_warp(uint32_t mask = ~0u) { hs::warp_op(hs::sync_warp_op, mask, nullptr); }

DEV int hs_lane() {
  return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31;
}
template <class T>
DEV T hs_shuffle(T v, int source, uint32_t mask) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles take 4 or 8 bytes");
  hs::ShuffleArg arg = {0, source};
  memcpy(&arg.value, &v, sizeof v);
  hs::warp_op(hs::shuffle_op, mask, &arg);
  memcpy(&v, &arg.value, sizeof v);
  return v;
}
template <class T>
DEV T shfl(T v, int lane, uint32_t mask = ~0u) {
  return hs_shuffle(v, lane & 31, mask);
}
template <class T>
DEV T shfl_xor(T v, int m, uint32_t mask = ~0u) {
  return hs_shuffle(v, (hs_lane() ^ m) & 31, mask);
}
template <class T>
DEV T shfl_up(T v, int n, uint32_t mask = ~0u) {
  return hs_shuffle(v, hs_lane() >= n ? hs_lane() - n : hs_lane(), mask);
}
template <class T>
DEV T shfl_down(T v, int n, uint32_t mask = ~0u) {
  return hs_shuffle(v, hs_lane() + n < 32 ? hs_lane() + n : hs_lane(), mask);
}
DEV uint32_t ballot(bool p, uint32_t mask = ~0u) {
  hs::BallotArg arg = {p, 0};
  hs::warp_op(hs::ballot_op, mask, &arg);
  return arg.all;
}

DEV int atomic_add(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
DEV float atomic_add(float* p, float v) {
  uint32_t old = __atomic_load_n((uint32_t*)p, __ATOMIC_RELAXED);
  for (;;) {
    uint32_t sum = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, old) + v);
    if (__atomic_compare_exchange_n((uint32_t*)p, &old, sum, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return __builtin_bit_cast(float, old);
  }
}
DEV int atomic_max(int* p, int v) {
  int old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}

// NaN becomes 0x7FFF, as the instruction does it.
DEV bf16 to_bf16(float v) {
  uint32_t u = __builtin_bit_cast(uint32_t, v);
  if ((u & 0x7FFFFFFFu) > 0x7F800000u) return bf16{0x7FFF};
  return bf16{(uint16_t)((u + 0x7FFFu + ((u >> 16) & 1)) >> 16)};
}
DEV uint32_t pack_bf16(float lo, float hi) { return (uint32_t)to_bf16(hi).bits << 16 | to_bf16(lo).bits; }

template <class V = u32x4>
DEV V load16(const void* p) {
  static_assert(sizeof(V) == 16, "load16 loads 16 bytes");
  hs::check_aligned(p, 16, "load16");
  return *(const V*)p;
}
template <class V = u32x2>
DEV V load8(const void* p) {
  static_assert(sizeof(V) == 8, "load8 loads 8 bytes");
  hs::check_aligned(p, 8, "load8");
  return *(const V*)p;
}
template <class V>
DEV void store16(void* p, V v) {
  static_assert(sizeof(V) == 16, "store16 stores 16 bytes");
  hs::check_aligned(p, 16, "store16");
  *(V*)p = v;
}
template <class V>
DEV void store8(void* p, V v) {
  static_assert(sizeof(V) == 8, "store8 stores 8 bytes");
  hs::check_aligned(p, 8, "store8");
  *(V*)p = v;
}
DEV void store4(void* p, uint32_t v) {
  hs::check_aligned(p, 4, "store4");
  *(uint32_t*)p = v;
}

DEV void cp_async16(void* dst, const void* src, bool valid = true) { hs::cp_async(dst, src, valid); }
DEV void cp_async_commit() { hs::cp_async_commit(); }
template <int n>
DEV void cp_async_wait() {
  hs::cp_async_wait(n);
}

#define LDMATRIX(name, n, trans)                        \
  DEV void name(uint32_t (&r)[n], const void* row) {    \
    hs::check_row(row, hs_lane(), n);                   \
    hs::MatrixArg arg = {row, r};                       \
    hs::warp_op(hs::ldmatrix_op<n, trans>, ~0u, &arg);  \
  }
LDMATRIX(ldmatrix_x1, 1, false)
LDMATRIX(ldmatrix_x2, 2, false)
LDMATRIX(ldmatrix_x4, 4, false)
LDMATRIX(ldmatrix_x1_trans, 1, true)
LDMATRIX(ldmatrix_x2_trans, 2, true)
LDMATRIX(ldmatrix_x4_trans, 4, true)

DEV void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  hs::MmaArg arg = {d, a, b};
  hs::warp_op(hs::mma_bf16_op, ~0u, &arg);
}
DEV void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  hs::MmaArg arg = {d, a, b};
  hs::warp_op(hs::mma_tf32_op, ~0u, &arg);
}
// to_tf32 rounds to 10 bits of mantissa, ties away from zero.
DEV uint32_t to_tf32(float v) {
  uint32_t u = __builtin_bit_cast(uint32_t, v);
  if ((u & 0x7F800000u) == 0x7F800000u) return u;
  return (u + 0x1000u) & ~0x1FFFu;
}

DEV float exp2_fast(float x) { return __builtin_exp2f(x); }
DEV float log2_fast(float x) { return __builtin_log2f(x); }
DEV float rsqrt_fast(float x) { return 1.f / __builtin_sqrtf(x); }
DEV float tanh_fast(float x) { return __builtin_tanhf(x); }

DEV float fmadd(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEV double fmadd(double a, double b, double c) { return __builtin_fma(a, b, c); }
DEV float sqrt_rn(float x) { return __builtin_sqrtf(x); }
DEV double sqrt_rn(double x) { return __builtin_sqrt(x); }
DEV float rcp_rn(float x) { return 1.f / x; }
DEV float div_rn(float a, float b) { return a / b; }
DEV double div_rn(double a, double b) { return a / b; }
DEV float round_even(float x) { return __builtin_rintf(x); }
DEV double round_even(double x) { return __builtin_rint(x); }
