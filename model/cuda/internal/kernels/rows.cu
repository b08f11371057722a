// rows.cu: rows moved by index, and the largest element of a row. Kernels that
// move rows treat an index outside of the matrix as one to skip; check_index
// reports it.
#include "mat.h"

DEV int warp_max(int v) {
  for (int m = 16; m; m >>= 1) v = max(v, shfl_xor(v, m));
  return v;
}

// check_index looks for the first index that is not in [lowest, limit) and
// writes (op, row, index, limit) to error, unless an earlier one is there. One
// block: the first row must win.
KERNEL(check_index, 256, (int* error, int op, const int* index, int64_t stride, int lowest, int limit, int64_t rows)) {
  SHARED(int, buf, [8]);
  // 0 where all is well; the larger, the earlier the row.
  int bad = 0;
  for (int64_t r = threadIdx.x; r < rows && !bad; r += blockDim.x) {
    int i = index[r * stride];
    if (i < lowest || i >= limit) bad = 0x7FFFFFFF - (int)r;
  }
  bad = warp_max(bad);
  if (lane_id() == 0) buf[warp_id()] = bad;
  sync_threads();
  if (threadIdx.x != 0) return;
  for (int w = 0; w < (int)(blockDim.x >> 5); w++) bad = max(bad, buf[w]);
  if (!bad || error[0]) return;
  int r = 0x7FFFFFFF - bad;
  error[1] = r;
  error[2] = index[r * stride];
  error[3] = limit;
  error[0] = op;
}

KERNEL(gather_rows, 256, (MAT(dst), MAT(src), const int* index, int64_t stride, int limit, int64_t rows, int64_t cols)) {
  USE(dst);
  USE(src);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    int i = index[r * stride];
    dst.put(r, c, n, i >= 0 && i < limit ? src.get(i, c, n) : splat(0.f));
  });
}

KERNEL(scatter_rows, 256, (MAT(dst), MAT(src), const int* index, int64_t stride, int limit, int64_t rows, int64_t cols)) {
  USE(dst);
  USE(src);
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    int i = index[r * stride];
    if (i >= 0 && i < limit) dst.put(i, c, n, src.get(r, c, n));
  });
}

// block_any tells every thread of the block whether p holds for any.
DEV bool block_any(bool p, uint32_t* buf) {
  uint32_t b = ballot(p);
  if (lane_id() == 0) buf[warp_id()] = b;
  sync_threads();
  bool any = false;
  for (int w = 0; w < (int)(blockDim.x >> 5); w++) any |= buf[w] != 0;
  sync_threads();
  return any;
}

// scatter_add_rows: the block of the first row with some index adds up all rows
// with that index, in row order; the blocks of the others have nothing to do.
// No two blocks write one row, and the sum is rounded to dst's type once.
KERNEL(scatter_add_rows, 256, (MAT(dst), MAT(src), const int* index, int64_t stride, int limit, int64_t rows, int64_t cols)) {
  USE(dst);
  USE(src);
  SHARED(uint32_t, found, [8]);
  int warps = blockDim.x >> 5;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    int target = index[r * stride];
    if (target < 0 || target >= limit) continue;
    bool earlier = false;
    for (int64_t k = threadIdx.x; k < r; k += blockDim.x) earlier |= index[k * stride] == target;
    if (block_any(earlier, found)) continue;
    for (int64_t c0 = 4 * (int64_t)blockIdx.x * blockDim.x; c0 < cols; c0 += 4 * (int64_t)gridDim.x * blockDim.x) {
      int64_t c = c0 + 4 * threadIdx.x;
      int n = (int)max<int64_t>(0, min<int64_t>(cols - c, 4));
      f32x4 sum = dst.get(target, c, n);
      for (int64_t k0 = r; k0 < rows; k0 += blockDim.x) {
        int64_t k = k0 + threadIdx.x;
        uint32_t same = ballot(k < rows && index[k * stride] == target);
        if (lane_id() == 0) found[warp_id()] = same;
        sync_threads();
        for (int w = 0; w < warps; w++)
          for (uint32_t m = found[w]; m; m &= m - 1) sum += src.get(k0 + 32 * w + __builtin_ctz(m), c, n);
        sync_threads();
      }
      dst.put(target, c, n, sum);
    }
  }
}

// argmax: a block a row. The first of equals wins; -1 where an element is NaN or
// infinite: such an element beats every other, at place -1.
KERNEL(argmax, 256, (int* dst, int64_t dst_stride, MAT(src), int64_t rows, int64_t cols)) {
  USE(src);
  SHARED(float, values, [8]);
  SHARED(int, indices, [8]);
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    float best = -infinity();
    int at = 0x7FFFFFFF;
    auto take = [&](float v, int i) {
      if (v > best || (v == best && i < at)) {
        best = v;
        at = i;
      }
    };
    for (int64_t c = 4 * threadIdx.x; c < cols; c += 4 * blockDim.x) {
      int n = (int)min<int64_t>(cols - c, 4);
      f32x4 v = src.get(r, c, n);
      UNROLL
      for (int i = 0; i < 4; i++)
        if (i < n) {
          bool number = v[i] - v[i] == 0;
          take(number ? v[i] : infinity(), number ? (int)c + i : -1);
        }
    }
    for (int m = 16; m; m >>= 1) {
      float v = shfl_xor(best, m);
      int i = shfl_xor(at, m);
      take(v, i);
    }
    if (lane_id() == 0) {
      values[warp_id()] = best;
      indices[warp_id()] = at;
    }
    sync_threads();
    if (threadIdx.x == 0) {
      for (int w = 1; w < (int)(blockDim.x >> 5); w++) take(values[w], indices[w]);
      dst[r * dst_stride] = at;
    }
    sync_threads();
  }
}
