// warp.cpp: what the lanes of a warp do together. An operation runs once for
// all lanes; it reads every operand before it writes a result.
#include "block.h"

namespace hs {

void sync_warp_op(void* const*, uint32_t) {}

void shuffle_op(void* const* args, uint32_t mask) {
  uint64_t value[32];
  // A lane outside the mask has no value; what it gives is undefined.
  for (int l = 0; l < 32; l++) value[l] = mask >> l & 1 ? ((ShuffleArg*)args[l])->value : 0x7FC0DEAD7FC0DEADu;
  for (int l = 0; l < 32; l++)
    if (mask >> l & 1) {
      ShuffleArg* a = (ShuffleArg*)args[l];
      a->value = value[a->source];
    }
}

void ballot_op(void* const* args, uint32_t mask) {
  uint32_t all = 0;
  for (int l = 0; l < 32; l++)
    if (mask >> l & 1) all |= ((BallotArg*)args[l])->bit << l;
  for (int l = 0; l < 32; l++)
    if (mask >> l & 1) ((BallotArg*)args[l])->all = all;
}

void check_row(const void* row, int lane, int n) {
  if (lane >= 8 * n) return;
  check_aligned(row, 16, "ldmatrix");
  if (!block->in_shared(row, 16)) fail("ldmatrix outside of shared memory");
}

template <int n, bool trans>
void ldmatrix_op(void* const* args, uint32_t) {
  uint32_t out[32][4];
  for (int i = 0; i < n; i++) {
    const uint16_t* row[8];
    for (int r = 0; r < 8; r++) row[r] = (const uint16_t*)((MatrixArg*)args[8 * i + r])->row;
    for (int l = 0; l < 32; l++) {
      int r = l / 4, c = l % 4 * 2;
      uint32_t lo = trans ? row[c][r] : row[r][c], hi = trans ? row[c + 1][r] : row[r][c + 1];
      out[l][i] = hi << 16 | lo;
    }
  }
  for (int l = 0; l < 32; l++) memcpy(((MatrixArg*)args[l])->r, out[l], 4 * n);
}
template void ldmatrix_op<1, false>(void* const*, uint32_t);
template void ldmatrix_op<2, false>(void* const*, uint32_t);
template void ldmatrix_op<4, false>(void* const*, uint32_t);
template void ldmatrix_op<1, true>(void* const*, uint32_t);
template void ldmatrix_op<2, true>(void* const*, uint32_t);
template void ldmatrix_op<4, true>(void* const*, uint32_t);

static float half_of(uint32_t u, int upper) {
  return __builtin_bit_cast(float, upper ? u & 0xFFFF0000u : u << 16);
}

// multiply does d [16, 8] += a · b for fragments of f32 accumulators: lane l
// has rows l/4 and l/4+8 and columns 2·(l%4) and the next one. Products of two
// bf16 are exact in f32; the order of the sum differs from the hardware's.
template <int k>
static void multiply(void* const* args, const float (&a)[16][k], const float (&b)[k][8]) {
  for (int i = 0; i < 16; i++) {
    float sum[8] = {};
    for (int j = 0; j < k; j++)
      for (int c = 0; c < 8; c++) sum[c] += a[i][j] * b[j][c];
    for (int c = 0; c < 8; c++) ((MmaArg*)args[i % 8 * 4 + c / 2])->d[i / 8 * 2 + c % 2] += sum[c];
  }
}

void mma_bf16_op(void* const* args, uint32_t) {
  float a[16][16], b[16][8];
  for (int l = 0; l < 32; l++) {
    MmaArg* m = (MmaArg*)args[l];
    int g = l / 4, t = l % 4 * 2;
    for (int h = 0; h < 2; h++) {
      a[g][t + h] = half_of(m->a[0], h);
      a[g + 8][t + h] = half_of(m->a[1], h);
      a[g][t + 8 + h] = half_of(m->a[2], h);
      a[g + 8][t + 8 + h] = half_of(m->a[3], h);
      b[t + h][g] = half_of(m->b[0], h);
      b[t + 8 + h][g] = half_of(m->b[1], h);
    }
  }
  multiply<16>(args, a, b);
}

void mma_tf32_op(void* const* args, uint32_t) {
  float a[16][8], b[8][8];
  // The tensor core ignores the 13 low bits.
  auto word = [](uint32_t u) { return __builtin_bit_cast(float, u & ~0x1FFFu); };
  for (int l = 0; l < 32; l++) {
    MmaArg* m = (MmaArg*)args[l];
    int g = l / 4, t = l % 4;
    a[g][t] = word(m->a[0]);
    a[g + 8][t] = word(m->a[1]);
    a[g][t + 4] = word(m->a[2]);
    a[g + 8][t + 4] = word(m->a[3]);
    b[t][g] = word(m->b[0]);
    b[t + 4][g] = word(m->b[1]);
  }
  multiply<8>(args, a, b);
}

}  // namespace hs
