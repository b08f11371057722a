// attention_mma.h: what the attention kernels for the tensor cores share. A
// block has 4 warps; each owns 16 rows of the block's 64, of which a lane holds
// rows g and g+8 (tile.h).
#pragma once
#include "attention.h"
#include "tile.h"

static constexpr int THREADS = 128, OWN = 64;

// GradientInputs are what the gradients of attention are made of.
struct GradientInputs {
  const bf16* grad;
  Layout grad_l;
  Mat lse;
  const float* delta;
  const bf16* q;
  Layout q_l;
  const bf16* k;
  Layout k_l;
  const bf16* v;
  Layout v_l;
};

// own_row is the first of a lane's two rows.
DEV int own_row() { return warp_id() * 16 + (lane_id() >> 2); }
// own_col is its first column in a C fragment; the second follows.
DEV int own_col() { return (lane_id() & 3) * 2; }

// head_of gives the first element of a head in a row.
DEV const bf16* head_of(const bf16* m, Layout l, int row, int col) { return m + (int64_t)row * l.stride + col; }
DEV bf16* head_of(bf16* m, Layout l, int row, int col) { return m + (int64_t)row * l.stride + col; }

// times_transposed: c [16, N] = own rows of a [OWN, D] · bᵀ, b a tile [N, D].
template <class Tile, int D, int N>
DEV void times_transposed(float (&c)[N / 8][4], const bf16* a_tile, const bf16* b_tile) {
  UNROLL for (int n = 0; n < N / 8; n++) UNROLL for (int e = 0; e < 4; e++) c[n][e] = 0;
  UNROLL for (int kk = 0; kk < D / 16; kk++) {
    uint32_t a[4], b[2][2];
    frag_a<Tile, false>(a, a_tile, warp_id() * 16, kk * 16);
    UNROLL for (int n = 0; n < N / 16; n++) {
      frag_b<Tile, true>(b, b_tile, kk * 16, n * 16);
      mma_bf16(c[2 * n], a, b[0]);
      mma_bf16(c[2 * n + 1], a, b[1]);
    }
  }
}

// add_product: acc [16, D] += a [16, K] · b, a in C fragments, b a tile [K, D].
template <class Tile, int D, int K>
DEV void add_product(float (&acc)[D / 8][4], const float (&a)[K / 8][4], const bf16* b_tile) {
  UNROLL for (int kk = 0; kk < K / 16; kk++) {
    uint32_t f[4], b[2][2];
    frag_a_of(f, a[2 * kk], a[2 * kk + 1]);
    UNROLL for (int n = 0; n < D / 16; n++) {
      frag_b<Tile, false>(b, b_tile, kk * 16, n * 16);
      mma_bf16(acc[2 * n], f, b[0]);
      mma_bf16(acc[2 * n + 1], f, b[1]);
    }
  }
}

// store_row writes the row of a lane that is half·8 below its first, times
// factor, to one row of a matrix.
template <int D>
DEV void store_row(bf16* row, const float (&acc)[D / 8][4], int half, float factor) {
  UNROLL for (int n = 0; n < D / 8; n++)
    store4(row + n * 8 + own_col(), pack_bf16(acc[n][half * 2] * factor, acc[n][half * 2 + 1] * factor));
}
