// gemm_f32.cu: matrix products in true f32 (gemm.h says what they compute):
// FMAs of f32, nothing is rounded to tf32. gemm_any also takes bf16 for either
// operand. Slower than the tensor cores by an order of magnitude.
//
// A block of 256 threads makes 64×64 of c, a thread 4×4: 16 FMAs for two
// 16-byte loads from shared memory. The next 16 of k wait in registers
// meanwhile.
#include "gemm.h"

static constexpr int TILE = 64, K_STEP = 16, PITCH = TILE + 4;  // rows stay on 16 bytes, columns change banks

// Operand is a, or b transposed: element (i, p), p along k. p_rows says that p
// is the row of x.
struct Operand {
  Mat x;
  bool p_rows;
  int i0, rows;
};

// place gives element e of this thread in a tile [TILE, K_STEP] so that
// neighbouring threads read neighbouring addresses.
DEV void place(const Operand& o, int e, int& i, int& p) {
  int at = threadIdx.x + e * 256;
  i = o.p_rows ? at % TILE : at / K_STEP;
  p = o.p_rows ? at / TILE : at % K_STEP;
}
DEV void fetch(float (&r)[4], const Operand& o, int k0, int k_to) {
  UNROLL for (int e = 0; e < 4; e++) {
    int i, p;
    place(o, e, i, p);
    bool in = o.i0 + i < o.rows && k0 + p < k_to;
    r[e] = !in ? 0.f : o.p_rows ? o.x.at(k0 + p, o.i0 + i) : o.x.at(o.i0 + i, k0 + p);
  }
}
DEV void put(float* tile, const float (&r)[4], const Operand& o) {
  UNROLL for (int e = 0; e < 4; e++) {
    int i, p;
    place(o, e, i, p);
    tile[p * PITCH + i] = r[e];
  }
}

DEV void gemm_fma(const GemmResult& out, Operand a, Operand b, int k, int k_part) {
  SHARED(f32x4, a_tile, [K_STEP * PITCH / 4]);
  SHARED(f32x4, b_tile, [K_STEP * PITCH / 4]);
  float *at = (float*)a_tile, *bt = (float*)b_tile;
  int tiles_n = (out.n + TILE - 1) / TILE, ty = threadIdx.x / 16 * 4, tx = threadIdx.x % 16 * 4;
  int k_from = blockIdx.y * k_part, k_to = min(k, k_from + k_part);
  a.i0 = blockIdx.x / tiles_n * TILE, b.i0 = blockIdx.x % tiles_n * TILE;

  float acc[4][4] = {}, ra[4], rb[4];
  fetch(ra, a, k_from, k_to);
  fetch(rb, b, k_from, k_to);
  for (int k0 = k_from; k0 < k_to; k0 += K_STEP) {
    put(at, ra, a);
    put(bt, rb, b);
    sync_threads();  // the tiles are complete
    fetch(ra, a, k0 + K_STEP, k_to);
    fetch(rb, b, k0 + K_STEP, k_to);
    UNROLL for (int p = 0; p < K_STEP; p++) {
      f32x4 x = load16<f32x4>(at + p * PITCH + ty), y = load16<f32x4>(bt + p * PITCH + tx);
      UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < 4; j++) acc[i][j] = fmadd(x[i], y[j], acc[i][j]);
    }
    sync_threads();  // everybody has read them
  }
  UNROLL for (int i = 0; i < 4; i++)
    UNROLL for (int j = 0; j < 4; j++) gemm_store(out, a.i0 + ty + i, b.i0 + tx + j, acc[i][j]);
}

#define GEMM_PARAMETERS                                                                                           \
  (MAT(c), MAT(a), MAT(b), MAT(bias), float* parts, int m, int n, int k, float alpha, float beta, int k_part,   \
   int trans_a, int trans_b)

KERNEL(gemm_any, 256, GEMM_PARAMETERS) {
  GemmResult out = {Mat(c_p, c_l), Mat(bias_p, bias_l), parts, m, n, alpha, beta};
  gemm_fma(out, {Mat(a_p, a_l), trans_a != 0, 0, m}, {Mat(b_p, b_l), trans_b == 0, 0, n}, k, k_part);
}

KERNEL(gemm_f32, 256, GEMM_PARAMETERS) {
  a_l.dtype = b_l.dtype = F32;  // the compiler drops the other branch
  GemmResult out = {Mat(c_p, c_l), Mat(bias_p, bias_l), parts, m, n, alpha, beta};
  gemm_fma(out, {Mat(a_p, a_l), trans_a != 0, 0, m}, {Mat(b_p, b_l), trans_b == 0, 0, n}, k, k_part);
}

// gemm_combine makes c of the parts of a product that was split over k.
KERNEL(gemm_combine, 256,
       (MAT(c), MAT(bias), const float* parts, int m, int n, float alpha, float beta, int splits)) {
  GemmResult out = {Mat(c_p, c_l), Mat(bias_p, bias_l), nullptr, m, n, alpha, beta};
  int64_t size = (int64_t)m * n;
  for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < size; i += (int64_t)gridDim.x * blockDim.x) {
    float sum = 0;
    for (int s = 0; s < splits; s++) sum += parts[s * size + i];
    gemm_finish(out, i / n, i % n, sum);
  }
}
