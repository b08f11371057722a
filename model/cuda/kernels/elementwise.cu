// elementwise.cu: one thread per four neighbouring elements of matrices of one
// shape. The grid covers columns in x and rows in y, both with a stride, so any
// grid gives the same result.
#include "mat.h"

// each4 calls f4(r, c) for whole aligned groups of four elements where all
// operands allow vectors, else f1(r, c) for single ones.
template <class F4, class F1>
DEV void each4(int64_t rows, int64_t cols, bool vectors, F4 f4, F1 f1) {
  int64_t r0 = (int64_t)blockIdx.y * blockDim.y + threadIdx.y, dr = (int64_t)gridDim.y * blockDim.y;
  int64_t c0 = 4 * ((int64_t)blockIdx.x * blockDim.x + threadIdx.x), dc = 4 * (int64_t)gridDim.x * blockDim.x;
  for (int64_t r = r0; r < rows; r += dr) {
    for (int64_t c = c0; c < cols; c += dc) {
      if (vectors && c + 4 <= cols) {
        f4(r, c);
      } else {
        int64_t end = min(c + 4, cols);
        for (int64_t i = c; i < end; i++) f1(r, i);
      }
    }
  }
}

KERNEL(add, 256, (void* dst_p, Layout dst_l, void* a_p, Layout a_l, void* b_p, Layout b_l, int64_t rows, int64_t cols)) {
  Mat dst(dst_p, dst_l), a(a_p, a_l), b(b_p, b_l);
  each4(
      rows, cols, dst.vector() && a.vector() && b.vector(), [&](int64_t r, int64_t c) { dst.set4(r, c, a.at4(r, c) + b.at4(r, c)); },
      [&](int64_t r, int64_t c) { dst.set(r, c, a.at(r, c) + b.at(r, c)); });
}
