// selftest.cu: kernels that use every part of gpu.h, right and wrong, to test
// the simulated device itself (hostsim_test.go). Never shipped; it is compiled
// to PTX in the test only, to see that ptxas takes every instruction.
#include "gpu.h"

// out[i] = sum over the warp, then shuffles of each kind, the ballot of odd lanes.
KERNEL(warp_ops, 64, (float* out, double* wide, uint32_t* bits)) {
  int i = threadIdx.x, lane = lane_id();
  out[5 * i] = warp_sum((float)lane);
  out[5 * i + 1] = shfl((float)i, lane + 1);
  out[5 * i + 2] = shfl_up((float)i, 3);
  out[5 * i + 3] = shfl_down((float)i, 3);
  // Half of the warp by itself.
  out[5 * i + 4] = lane < 16 ? shfl_xor((float)i, 1, 0xFFFFu) : -1.f;
  wide[i] = warp_sum((double)i);
  bits[i] = ballot(lane & 1);
}

// c [16, 8] = a [16, 16] · b [8, 16]ᵀ through cp.async, ldmatrix and mma; ct
// uses b as [16, 8] with ldmatrix.trans.
KERNEL(tensor_core, 32, (float* c, float* ct, const bf16* a, const bf16* b, const bf16* b_rows)) {
  SHARED(bf16, sa, [16][16]);
  SHARED(bf16, sb, [8][16]);
  SHARED(bf16, sr, [16][8]);
  int lane = lane_id();
  cp_async16(&sa[lane / 2][lane % 2 * 8], a + lane * 8);
  cp_async_commit();
  cp_async16(&sb[lane % 16 / 2][lane % 2 * 8], b + lane % 16 * 8, true);
  cp_async16(&sr[lane % 16][0], b_rows + lane % 16 * 8, true);
  cp_async_commit();
  cp_async_wait<0>();
  sync_threads();
  uint32_t fa[4], fb[2], one[1];
  ldmatrix_x4(fa, &sa[lane % 16][lane / 16 * 8]);
  ldmatrix_x2(fb, &sb[lane % 8][lane / 8 % 2 * 8]);
  float d[4] = {}, e[4] = {};
  mma_bf16(d, fa, fb);
  ldmatrix_x1(one, &sb[lane % 8][0]);
  if (one[0] != fb[0]) d[0] = infinity();
  ldmatrix_x2_trans(fb, &sr[lane % 16][0]);
  mma_bf16(e, fa, fb);
  ldmatrix_x1_trans(one, &sr[lane % 8][0]);
  if (one[0] != fb[0]) e[0] = infinity();
  ldmatrix_x4_trans(fa, &sa[lane % 16][lane / 16 * 8]);
  for (int i = 0; i < 4; i++) {
    int at = (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
    c[at] = d[i];
    ct[at] = e[i];
  }
}

// c [16, 8] = a [16, 8] · b [8, 8] (b by rows) in tf32.
KERNEL(tensor_core_tf32, 32, (float* c, const float* a, const float* b)) {
  int g = lane_id() / 4, t = lane_id() % 4;
  uint32_t fa[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]), to_tf32(a[(g + 8) * 8 + t + 4])};
  uint32_t fb[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
  float d[4] = {};
  mma_tf32(d, fa, fb);
  for (int i = 0; i < 4; i++) c[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = d[i];
}

// Reverses the block's threads through dynamic shared memory; with the barrier
// left out some schedules read poison.
template <bool with_barrier>
DEV void reverse(int* out) {
  DYNAMIC_SHARED(int, buf);
  buf[threadIdx.x] = threadIdx.x;
  if (with_barrier) sync_threads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = buf[blockDim.x - 1 - threadIdx.x];
}
KERNEL(reverse_good, 128, (int* out)) { reverse<true>(out); }
KERNEL(reverse_no_barrier, 128, (int* out)) { reverse<false>(out); }

KERNEL(copy_no_wait, 32, (float* out, const float* in)) {
  SHARED(float, buf, [128]);
  cp_async16(&buf[4 * threadIdx.x], in + 4 * threadIdx.x);
  cp_async_commit();
  out[threadIdx.x] = buf[4 * threadIdx.x];
  cp_async_wait<0>();
}
KERNEL(copy_zero, 32, (float* out)) {
  SHARED(float, buf, [128]);
  cp_async16(&buf[4 * threadIdx.x], nullptr, false);
  cp_async_commit();
  cp_async_wait<0>();
  out[threadIdx.x] = buf[4 * threadIdx.x];
}

KERNEL(atomics, 64, (float* sum, int* count, int* top)) {
  atomic_add(sum, 1.f);
  atomic_add(count, 2);
  atomic_max(top, (int)(threadIdx.x + blockIdx.x));
}

KERNEL(conversions, 32, (uint32_t* out, const float* in)) {
  int i = threadIdx.x;
  out[3 * i] = to_bf16(in[i]).bits;
  out[3 * i + 1] = pack_bf16(in[i], 1.f);
  out[3 * i + 2] = to_tf32(in[i]);
}

KERNEL(approximations, 32, (float* out, const float* in)) {
  float x = in[threadIdx.x];
  float* o = out + 4 * threadIdx.x;
  o[0] = exp2_fast(x), o[1] = log2_fast(x), o[2] = rsqrt_fast(x), o[3] = tanh_fast(x);
}

// Mistakes.
KERNEL(bad_barrier, 64, (int* out)) {
  if (threadIdx.x < 40) sync_threads();
  out[threadIdx.x] = 1;
}
KERNEL(bad_shuffle, 64, (float* out)) {
  if (lane_id() < 9) out[threadIdx.x] = warp_sum(1.f);
}
KERNEL(bad_partial_warp, 64, (float* out)) { out[threadIdx.x] = warp_sum(1.f); }
KERNEL(bad_alignment, 32, (float* out)) { store16(out + threadIdx.x, f32x4{}); }
KERNEL(bad_shared_index, 32, (float* out)) {
  SHARED(float, buf, [32]);
  buf[threadIdx.x + 1] = 1;
  out[threadIdx.x] = buf[threadIdx.x];
}
KERNEL(bad_global_index, 32, (float* out)) { out[threadIdx.x + 1] = 1; }
KERNEL(bad_dynamic_index, 32, (float* out)) {
  DYNAMIC_SHARED(float, buf);
  buf[threadIdx.x + 1] = 1;
  out[threadIdx.x] = buf[threadIdx.x];
}
