// gemm_bf16.cu: matrix products of bf16 on the tensor cores with f32 sums
// (gemm.h says what they compute). The fallback where cuBLASLt is absent.
//
// Two tile shapes: 128×128 (8 warps of 64×32) feeds the tensor cores from 16
// KiB of shared memory for every 32 of k; 64×64 (4 warps of 32×32) gives small
// results four times as many blocks. Three stages keep two tiles on their way
// while one is used, and fit the 48 KiB that need no opt-in.
#include "gemm.h"
#include "tile.h"

static constexpr int BK = 32, STAGES = 3;

template <int BM, int BN, int WARPS_M, int WARPS_N, bool TA, bool TB>
DEV void gemm(const GemmResult& out, const bf16* a, Layout la, const bf16* b, Layout lb, int k, int k_part) {
  constexpr int THREADS = WARPS_M * WARPS_N * 32, WM = BM / WARPS_M, WN = BN / WARPS_N;
  constexpr int A_SIZE = BM * BK, STAGE = (BM + BN) * BK;
  typedef Swizzled<TA ? BM : BK> TileA;  // as a lies in memory
  typedef Swizzled<TB ? BK : BN> TileB;
  DYNAMIC_SHARED(bf16, smem);

  // Blocks that run at the same time should share rows of a and columns of b in
  // L2: walk the result in bands of 8 tile rows.
  int m = out.m, n = out.n, tiles_m = (m + BM - 1) / BM, tiles_n = (n + BN - 1) / BN;
  int band = blockIdx.x / (8 * tiles_n), in_band = blockIdx.x % (8 * tiles_n), high = min(8, tiles_m - band * 8);
  int m0 = (band * 8 + in_band % high) * BM, n0 = in_band / high * BN;
  int warp = warp_id(), wm = warp / WARPS_N * WM, wn = warp % WARPS_N * WN;

  bool a_aligned = aligned16(a, la), b_aligned = aligned16(b, lb);
  int k_from = blockIdx.y * k_part, k_to = min(k, k_from + k_part), steps = (k_to - k_from + BK - 1) / BK;
  auto load = [&](int step) {
    bf16 *at = smem + step % STAGES * STAGE, *bt = at + A_SIZE;
    int k0 = k_from + step * BK;
    if (TA)
      load_tile<TileA, BK, THREADS>(at, a, la.stride, k0, m0, k_to, m, a_aligned);
    else
      load_tile<TileA, BM, THREADS>(at, a, la.stride, m0, k0, m, k_to, a_aligned);
    if (TB)
      load_tile<TileB, BN, THREADS>(bt, b, lb.stride, n0, k0, n, k_to, b_aligned);
    else
      load_tile<TileB, BK, THREADS>(bt, b, lb.stride, k0, n0, k_to, n, b_aligned);
  };

  float acc[WM / 16][WN / 8][4] = {};
  UNROLL for (int s = 0; s < STAGES - 1; s++) {
    if (s < steps) load(s);
    cp_async_commit();  // an empty group keeps the count of groups even at the edges
  }
  for (int step = 0; step < steps; step++) {
    cp_async_wait<STAGES - 2>();  // this thread's part of the tile is here,
    sync_threads();               // everybody's is, and nobody reads the stage that is loaded next
    if (step + STAGES - 1 < steps) load(step + STAGES - 1);
    cp_async_commit();
    const bf16 *at = smem + step % STAGES * STAGE, *bt = at + A_SIZE;
    UNROLL for (int kk = 0; kk < BK; kk += 16) {
      uint32_t af[WM / 16][4], bf[WN / 16][2][2];
      UNROLL for (int i = 0; i < WM / 16; i++) frag_a<TileA, TA>(af[i], at, wm + i * 16, kk);
      UNROLL for (int j = 0; j < WN / 16; j++) frag_b<TileB, TB>(bf[j], bt, kk, wn + j * 16);
      UNROLL for (int i = 0; i < WM / 16; i++)
        UNROLL for (int j = 0; j < WN / 8; j++) mma_bf16(acc[i][j], af[i], bf[j / 2][j % 2]);
    }
  }

  // Every warp lays its sums out in shared memory, 16 rows at a time, so that a
  // lane owns a column and a store is one piece of a row.
  static_assert(WN == 32, "a lane owns a column");
  constexpr int PITCH = WN + 4;  // fewer lanes meet in a bank
  float* strip = (float*)smem + warp * 16 * PITCH;
  int lane = lane_id();
  cp_async_wait<0>();
  sync_threads();
  UNROLL for (int i = 0; i < WM / 16; i++) {
    UNROLL for (int j = 0; j < WN / 8; j++)
      UNROLL for (int e = 0; e < 4; e++)
        strip[((lane >> 2) + e / 2 * 8) * PITCH + j * 8 + (lane & 3) * 2 + e % 2] = acc[i][j][e];
    sync_warp();
#pragma unroll 1
    for (int r = 0; r < 16; r++) gemm_store(out, m0 + wm + i * 16 + r, n0 + wn + lane, strip[r * PITCH + lane]);
    sync_warp();
  }
}

// n and t say how a and b are taken, the number is the tile.
#define GEMM_BF16(name, bm, bn, wm, wn, ta, tb)                                                                 \
  KERNEL(name, wm * wn * 32,                                                                                    \
         (MAT(c), const bf16* a, Layout a_l, const bf16* b, Layout b_l, MAT(bias), float* parts, int m, int n, \
          int k, float alpha, float beta, int k_part)) {                                                        \
    GemmResult out = {Mat(c_p, c_l), Mat(bias_p, bias_l), parts, m, n, alpha, beta};                            \
    gemm<bm, bn, wm, wn, ta, tb>(out, a, a_l, b, b_l, k, k_part);                                               \
  }

GEMM_BF16(gemm_bf16_nn_128, 128, 128, 2, 4, false, false)
GEMM_BF16(gemm_bf16_nt_128, 128, 128, 2, 4, false, true)
GEMM_BF16(gemm_bf16_tn_128, 128, 128, 2, 4, true, false)
GEMM_BF16(gemm_bf16_tt_128, 128, 128, 2, 4, true, true)
GEMM_BF16(gemm_bf16_nn_64, 64, 64, 2, 2, false, false)
GEMM_BF16(gemm_bf16_nt_64, 64, 64, 2, 2, false, true)
GEMM_BF16(gemm_bf16_tn_64, 64, 64, 2, 2, true, false)
GEMM_BF16(gemm_bf16_tt_64, 64, 64, 2, 2, true, true)
