// reduce.cu: sums over rows and over everything, in two stages: parts of fixed
// size in scratch memory, then the parts in order. So a sum is the same
// whatever the device.
#include "mat.h"

// each_part calls f(r, c, n) for every row of part p in order and gives the
// thread's columns of the result to part[p]. Grid: x over columns, y over parts.
template <class F>
DEV void each_part(float* part, int64_t per_part, int64_t rows, int64_t cols, F f) {
  for (int64_t p = blockIdx.y; p * per_part < rows; p += gridDim.y) {
    for (int64_t c = 4 * ((int64_t)blockIdx.x * blockDim.x + threadIdx.x); c < cols; c += 4 * (int64_t)gridDim.x * blockDim.x) {
      int n = (int)min<int64_t>(cols - c, 4);
      f32x4 sum = {};
      int64_t end = min((p + 1) * per_part, rows);
      for (int64_t r = p * per_part; r < end; r++) sum += f(r, c, n);
      UNROLL
      for (int i = 0; i < 4; i++)
        if (i < n) part[p * cols + c + i] = sum[i];
    }
  }
}

KERNEL(sum_rows_parts, 128, (float* part, MAT(src), int64_t per_part, int64_t rows, int64_t cols)) {
  USE(src);
  each_part(part, per_part, rows, cols, [&](int64_t r, int64_t c, int n) { return src.get(r, c, n); });
}

// The gradient of a norm's weight: Σ dy·(x-mean)·rstd. stats holds rstd, or
// (mean, rstd) when layer is 1.
KERNEL(norm_weight_parts, 128, (float* part, MAT(dy), MAT(x), MAT(stats), int layer, int64_t per_part, int64_t rows, int64_t cols)) {
  USE(dy);
  USE(x);
  USE(stats);
  each_part(part, per_part, rows, cols, [&](int64_t r, int64_t c, int n) {
    float mean = layer ? stats.at(r, 0) : 0.f, s = stats.at(r, layer);
    return dy.get(r, c, n) * ((x.get(r, c, n) - splat(mean)) * splat(s));
  });
}

// dst [1, cols] += Σ part[0 … parts).
KERNEL(sum_parts, 128, (MAT(dst), const float* part, int64_t parts, int64_t cols)) {
  USE(dst);
  int64_t step = (int64_t)gridDim.x * blockDim.x;
  for (int64_t c = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; c < cols; c += step) {
    float sum = 0;
    for (int64_t p = 0; p < parts; p++) sum += part[p * cols + c];
    dst.set(0, c, dst.at(0, c) + sum);
  }
}

// part[block] = the block's share of Σ x². Groups of four are added up in f32,
// groups in double: a sum over billions of weights keeps its digits. Grid: x
// over columns, y over rows.
KERNEL(sum_squares_parts, 256, (double* part, MAT(x), int64_t rows, int64_t cols)) {
  USE(x);
  SHARED(double, buf, [8]);
  double sum = 0;
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    f32x4 v = x.get(r, c, n);
    v *= v;
    sum += (double)((v[0] + v[1]) + (v[2] + v[3]));
  });
  sum = block_sum(sum, buf);
  if (threadIdx.x == 0) part[(int64_t)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// dst [1, 1] += Σ part[0 … parts). One block.
KERNEL(sum_squares_finish, 256, (MAT(dst), const double* part, int64_t parts)) {
  USE(dst);
  SHARED(double, buf, [8]);
  double sum = 0;
  for (int64_t p = threadIdx.x; p < parts; p += blockDim.x) sum += part[p];
  sum = block_sum(sum, buf);
  if (threadIdx.x == 0) dst.set(0, 0, dst.at(0, 0) + (float)sum);
}
