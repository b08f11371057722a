// gemm.h: what all matrix products share.
//
//   c = alpha·op(a)·op(b) + beta·c (+ bias)
//
// c [m, n] and bias [1, n] f32 or bf16; with beta 0 c is not read. When parts
// is given, block y takes the products k_part·y … k_part·(y+1)-1 alone and
// leaves its sums in parts [blocks y, m, n]; gemm_combine then makes c of them,
// in order, so that the bits do not depend on which block came first.
#pragma once
#include "mat.h"

struct GemmResult {
  Mat c, bias;
  float* parts;
  int m, n;
  float alpha, beta;
};

// gemm_finish turns the whole sum of products of an element into the result.
DEV void gemm_finish(const GemmResult& r, int row, int col, float sum) {
  float y = r.alpha * sum;
  if (r.beta != 0) y = fmadd(r.beta, r.c.at(row, col), y);
  if (r.bias.given()) y += r.bias.at(0, col);
  r.c.set(row, col, y);
}

// gemm_store takes the sum that this block made.
DEV void gemm_store(const GemmResult& r, int row, int col, float sum) {
  if (row >= r.m || col >= r.n) return;
  if (r.parts)
    r.parts[((int64_t)blockIdx.y * r.m + row) * r.n + col] = sum;
  else
    gemm_finish(r, row, col, sum);
}
