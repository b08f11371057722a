// rearrange.cu: rotary positions and image patches.
#include "mat.h"

// rope rotates the pairs (i, i + half) of each head of x [rows, heads·2·half]
// by the angles of its row; sign is 1, or -1 to rotate back. Grid: x over
// pairs, y over rows, z over heads.
KERNEL(rope, 256, (MAT(x), MAT(cos), MAT(sin), int heads, int half, float sign, int64_t rows)) {
  USE(x);
  USE(cos);
  USE(sin);
  for (int h = blockIdx.z; h < heads; h += gridDim.z) {
    // The two halves of a head as matrices of their own, whose columns start at 0.
    Mat lower = x.from((int64_t)h * 2 * half), upper = lower.from(half);
    each_group(rows, half, [&](int64_t r, int64_t c, int n) {
      f32x4 a = lower.get(r, c, n), b = upper.get(r, c, n), co = cos.get(r, c, n), si = splat(sign) * sin.get(r, c, n);
      lower.put(r, c, n, a * co - b * si);
      upper.put(r, c, n, b * co + a * si);
    });
  }
}

// patchify lays out images [n, channels·height·width] as one row per patch,
// [n·(height/patch)·(width/patch), channels·patch·patch].
KERNEL(patchify, 256, (MAT(dst), MAT(images), int channels, int height, int width, int patch, int64_t rows)) {
  USE(dst);
  USE(images);
  int down = height / patch, across = width / patch, area = patch * patch;
  each_group(rows, (int64_t)channels * area, [&](int64_t r, int64_t c0, int n) {
    int64_t image = r / (down * across);
    int py = (int)(r / across % down) * patch, px = (int)(r % across) * patch;
    f32x4 v = {};
    UNROLL
    for (int i = 0; i < 4; i++) {
      if (i >= n) break;
      int c = (int)c0 + i, channel = c / area, y = c % area / patch, x = c % patch;
      v[i] = images.at(image, ((int64_t)channel * height + py + y) * width + px + x);
    }
    dst.put(r, c0, n, v);
  });
}
