// norm.cu: RMSNorm and LayerNorm, a block a row, statistics in f32. The second
// look at a row finds it in the cache.
#include "mat.h"

// each_column calls f(c, n) for the thread's groups of columns of a row.
template <class F>
DEV void each_column(int64_t cols, F f) {
  for (int64_t c = 4 * threadIdx.x; c < cols; c += 4 * blockDim.x) f(c, (int)min<int64_t>(cols - c, 4));
}

DEV float sum4(f32x4 v) { return (v[0] + v[1]) + (v[2] + v[3]); }

KERNEL(rms_norm, 512, (MAT(y), MAT(rstd), MAT(x), MAT(w), float eps, int64_t rows, int64_t cols)) {
  USE(y);
  USE(rstd);
  USE(x);
  USE(w);
  SHARED(float, buf, [16]);
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    float squares = 0;
    each_column(cols, [&](int64_t c, int n) {
      f32x4 v = x.get(r, c, n);
      squares += sum4(v * v);
    });
    float s = rcp_rn(sqrt_rn(div_rn(block_sum(squares, buf), (float)cols) + eps));
    if (threadIdx.x == 0) rstd.set(r, 0, s);
    each_column(cols, [&](int64_t c, int n) { y.put(r, c, n, x.get(r, c, n) * splat(s) * w.get(0, c, n)); });
  }
}

// With n = x·rstd and g = dy·w: dx += rstd·(g - n·mean(g·n)).
KERNEL(rms_norm_backward, 512, (MAT(dx), MAT(dy), MAT(x), MAT(w), MAT(rstd), int64_t rows, int64_t cols)) {
  USE(dx);
  USE(dy);
  USE(x);
  USE(w);
  USE(rstd);
  SHARED(float, buf, [16]);
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    float s = rstd.at(r, 0), gx = 0;
    each_column(cols, [&](int64_t c, int n) { gx += sum4(dy.get(r, c, n) * w.get(0, c, n) * x.get(r, c, n)); });
    float k = -s * s * s * div_rn(block_sum(gx, buf), (float)cols);
    each_column(cols, [&](int64_t c, int n) {
      f32x4 d = splat(s) * dy.get(r, c, n) * w.get(0, c, n) + splat(k) * x.get(r, c, n);
      dx.put(r, c, n, dx.get(r, c, n) + d);
    });
  }
}

// stats holds (mean, rstd). The variance is that of what is left after the mean
// is taken off, which keeps its digits when the mean is large.
KERNEL(layer_norm, 512, (MAT(y), MAT(stats), MAT(x), MAT(w), MAT(b), float eps, int64_t rows, int64_t cols)) {
  USE(y);
  USE(stats);
  USE(x);
  USE(w);
  USE(b);
  SHARED(float, buf, [16]);
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    float sum = 0, squares = 0;
    each_column(cols, [&](int64_t c, int n) { sum += sum4(x.get(r, c, n)); });
    float mean = div_rn(block_sum(sum, buf), (float)cols);
    each_column(cols, [&](int64_t c, int n) {
      f32x4 v = x.get(r, c, n);
      UNROLL
      for (int i = 0; i < 4; i++)
        if (i < n) squares += (v[i] - mean) * (v[i] - mean);
    });
    float s = rcp_rn(sqrt_rn(div_rn(block_sum(squares, buf), (float)cols) + eps));
    if (threadIdx.x == 0) {
      stats.set(r, 0, mean);
      stats.set(r, 1, s);
    }
    each_column(cols, [&](int64_t c, int n) {
      y.put(r, c, n, (x.get(r, c, n) - splat(mean)) * splat(s) * w.get(0, c, n) + b.get(0, c, n));
    });
  }
}

// With n = (x-mean)·rstd and g = dy·w: dx += rstd·(g - mean(g) - n·mean(g·n)).
KERNEL(layer_norm_backward, 512, (MAT(dx), MAT(dy), MAT(x), MAT(w), MAT(stats), int64_t rows, int64_t cols)) {
  USE(dx);
  USE(dy);
  USE(x);
  USE(w);
  USE(stats);
  SHARED(float, buf, [16]);
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    float mean = stats.at(r, 0), s = stats.at(r, 1), g_sum = 0, gn_sum = 0;
    each_column(cols, [&](int64_t c, int n) {
      // Beyond the row's end dy is 0 and adds nothing.
      f32x4 g = dy.get(r, c, n) * w.get(0, c, n);
      g_sum += sum4(g);
      gn_sum += sum4(g * (x.get(r, c, n) - splat(mean)) * splat(s));
    });
    float g_mean = div_rn(block_sum(g_sum, buf), (float)cols), gn_mean = div_rn(block_sum(gn_sum, buf), (float)cols);
    each_column(cols, [&](int64_t c, int n) {
      f32x4 norm = (x.get(r, c, n) - splat(mean)) * splat(s);
      f32x4 g = dy.get(r, c, n) * w.get(0, c, n) - splat(g_mean) - norm * splat(gn_mean);
      dx.put(r, c, n, dx.get(r, c, n) + splat(s) * g);
    });
  }
}
