// attention.h: what all attention kernels share: which rows and heads a block
// works on, and which keys a query sees.
#pragma once
#include "mat.h"

static constexpr float LOG2E = 1.44269504088896340736f, LN2 = 0.69314718055994530942f;

// Sequence is rows q0 … q0+lq-1 of the queries and k0 … k0+lk-1 of the keys.
struct Sequence {
  int q0, lq, k0, lk;
  bool causal;

  // seen is how many keys query j sees, from the first one.
  DEV_METHOD int seen(int j) const { return causal ? max(0, min(lk, lk - lq + j + 1)) : lk; }
  // first_query is the first query that sees key i.
  DEV_METHOD int first_query(int i) const { return causal ? max(0, i - (lk - lq)) : 0; }
};

// sequence reads pair i of the [n, 2] tables (start, length) of both sides.
DEV Sequence sequence(const int* q_seqs, Layout q_l, const int* kv_seqs, Layout kv_l, int i, int causal) {
  const int *q = q_seqs + (int64_t)i * q_l.stride, *kv = kv_seqs + (int64_t)i * kv_l.stride;
  return {q[0], q[1], kv[0], kv[1], causal != 0};
}

// The tables and the heads per key head in a kernel's parameter list, and the
// sequence of the block made of them.
#define SEQUENCES const int *q_seqs, Layout q_seqs_l, const int *kv_seqs, Layout kv_seqs_l, int group
#define SEQUENCE sequence(q_seqs, q_seqs_l, kv_seqs, kv_seqs_l, blockIdx.z, causal)
