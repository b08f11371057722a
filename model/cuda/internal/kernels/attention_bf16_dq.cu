// attention_bf16_dq.cu: the gradient of the queries on the tensor cores, for
// bf16 and heads of 64, 80 and 128.
//
// A block owns 64 queries of a head and passes over the keys they see, 32 at a
// time in two stages: P again from lse, dP = do·vᵀ, dS = P·(dP - delta) in
// registers, dq += dS·k.
#include "attention_mma.h"

static constexpr int KEYS = 32;

template <int D>
DEV void query_gradient(bf16* dq, Layout dq_l, const GradientInputs& x, const Sequence& seq, int group, float scale) {
  typedef Padded<D> Tile;
  constexpr int OWN_TILE = OWN * Tile::pitch, PASSING = KEYS * Tile::pitch;
  DYNAMIC_SHARED(bf16, q_tile);
  bf16 *do_tile = q_tile + OWN_TILE, *stages = do_tile + OWN_TILE;
  int head = blockIdx.y, heads = gridDim.y, j0 = (gridDim.x - 1 - blockIdx.x) * OWN;  // the longest rows first
  if (j0 >= seq.lq) return;
  int queries = min(OWN, seq.lq - j0), last = seq.seen(j0 + queries - 1), seen_by_all = seq.seen(j0);
  const bf16* k = head_of(x.k, x.k_l, seq.k0, head / group * D);
  const bf16* v = head_of(x.v, x.v_l, seq.k0, head / group * D);
  auto load = [&](int i0) {
    bf16* stage = stages + i0 / KEYS % 2 * 2 * PASSING;
    load_rows<Tile, KEYS, THREADS>(stage, k + (int64_t)i0 * x.k_l.stride, x.k_l.stride, seq.lk - i0);
    load_rows<Tile, KEYS, THREADS>(stage + PASSING, v + (int64_t)i0 * x.v_l.stride, x.v_l.stride, seq.lk - i0);
  };
  load_rows<Tile, OWN, THREADS>(q_tile, head_of(x.q, x.q_l, seq.q0 + j0, head * D), x.q_l.stride, queries);
  load_rows<Tile, OWN, THREADS>(do_tile, head_of(x.grad, x.grad_l, seq.q0 + j0, head * D), x.grad_l.stride, queries);
  load(0);
  cp_async_commit();

  float rate = scale * LOG2E, lse2[2], delta[2], acc[D / 8][4] = {};
  int row = j0 + own_row(), seen[2];
  UNROLL for (int h = 0; h < 2; h++) {
    int j = min(row + h * 8, seq.lq - 1);
    seen[h] = seq.seen(j);
    lse2[h] = x.lse.at(seq.q0 + j, head) * LOG2E;
    delta[h] = x.delta[(int64_t)(seq.q0 + j) * heads + head];
  }
  for (int i0 = 0; i0 < last; i0 += KEYS) {
    if (i0 + KEYS < last) load(i0 + KEYS);
    cp_async_commit();
    cp_async_wait<1>();
    sync_threads();  // this stage is here
    const bf16 *k_tile = stages + i0 / KEYS % 2 * 2 * PASSING, *v_tile = k_tile + PASSING;
    float s[KEYS / 8][4], dp[KEYS / 8][4];
    times_transposed<Tile, D, KEYS>(s, q_tile, k_tile);
    times_transposed<Tile, D, KEYS>(dp, do_tile, v_tile);
    bool edge = i0 + KEYS > seen_by_all;
    UNROLL for (int n = 0; n < KEYS / 8; n++)
      UNROLL for (int e = 0; e < 4; e++) {
        float p = exp2_fast(fmadd(s[n][e], rate, -lse2[e / 2]));
        s[n][e] = edge && i0 + n * 8 + own_col() + e % 2 >= seen[e / 2] ? 0 : p * (dp[n][e] - delta[e / 2]);
      }
    add_product<Tile, D, KEYS>(acc, s, k_tile);
    sync_threads();  // the stage may be loaded again
  }
  UNROLL for (int h = 0; h < 2; h++)
    if (row + h * 8 < seq.lq) store_row<D>(head_of(dq, dq_l, seq.q0 + row + h * 8, head * D), acc, h, scale);
}

// Shared memory: (2·64 + 4·32)·2·(D rounded up to an odd number of 8) bytes.
#define ATTENTION_DQ_BF16(D)                                                                                       \
  KERNEL(attention_dq_bf16_##D, THREADS,                                                                           \
         (bf16 * dq, Layout dq_l, const bf16* grad, Layout grad_l, MAT(lse), const float* delta, const bf16* q,    \
          Layout q_l, const bf16* k, Layout k_l, const bf16* v, Layout v_l, SEQUENCES, float scale, int causal)) { \
    query_gradient<D>(dq, dq_l, {grad, grad_l, Mat(lse_p, lse_l), delta, q, q_l, k, k_l, v, v_l}, SEQUENCE,        \
                      group, scale);                                                                               \
  }

ATTENTION_DQ_BF16(64)
ATTENTION_DQ_BF16(80)
ATTENTION_DQ_BF16(128)
