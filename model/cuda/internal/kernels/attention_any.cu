// attention_any.cu: attention for any head size and element type, in f32
// throughout: what attention_bf16.cu and its backward pass do not cover. Also
// delta, which both backward passes begin with.
//
// A block has 4 warps and works on 16 queries of one head of one sequence
// (forward, dq) or on 32 keys (dk, dv), and meets the others 32 keys or 16
// queries at a time. In a product of queries and keys a lane owns a key and a
// warp 4 queries; elsewhere a lane owns a column of the head.
#include "attention.h"

static constexpr int QUERIES = 16, KEYS = 32, THREADS = 128, PER_WARP = 4;

DEV float exp_fast(float x) { return exp2_fast(x * LOG2E); }

// load copies rows [row, row+n) of one head to shared memory; the rest of the
// tile's rows become 0: what lies outside the sequence may be NaN.
DEV void load(float* tile, int pitch, int tile_rows, const Mat& m, int row, int n, int col, int dim) {
  for (int i = threadIdx.x; i < tile_rows * dim; i += THREADS) {
    int r = i / dim, c = i % dim;
    tile[r * pitch + c] = r < n ? m.at(row + r, col + c) : 0.f;
  }
}

// scores: s[i] = query i of this warp · key of this lane.
DEV void scores(float (&s)[PER_WARP], const float* queries, const float* keys, int pitch, int dim) {
  const float *q = queries + warp_id() * PER_WARP * dim, *k = keys + lane_id() * pitch;
  UNROLL for (int i = 0; i < PER_WARP; i++) s[i] = 0;
  for (int c = 0; c < dim; c++) {
    float x = k[c];
    UNROLL for (int i = 0; i < PER_WARP; i++) s[i] = fmadd(q[i * dim + c], x, s[i]);
  }
}

// Shared memory: 4·(32·dim + 32·(dim|1) + 512) bytes. Rows of keys are an odd
// number of floats apart so that the lanes of scores read different banks.
KERNEL(attention_any, THREADS,
       (MAT(o), MAT(lse), MAT(q), MAT(k), MAT(v), SEQUENCES, int dim, float scale, int causal)) {
  USE(o);
  USE(lse);
  USE(q);
  USE(k);
  USE(v);
  Sequence seq = SEQUENCE;
  int head = blockIdx.y, kv_col = head / group * dim, j0 = blockIdx.x * QUERIES, pitch = dim | 1;
  if (j0 >= seq.lq) return;
  int queries = min(QUERIES, seq.lq - j0), last = seq.seen(j0 + queries - 1);
  DYNAMIC_SHARED(float, smem);
  float *q_tile = smem, *acc = q_tile + QUERIES * dim, *kv_tile = acc + QUERIES * dim, *probs = kv_tile + KEYS * pitch;
  int lane = lane_id(), first = warp_id() * PER_WARP;  // this warp's queries

  load(q_tile, dim, QUERIES, q, seq.q0 + j0, queries, head * dim, dim);
  for (int i = threadIdx.x; i < QUERIES * dim; i += THREADS) acc[i] = 0;
  float top[PER_WARP], sum[PER_WARP], keep[PER_WARP], s[PER_WARP];
  UNROLL for (int i = 0; i < PER_WARP; i++) top[i] = -infinity(), sum[i] = 0;

  for (int i0 = 0; i0 < last; i0 += KEYS) {
    sync_threads();  // the values of the last round have been read
    load(kv_tile, pitch, KEYS, k, seq.k0 + i0, seq.lk - i0, kv_col, dim);
    sync_threads();
    scores(s, q_tile, kv_tile, pitch, dim);
    UNROLL for (int i = 0; i < PER_WARP; i++) {
      float score = i0 + lane < seq.seen(j0 + first + i) ? s[i] * scale : -infinity();
      float higher = max(top[i], warp_max(score)), base = higher == -infinity() ? 0 : higher;
      float p = exp_fast(score - base);
      keep[i] = exp_fast(top[i] - base);
      top[i] = higher;
      sum[i] = fmadd(sum[i], keep[i], warp_sum(p));
      probs[(first + i) * KEYS + lane] = p;
    }
    sync_threads();  // the keys have been read
    load(kv_tile, pitch, KEYS, v, seq.k0 + i0, seq.lk - i0, kv_col, dim);
    sync_threads();
    UNROLL for (int i = 0; i < PER_WARP; i++)
      for (int c = lane; c < dim; c += 32) {
        float a = acc[(first + i) * dim + c] * keep[i];
        for (int key = 0; key < KEYS; key++) a = fmadd(probs[(first + i) * KEYS + key], kv_tile[key * pitch + c], a);
        acc[(first + i) * dim + c] = a;
      }
  }

  sync_threads();
  UNROLL for (int i = 0; i < PER_WARP && first + i < queries; i++) {
    int row = seq.q0 + j0 + first + i;
    for (int c = lane; c < dim; c += 32)
      o.set(row, head * dim + c, sum[i] > 0 ? div_rn(acc[(first + i) * dim + c], sum[i]) : sum[i]);
    if (lse.given() && lane == 0) lse.set(row, head, fmadd(log2_fast(sum[i]), LN2, top[i]));
  }
}

// attention_delta: delta[row, head] = Σ do·o over the head, a warp each.
KERNEL(attention_delta, 256, (float* delta, MAT(grad), MAT(o), int rows, int heads, int dim)) {
  USE(grad);
  USE(o);
  int64_t pairs = (int64_t)rows * heads;
  int warps = blockDim.x / 32;
  for (int64_t i = (int64_t)blockIdx.x * warps + warp_id(); i < pairs; i += (int64_t)gridDim.x * warps) {
    int row = i / heads, col = i % heads * dim;
    float sum = 0;
    for (int c = lane_id(); c < dim; c += 32) sum = fmadd(grad.at(row, col + c), o.at(row, col + c), sum);
    sum = warp_sum(sum);
    if (lane_id() == 0) delta[i] = sum;
  }
}

// With P the probabilities, recomputed from lse: dS = P·(do·vᵀ - delta),
// dq = scale·dS·k. Shared memory: 4·(48·dim + 32·(dim|1) + 512) bytes.
KERNEL(attention_dq_any, THREADS,
       (MAT(dq), MAT(grad), MAT(lse), const float* delta, MAT(q), MAT(k), MAT(v), SEQUENCES, int dim, float scale, int causal)) {
  USE(dq);
  USE(grad);
  USE(lse);
  USE(q);
  USE(k);
  USE(v);
  Sequence seq = SEQUENCE;
  int head = blockIdx.y, heads = gridDim.y, kv_col = head / group * dim, j0 = blockIdx.x * QUERIES, pitch = dim | 1;
  if (j0 >= seq.lq) return;
  int queries = min(QUERIES, seq.lq - j0), last = seq.seen(j0 + queries - 1);
  DYNAMIC_SHARED(float, smem);
  float *q_tile = smem, *do_tile = q_tile + QUERIES * dim, *acc = do_tile + QUERIES * dim,
        *kv_tile = acc + QUERIES * dim, *ds = kv_tile + KEYS * pitch;
  int lane = lane_id(), first = warp_id() * PER_WARP;

  load(q_tile, dim, QUERIES, q, seq.q0 + j0, queries, head * dim, dim);
  load(do_tile, dim, QUERIES, grad, seq.q0 + j0, queries, head * dim, dim);
  for (int i = threadIdx.x; i < QUERIES * dim; i += THREADS) acc[i] = 0;
  for (int i0 = 0; i0 < last; i0 += KEYS) {
    float s[PER_WARP], dp[PER_WARP];
    sync_threads();  // the keys of the last round have been read
    load(kv_tile, pitch, KEYS, v, seq.k0 + i0, seq.lk - i0, kv_col, dim);
    sync_threads();
    scores(dp, do_tile, kv_tile, pitch, dim);
    sync_threads();
    load(kv_tile, pitch, KEYS, k, seq.k0 + i0, seq.lk - i0, kv_col, dim);
    sync_threads();
    scores(s, q_tile, kv_tile, pitch, dim);
    UNROLL for (int i = 0; i < PER_WARP; i++) {
      int j = j0 + first + i, row = seq.q0 + j;
      bool sees = j < seq.lq && i0 + lane < seq.seen(j);
      float p = sees ? exp_fast(fmadd(s[i], scale, -lse.at(row, head))) : 0;
      ds[(first + i) * KEYS + lane] = sees ? p * (dp[i] - delta[(int64_t)row * heads + head]) : 0;
    }
    sync_warp();
    UNROLL for (int i = 0; i < PER_WARP; i++)
      for (int c = lane; c < dim; c += 32) {
        float a = acc[(first + i) * dim + c];
        for (int key = 0; key < KEYS; key++) a = fmadd(ds[(first + i) * KEYS + key], kv_tile[key * pitch + c], a);
        acc[(first + i) * dim + c] = a;
      }
  }
  sync_threads();
  for (int i = threadIdx.x; i < queries * dim; i += THREADS)
    dq.set(seq.q0 + j0 + i / dim, head * dim + i % dim, scale * acc[i]);
}

// dv = Pᵀ·do, dk = scale·dSᵀ·q, summed over the query heads of a key head by
// one block, so in one order. Shared memory: 4·(96·dim + 64·(dim|1) + 1024)
// bytes.
KERNEL(attention_dkv_any, THREADS,
       (MAT(dk), MAT(dv), MAT(grad), MAT(lse), const float* delta, MAT(q), MAT(k), MAT(v), SEQUENCES, int dim, float scale, int causal)) {
  USE(dk);
  USE(dv);
  USE(grad);
  USE(lse);
  USE(q);
  USE(k);
  USE(v);
  Sequence seq = SEQUENCE;
  int kv_head = blockIdx.y, heads = gridDim.y * group, i0 = blockIdx.x * KEYS, pitch = dim | 1;
  if (i0 >= seq.lk) return;
  int keys = min(KEYS, seq.lk - i0);
  DYNAMIC_SHARED(float, smem);
  float *k_tile = smem, *v_tile = k_tile + KEYS * pitch, *dk_acc = v_tile + KEYS * pitch, *dv_acc = dk_acc + KEYS * dim,
        *q_tile = dv_acc + KEYS * dim, *do_tile = q_tile + QUERIES * dim, *probs = do_tile + QUERIES * dim,
        *ds = probs + QUERIES * KEYS;
  int lane = lane_id(), first = warp_id() * PER_WARP;

  load(k_tile, pitch, KEYS, k, seq.k0 + i0, keys, kv_head * dim, dim);
  load(v_tile, pitch, KEYS, v, seq.k0 + i0, keys, kv_head * dim, dim);
  for (int i = threadIdx.x; i < 2 * KEYS * dim; i += THREADS) dk_acc[i] = 0;
  int from = seq.first_query(i0) / QUERIES * QUERIES;
  for (int head = kv_head * group; head < (kv_head + 1) * group; head++) {
    for (int j0 = from; j0 < seq.lq; j0 += QUERIES) {
      float s[PER_WARP], dp[PER_WARP];
      sync_threads();  // the queries of the last round have been read
      load(q_tile, dim, QUERIES, q, seq.q0 + j0, seq.lq - j0, head * dim, dim);
      load(do_tile, dim, QUERIES, grad, seq.q0 + j0, seq.lq - j0, head * dim, dim);
      sync_threads();
      scores(s, q_tile, k_tile, pitch, dim);
      scores(dp, do_tile, v_tile, pitch, dim);
      UNROLL for (int i = 0; i < PER_WARP; i++) {
        int j = j0 + first + i, row = seq.q0 + j;
        bool sees = j < seq.lq && i0 + lane < seq.seen(j);
        float p = sees ? exp_fast(fmadd(s[i], scale, -lse.at(row, head))) : 0;
        probs[(first + i) * KEYS + lane] = p;
        ds[(first + i) * KEYS + lane] = sees ? p * (dp[i] - delta[(int64_t)row * heads + head]) : 0;
      }
      sync_threads();  // every warp's probabilities are here
      for (int i = threadIdx.x; i < KEYS * dim; i += THREADS) {
        int key = i / dim, c = i % dim;
        float a = dk_acc[i], b = dv_acc[i];
        for (int j = 0; j < QUERIES; j++) {
          a = fmadd(ds[j * KEYS + key], q_tile[j * dim + c], a);
          b = fmadd(probs[j * KEYS + key], do_tile[j * dim + c], b);
        }
        dk_acc[i] = a, dv_acc[i] = b;
      }
    }
  }
  for (int i = threadIdx.x; i < keys * dim; i += THREADS) {
    int row = seq.k0 + i0 + i / dim, col = kv_head * dim + i % dim;
    dk.set(row, col, scale * dk_acc[i]);
    dv.set(row, col, dv_acc[i]);
  }
}
