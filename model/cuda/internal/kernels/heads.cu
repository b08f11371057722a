// heads.cu: the language-model heads' rows. A matrix product leaves a chunk of
// logits [rows, vocab]; one block per row turns it into losses and, in place,
// into the gradient of the logits, from which two more products make dh and dw.
// So logits exist for one chunk at a time, never for the whole batch:
//
//   bytes of a chunk = rows · stride · (bytes of a logit) · (1 for ce, 2 for kl)
//
// A stride that is a multiple of 8 keeps the rows on 16 bytes and the loads
// wide; vocab itself may be anything.
//
// Both kernels read a row twice: once for its maximum and the sum of its
// exponentials, once for the gradient. Every exponential is of a difference to
// the maximum, and logarithms are of sums between 1 and vocab, so logits may be
// of any size that a float holds.
#include "mat.h"

static constexpr float LOG2E = 1.44269504088896340736f, LN2 = 0.69314718055994530942f;

DEV float exp_fast(float x) { return exp2_fast(x * LOG2E); }
DEV float log_fast(float x) { return log2_fast(x) * LN2; }

// Partition is the maximum of x[i] and Σ exp((x[i] - top)·rate) over some i.
struct Partition {
  float top, sum;
};

DEV void add4(Partition& p, const float (&x)[4], float rate) {
  float top = max(max(x[0], x[1]), max(max(x[2], x[3]), p.top));
  float base = top == -infinity() ? 0 : top;  // -Inf - -Inf is NaN
  float sum = p.sum * exp_fast((p.top - base) * rate);
  UNROLL
  for (int e = 0; e < 4; e++) sum += exp_fast((x[e] - base) * rate);
  p = {top, sum};
}

// merge gives all threads of the block the partition of all their elements.
DEV Partition merge(Partition mine, float rate, float* buf) {
  float top = block_max(mine.top, buf), base = top == -infinity() ? 0 : top;
  return {top, block_sum(mine.sum * exp_fast((mine.top - base) * rate), buf)};
}

// logits4 reads up to four elements of a row; those past its end are -Inf,
// whose exponential is 0.
DEV void logits4(float (&x)[4], const Mat& m, int64_t r, int64_t c, int n) {
  f32x4 v = m.get(r, c, n);
  UNROLL
  for (int e = 0; e < 4; e++) x[e] = e < n ? v[e] : -infinity();
}

// cross_entropy: loss[r] = -log softmax(logits[r])[target[r]] and, when weight
// is given, logits[r] = weight[r]·(softmax(logits[r]) - onehot(target[r])). A
// target outside the vocabulary reads no memory and its loss is NaN; fault[0],
// zeroed before, then becomes 0x7FFFFFFF - (first_row + r) of the first such row.
KERNEL(cross_entropy, 512,
       (MAT(loss), MAT(logits), const int* target, Layout target_l, MAT(weight), int* fault, int first_row, int rows,
        int vocab)) {
  SHARED(float, buf, [32]);
  USE(loss);
  USE(logits);
  USE(weight);
  for (int r = blockIdx.x; r < rows; r += gridDim.x) {
    int t = target[(int64_t)r * target_l.stride];
    bool known = t >= 0 && t < vocab;
    float at_target = known ? logits.at(r, t) : 0;
    float x[4];
    Partition p = {-infinity(), 0};
    for (int c = 4 * threadIdx.x; c < vocab; c += 4 * blockDim.x) {
      logits4(x, logits, r, c, min(4, vocab - c));
      add4(p, x, 1);
    }
    // After this nobody reads the row as logits but its own elements: at_target
    // is read before the barrier in merge.
    p = merge(p, 1, buf);
    if (threadIdx.x == 0) {
      loss.set(r, 0, known ? log_fast(p.sum) + (p.top - at_target) : infinity() - infinity());
      if (!known) atomic_max(fault, 0x7FFFFFFF - (first_row + r));
    }
    if (!weight.given()) continue;
    float w = weight.at(r, 0), share = w / p.sum;
    for (int c = 4 * threadIdx.x; c < vocab; c += 4 * blockDim.x) {
      logits4(x, logits, r, c, min(4, vocab - c));
      UNROLL
      for (int e = 0; e < 4; e++) {
        float g = share * exp_fast(x[e] - p.top);
        x[e] = c + e == t ? g - w : g;
      }
      logits.put(r, c, min(4, vocab - c), f32x4{x[0], x[1], x[2], x[3]});
    }
  }
}

// kl_divergence: loss[r] = scale·KL(softmax(teacher[r]/τt) ‖ softmax(student[r]/τs))
// and, when weight is given, student[r] = weight[r]·scale/τs·(softmax(student[r]/τs)
// - softmax(teacher[r]/τt)). rate_t = 1/τt, rate_s = 1/τs.
//
// The loss adds up pt·(log pt - log ps) element by element instead of taking
// the difference of two large sums, so that it stays exact when the models
// agree. A teacher probability that underflows to 0 contributes 0.
KERNEL(kl_divergence, 512,
       (MAT(loss), MAT(student), MAT(teacher), MAT(weight), float rate_s, float rate_t, float scale, int rows, int vocab)) {
  SHARED(float, buf, [32]);
  USE(loss);
  USE(student);
  USE(teacher);
  USE(weight);
  for (int r = blockIdx.x; r < rows; r += gridDim.x) {
    float s[4], t[4];
    Partition ps = {-infinity(), 0}, pt = ps;
    for (int c = 4 * threadIdx.x; c < vocab; c += 4 * blockDim.x) {
      logits4(s, student, r, c, min(4, vocab - c));
      logits4(t, teacher, r, c, min(4, vocab - c));
      add4(ps, s, rate_s);
      add4(pt, t, rate_t);
    }
    ps = merge(ps, rate_s, buf);
    pt = merge(pt, rate_t, buf);
    float log_s = log_fast(ps.sum), log_t = log_fast(pt.sum), sum = 0;
    float step = weight.given() ? weight.at(r, 0) * scale * rate_s : 0;
    for (int c = 4 * threadIdx.x; c < vocab; c += 4 * blockDim.x) {
      logits4(s, student, r, c, min(4, vocab - c));
      logits4(t, teacher, r, c, min(4, vocab - c));
      UNROLL
      for (int e = 0; e < 4; e++) {
        float logp_s = (s[e] - ps.top) * rate_s - log_s, logp_t = (t[e] - pt.top) * rate_t - log_t;
        float p = exp_fast(logp_t);
        if (p > 0) sum = fmadd(p, logp_t - logp_s, sum);
        s[e] = step * (exp_fast(logp_s) - p);
      }
      if (weight.given()) student.put(r, c, min(4, vocab - c), f32x4{s[0], s[1], s[2], s[3]});
    }
    sum = block_sum(sum, buf);
    if (threadIdx.x == 0) loss.set(r, 0, scale * sum);
  }
}
