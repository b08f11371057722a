// random.cu: the random stream of model/backend/philox.go, bit for bit. Four
// neighbouring elements come from one block of the generator.
#include "mathf.h"
#include "mat.h"

// Philox4x32 with ten rounds.
DEV u32x4 philox(u32x4 ctr, uint32_t key_lo, uint32_t key_hi) {
  UNROLL
  for (int i = 0; i < 10; i++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * ctr[0], p1 = (uint64_t)0xCD9E8D57u * ctr[2];
    ctr = u32x4{(uint32_t)(p1 >> 32) ^ ctr[1] ^ key_lo, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ ctr[3] ^ key_hi, (uint32_t)p0};
    key_lo += 0x9E3779B9u;
    key_hi += 0xBB67AE85u;
  }
  return ctr;
}

DEV float to_uniform(uint32_t w) { return (float)(w >> 8) * (1.f / (1 << 24)); }

struct Pair {
  float a, b;
};
// to_normal works in double precision as the host does; the two differ by the
// last bit of the float once in some 2^28 numbers.
DEV Pair to_normal(uint32_t a, uint32_t b) {
  double r = sqrt_rn(-2.0 * log_of(((double)a + 1.0) * (1.0 / 4294967296.0)));
  Angle t = sin_cos(6.283185307179586 * (double)b * (1.0 / 4294967296.0));
  return {(float)(r * t.cos), (float)(r * t.sin)};
}

// Numbers of backend.Distribution.
enum Distribution : int { Uniform, NormalDistribution };

KERNEL(random, 256,
       (MAT(dst), int distribution, uint32_t key_lo, uint32_t key_hi, uint32_t site, const int* sample, int64_t sample_stride,
        int64_t rows, int64_t cols)) {
  USE(dst);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    u32x4 w = philox(u32x4{(uint32_t)(c / 4), 0, (uint32_t)sample[r * sample_stride], site}, key_lo, key_hi);
    f32x4 v;
    if (distribution == Uniform) {
      v = f32x4{to_uniform(w[0]), to_uniform(w[1]), to_uniform(w[2]), to_uniform(w[3])};
    } else {
      Pair a = to_normal(w[0], w[1]), b = to_normal(w[2], w[3]);
      v = f32x4{a.a, a.b, b.a, b.b};
    }
    dst.put(r, c, n, v);
  });
}

// ids holds (sample, position) per row; keep is 1/(1-p).
KERNEL(dropout, 256,
       (MAT(y), MAT(x), float p, float keep, uint32_t key_lo, uint32_t key_hi, uint32_t site, const int* ids, int64_t ids_stride,
        int64_t rows, int64_t cols)) {
  USE(y);
  USE(x);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    const int* id = ids + r * ids_stride;
    u32x4 w = philox(u32x4{(uint32_t)(c / 4), (uint32_t)id[1], (uint32_t)id[0], site}, key_lo, key_hi);
    f32x4 v = x.get(r, c, n);
    UNROLL
    for (int i = 0; i < 4; i++) v[i] = to_uniform(w[i]) >= p ? v[i] * keep : 0.f;
    y.put(r, c, n, v);
  });
}
