// attention_bf16_dkv.cu: the gradients of the keys and values on the tensor
// cores, for bf16 and heads of 64, 80 and 128.
//
// A block owns 64 keys of a key head and passes over the queries that see them,
// 32 at a time in two stages, one query head of its group after the other: so
// each sum is made by one block in one order. Everything is transposed, keys
// are rows: Sᵀ = k·qᵀ and dPᵀ = v·doᵀ are made where they are used, as the A
// operands of dv += Pᵀ·do and dk += dSᵀ·q.
#include "attention_mma.h"

static constexpr int QUERIES = 32;

template <int D>
DEV void key_gradients(bf16* dk_out, Layout dk_l, bf16* dv_out, Layout dv_l, const GradientInputs& x, const Sequence& seq,
                       int group, float scale) {
  typedef Padded<D> Tile;
  constexpr int OWN_TILE = OWN * Tile::pitch, PASSING = QUERIES * Tile::pitch;
  DYNAMIC_SHARED(bf16, k_tile);
  bf16 *v_tile = k_tile + OWN_TILE, *stages = v_tile + OWN_TILE;
  float* all_stats = (float*)(stages + 4 * PASSING);  // lse and delta of the queries of each stage
  int kv_head = blockIdx.y, heads = gridDim.y * group, i0 = blockIdx.x * OWN;
  if (i0 >= seq.lk) return;
  // Round t is queries j0(t)… of head kv_head·group + t/rounds.
  int from = seq.first_query(i0) / QUERIES * QUERIES, rounds = max(0, (seq.lq - from + QUERIES - 1) / QUERIES);
  auto load = [&](int t) {
    int head = kv_head * group + t / rounds, j0 = from + t % rounds * QUERIES;
    bf16* stage = stages + t % 2 * 2 * PASSING;
    load_rows<Tile, QUERIES, THREADS>(stage, head_of(x.q, x.q_l, seq.q0 + j0, head * D), x.q_l.stride, seq.lq - j0);
    load_rows<Tile, QUERIES, THREADS>(stage + PASSING, head_of(x.grad, x.grad_l, seq.q0 + j0, head * D), x.grad_l.stride,
                                      seq.lq - j0);
    if (threadIdx.x < QUERIES) {
      int row = seq.q0 + min(j0 + (int)threadIdx.x, seq.lq - 1);
      float* stats = all_stats + t % 2 * 2 * QUERIES + threadIdx.x;
      stats[0] = x.lse.at(row, head) * LOG2E;
      stats[QUERIES] = x.delta[(int64_t)row * heads + head];
    }
  };
  load_rows<Tile, OWN, THREADS>(k_tile, head_of(x.k, x.k_l, seq.k0 + i0, kv_head * D), x.k_l.stride, seq.lk - i0);
  load_rows<Tile, OWN, THREADS>(v_tile, head_of(x.v, x.v_l, seq.k0 + i0, kv_head * D), x.v_l.stride, seq.lk - i0);
  if (rounds > 0) load(0);
  cp_async_commit();

  float rate = scale * LOG2E, dk[D / 8][4] = {}, dv[D / 8][4] = {};
  int row = i0 + own_row();
  for (int t = 0; t < rounds * group; t++) {
    if (t + 1 < rounds * group) load(t + 1);
    cp_async_commit();
    cp_async_wait<1>();
    sync_threads();  // this stage is here
    const bf16 *q_tile = stages + t % 2 * 2 * PASSING, *do_tile = q_tile + PASSING;
    const float* stats = all_stats + t % 2 * 2 * QUERIES;
    int j0 = from + t % rounds * QUERIES;
    bool edge = j0 + QUERIES > seq.lq || seq.seen(j0) < i0 + OWN;
    float p[QUERIES / 8][4], ds[QUERIES / 8][4];
    times_transposed<Tile, D, QUERIES>(p, k_tile, q_tile);
    times_transposed<Tile, D, QUERIES>(ds, v_tile, do_tile);
    UNROLL for (int n = 0; n < QUERIES / 8; n++)
      UNROLL for (int e = 0; e < 4; e++) {
        int col = n * 8 + own_col() + e % 2, j = j0 + col;
        bool hidden = edge && (j >= seq.lq || row + e / 2 * 8 >= seq.seen(j));
        p[n][e] = hidden ? 0 : exp2_fast(fmadd(p[n][e], rate, -stats[col]));
        ds[n][e] = hidden ? 0 : p[n][e] * (ds[n][e] - stats[QUERIES + col]);
      }
    add_product<Tile, D, QUERIES>(dv, p, do_tile);
    add_product<Tile, D, QUERIES>(dk, ds, q_tile);
    sync_threads();  // the stage may be loaded again
  }
  UNROLL for (int h = 0; h < 2; h++) {
    if (row + h * 8 >= seq.lk) continue;
    store_row<D>(head_of(dk_out, dk_l, seq.k0 + row + h * 8, kv_head * D), dk, h, scale);
    store_row<D>(head_of(dv_out, dv_l, seq.k0 + row + h * 8, kv_head * D), dv, h, 1);
  }
}

// Shared memory: (2·64 + 4·32)·2·(D rounded up to an odd number of 8) + 512 bytes.
#define ATTENTION_DKV_BF16(D)                                                                                     \
  KERNEL(attention_dkv_bf16_##D, THREADS,                                                                         \
         (bf16 * dk, Layout dk_l, bf16 * dv, Layout dv_l, const bf16* grad, Layout grad_l, MAT(lse),              \
          const float* delta, const bf16* q, Layout q_l, const bf16* k, Layout k_l, const bf16* v, Layout v_l,    \
          SEQUENCES, float scale, int causal)) {                                                                  \
    key_gradients<D>(dk, dk_l, dv, dv_l, {grad, grad_l, Mat(lse_p, lse_l), delta, q, q_l, k, k_l, v, v_l},        \
                     SEQUENCE, group, scale);                                                                     \
  }

ATTENTION_DKV_BF16(64)
ATTENTION_DKV_BF16(80)
ATTENTION_DKV_BF16(128)
