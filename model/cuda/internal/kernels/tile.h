// tile.h: tiles of bf16 in shared memory and the tensor-core fragments read
// from them, for mma_bf16 (m16n8k16).
//
// A fragment is what one lane of a warp holds. With g = lane/4 and t = lane%4,
// two bf16 to a register (PTX ISA, "Matrix Fragments for mma.m16n8k16"):
//   A [16, 16]  a0 (g, 2t)  a1 (g+8, 2t)  a2 (g, 2t+8)  a3 (g+8, 2t+8)
//   B [16, 8]   b0 (2t, g)  b1 (2t+8, g)               rows are k, columns n
//   C [16, 8]   c0, c1 (g, 2t)  c2, c3 (g+8, 2t)       a float each
// So two neighbouring C fragments, rounded to bf16, are an A fragment: a
// product feeds the next one without leaving the registers.
//
// A tile lies in shared memory as it lies in global memory, in chunks of 16
// bytes (8 elements). ldmatrix reads the same chunk of 8 rows that follow each
// other, and these 8 must fall into different banks. Two ways to that:
// Swizzled places a chunk at its number XOR the row and wastes nothing; Padded
// makes the row an odd number of chunks long, which also works for widths that
// are no power of two.
#pragma once
#include "gpu.h"

template <int COLS>
struct Swizzled {
  static constexpr int cols = COLS, chunks = COLS / 8, pitch = COLS;
  static_assert(chunks == 4 || chunks % 8 == 0, "a row is 64 bytes or a multiple of 128");
  // Rows of 64 bytes: two of them share the 128 bytes of all banks, hence row/2.
  static constexpr int at(int row, int chunk) {
    return (row * chunks + (chunk ^ (chunks == 4 ? row >> 1 & 3 : row & 7))) * 8;
  }
};

template <int COLS>
struct Padded {
  static constexpr int cols = COLS, chunks = COLS / 8, pitch = COLS + (chunks % 2 ? 0 : 8);
  static constexpr int at(int row, int chunk) { return row * pitch + chunk * 8; }
};

// aligned16 reports whether every row of a bf16 matrix starts on 16 bytes.
DEV bool aligned16(const void* p, Layout l) { return ((uintptr_t)p & 15) == 0 && l.stride % 8 == 0; }

// load_tile starts copying rows row0… and columns col0… of a [rows, cols]
// matrix into a tile of ROWS rows. What lies outside the matrix becomes 0 and
// is not read: it may be NaN, and NaN times 0 is NaN. Chunks that are whole and
// aligned go by cp.async, others element by element.
template <class T, int ROWS, int THREADS>
DEV void load_tile(bf16* tile, const bf16* m, uint32_t stride, int row0, int col0, int rows, int cols, bool aligned) {
  for (int i = threadIdx.x; i < ROWS * T::chunks; i += THREADS) {
    int r = i / T::chunks, c = i % T::chunks, row = row0 + r, col = col0 + c * 8;
    int left = row < rows ? cols - col : 0;
    const bf16* from = m + (int64_t)row * stride + col;
    bf16* to = tile + T::at(r, c);
    if (left <= 0 || (left >= 8 && aligned)) {
      cp_async16(to, left > 0 ? from : nullptr, left > 0);
    } else {
#pragma unroll 1
      for (int e = 0; e < 8; e++) to[e] = e < left ? from[e] : bf16{0};
    }
  }
}

// frag_a reads the A fragment at (m0, k0) of a tile [m, k], or of a tile
// [k, m] when TRANS, whose 8×8 blocks ldmatrix transposes on the way.
template <class T, bool TRANS>
DEV void frag_a(uint32_t (&a)[4], const bf16* tile, int m0, int k0) {
  int lane = lane_id();
  if (TRANS)
    ldmatrix_x4_trans(a, tile + T::at(k0 + (lane & 7) + (lane >> 4) * 8, m0 / 8 + (lane >> 3 & 1)));
  else
    ldmatrix_x4(a, tile + T::at(m0 + (lane & 15), k0 / 8 + (lane >> 4)));
}

// frag_b reads the B fragments of columns n0…n0+7 (b[0]) and n0+8…n0+15 (b[1])
// from a tile [k, n], or from a tile [n, k] when TRANS.
template <class T, bool TRANS>
DEV void frag_b(uint32_t (&b)[2][2], const bf16* tile, int k0, int n0) {
  int lane = lane_id();
  uint32_t r[4];
  if (TRANS)
    ldmatrix_x4(r, tile + T::at(n0 + (lane & 7) + (lane >> 4) * 8, k0 / 8 + (lane >> 3 & 1)));
  else
    ldmatrix_x4_trans(r, tile + T::at(k0 + (lane & 15), n0 / 8 + (lane >> 4)));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

// load_rows starts copying `rows` whole rows of a bf16 matrix, each on 16
// bytes, into a tile of ROWS rows; the rest becomes 0. A thread keeps its
// column and steps down the rows: one pointer to carry, not one per row.
template <class T, int ROWS, int THREADS>
DEV void load_rows(bf16* tile, const bf16* m, uint32_t stride, int rows) {
  constexpr int PASS = THREADS / T::chunks;  // rows at a time
  int r = threadIdx.x / T::chunks, c = threadIdx.x % T::chunks;
  if (r >= PASS) return;
  const bf16* from = m + (int64_t)r * stride + c * 8;
  UNROLL for (int i = 0; i < (ROWS + PASS - 1) / PASS; i++, r += PASS, from += (int64_t)PASS * stride) {
    if (ROWS % PASS != 0 && r >= ROWS) break;
    cp_async16(tile + T::at(r, c), r < rows ? from : nullptr, r < rows);
  }
}

// frag_a_of rounds two neighbouring C fragments to the A fragment they are.
DEV void frag_a_of(uint32_t (&a)[4], const float (&left)[4], const float (&right)[4]) {
  a[0] = pack_bf16(left[0], left[1]), a[1] = pack_bf16(left[2], left[3]);
  a[2] = pack_bf16(right[0], right[1]), a[3] = pack_bf16(right[2], right[3]);
}
