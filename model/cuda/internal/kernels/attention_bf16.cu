// attention_bf16.cu: flash attention on the tensor cores, forward, for bf16 and
// heads of 64, 80 and 128.
//
// A block has 4 warps of 16 queries each and passes over the keys 64 at a time
// with a running maximum and sum (online softmax, in base 2): scores live in
// registers only, and become the A operand of the product with the values as
// they are. Keys and values have one tile each: the values travel while the
// scores are made, the next keys while the values are used. The queries pass
// through the values' tile into registers at the start.
//
// Pointers must lie on 16 bytes, strides be multiples of 8, the scale positive;
// attention_any takes everything else.
#include "attention_mma.h"

static constexpr int QUERIES = OWN, KEYS = 64;

// Running is what a lane knows of its two rows, g and g+8 of its warp: the
// maximum of the scores, and its own share of the sum of exponentials.
struct Running {
  float top[2], sum[2];
};

// mask hides the keys that rows row and row+8 do not see.
DEV void mask(float (&s)[KEYS / 8][4], int i0, int row, const Sequence& seq) {
  int col = i0 + own_col(), limit[2] = {seq.seen(row), seq.seen(row + 8)};
  UNROLL for (int n = 0; n < KEYS / 8; n++)
    UNROLL for (int e = 0; e < 4; e++)
      if (col + n * 8 + e % 2 >= limit[e / 2]) s[n][e] = -infinity();
}

// soften turns scores into exp2(rate·(score - top)) for the new top, and gives
// in keep what the sums so far shrink by.
DEV void soften(float (&s)[KEYS / 8][4], Running& run, float (&keep)[2], float rate) {
  UNROLL for (int row = 0; row < 2; row++) {
    float top = run.top[row];
    UNROLL for (int n = 0; n < KEYS / 8; n++) top = max(top, max(s[n][row * 2], s[n][row * 2 + 1]));
    top = max(top, shfl_xor(top, 1));  // the four lanes of a row
    top = max(top, shfl_xor(top, 2));
    float base = top == -infinity() ? 0 : -top * rate;  // no key seen yet: -Inf - -Inf is NaN
    keep[row] = exp2_fast(fmadd(run.top[row], rate, base));
    float sum = run.sum[row] * keep[row];
    UNROLL for (int n = 0; n < KEYS / 8; n++)
      UNROLL for (int e = row * 2; e < row * 2 + 2; e++) {
        s[n][e] = exp2_fast(fmadd(s[n][e], rate, base));
        sum += s[n][e];
      }
    run.top[row] = top, run.sum[row] = sum;
  }
}

struct Operands {
  bf16* o;
  Layout o_l;
  Mat lse;
  const bf16* q;
  Layout q_l;
  const bf16* k;
  Layout k_l;
  const bf16* v;
  Layout v_l;
};

template <int D>
DEV void attend(const Operands& x, const Sequence& seq, int group, float scale) {
  typedef Padded<D> Tile;
  constexpr int TILE = KEYS * Tile::pitch;
  DYNAMIC_SHARED(bf16, k_tile);
  bf16* v_tile = k_tile + TILE;
  // The longest rows of a causal sequence come last; they begin first.
  int head = blockIdx.y, j0 = (gridDim.x - 1 - blockIdx.x) * QUERIES;
  if (j0 >= seq.lq) return;
  int queries = min(QUERIES, seq.lq - j0), last = seq.seen(j0 + queries - 1);
  const bf16* q = head_of(x.q, x.q_l, seq.q0 + j0, head * D);
  const bf16* k = head_of(x.k, x.k_l, seq.k0, head / group * D);
  const bf16* v = head_of(x.v, x.v_l, seq.k0, head / group * D);

  load_rows<Tile, QUERIES, THREADS>(v_tile, q, x.q_l.stride, queries);
  cp_async_commit();
  load_rows<Tile, KEYS, THREADS>(k_tile, k, x.k_l.stride, seq.lk);
  cp_async_commit();
  cp_async_wait<1>();
  sync_threads();
  uint32_t qf[D / 16][4];
  UNROLL for (int kk = 0; kk < D / 16; kk++) frag_a<Tile, false>(qf[kk], v_tile, warp_id() * 16, kk * 16);

  int row = j0 + own_row();  // and row + 8
  int seen_by_all = seq.seen(j0);
  float rate = scale * LOG2E, keep[2], acc[D / 8][4] = {};
  Running run = {{-infinity(), -infinity()}, {0, 0}};
  for (int i0 = 0; i0 < last; i0 += KEYS) {
    cp_async_wait<0>();
    sync_threads();  // the keys are here; the values' tile is free
    load_rows<Tile, KEYS, THREADS>(v_tile, v + (int64_t)i0 * x.v_l.stride, x.v_l.stride, seq.lk - i0);
    cp_async_commit();
    float s[KEYS / 8][4] = {};
    UNROLL for (int kk = 0; kk < D / 16; kk++)
      UNROLL for (int n = 0; n < KEYS / 16; n++) {
        uint32_t b[2][2];
        frag_b<Tile, true>(b, k_tile, kk * 16, n * 16);
        mma_bf16(s[2 * n], qf[kk], b[0]);
        mma_bf16(s[2 * n + 1], qf[kk], b[1]);
      }
    if (i0 + KEYS > seen_by_all) mask(s, i0, row, seq);
    soften(s, run, keep, rate);
    UNROLL for (int n = 0; n < D / 8; n++)
      UNROLL for (int e = 0; e < 4; e++) acc[n][e] *= keep[e / 2];
    cp_async_wait<0>();
    sync_threads();  // the values are here; the keys' tile is free
    if (i0 + KEYS < last) {
      load_rows<Tile, KEYS, THREADS>(k_tile, k + (int64_t)(i0 + KEYS) * x.k_l.stride, x.k_l.stride, seq.lk - i0 - KEYS);
      cp_async_commit();
    }
    add_product<Tile, D, KEYS>(acc, s, v_tile);
  }

  UNROLL for (int h = 0; h < 2; h++) {
    float sum = run.sum[h];
    sum += shfl_xor(sum, 1);
    sum += shfl_xor(sum, 2);
    if (row + h * 8 >= seq.lq) continue;
    float share = sum == 0 ? 0 : div_rn(1, sum);  // a query without keys gets zeros
    store_row<D>(head_of(x.o, x.o_l, seq.q0 + row + h * 8, head * D), acc, h, share);
    if (x.lse.given() && (lane_id() & 3) == 0)
      x.lse.set(seq.q0 + row + h * 8, head, fmadd(log2_fast(sum), LN2, run.top[h] * scale));
  }
}

// Shared memory: 2·64·2·(D rounded up to an odd number of 8) bytes.
#define ATTENTION_BF16(D)                                                                                           \
  KERNEL(attention_bf16_##D, THREADS,                                                                               \
         (bf16 * o, Layout o_l, MAT(lse), const bf16* q, Layout q_l, const bf16* k, Layout k_l, const bf16* v,      \
          Layout v_l, SEQUENCES, float scale, int causal)) {                                                        \
    attend<D>({o, o_l, Mat(lse_p, lse_l), q, q_l, k, k_l, v, v_l}, SEQUENCE, group, scale);                         \
  }

ATTENTION_BF16(64)
ATTENTION_BF16(80)
ATTENTION_BF16(128)
