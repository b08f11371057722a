// optimizer.cu: AdamW (Loshchilov & Hutter 2019) over flat parameters.
#include "mat.h"

// norm_sq, where given, is the square of the gradient's norm on the device: g
// is scaled by min(1, clip_norm/norm). rate is lr/(1-β1^step), root
// 1/√(1-β2^step), decay 1-lr·weight_decay.
KERNEL(adamw, 256,
       (MAT(p), MAT(g), MAT(m), MAT(v), MAT(norm_sq), float clip_norm, float beta1, float beta2, float rate, float root, float eps,
        float decay, int64_t rows, int64_t cols)) {
  USE(p);
  USE(g);
  USE(m);
  USE(v);
  USE(norm_sq);
  float clip = 1;
  if (norm_sq.given()) {
    double q = div_rn((double)clip_norm, sqrt_rn((double)norm_sq.at(0, 0)));
    if (!(q >= 1)) clip = (float)q;  // a norm that is NaN shows in the weights
  }
  each_group(rows, cols, [&](int64_t r, int64_t c, int n) {
    f32x4 grad = splat(clip) * g.get(r, c, n);
    f32x4 first = fmadd(splat(beta1), m.get(r, c, n), splat(1 - beta1) * grad);
    f32x4 second = fmadd(splat(beta2), v.get(r, c, n), splat(1 - beta2) * grad * grad);
    m.put(r, c, n, first);
    v.put(r, c, n, second);
    f32x4 step;
    UNROLL
    for (int i = 0; i < 4; i++) step[i] = div_rn(first[i], fmadd(sqrt_rn(second[i]), root, eps));
    p.put(r, c, n, fmadd(splat(-rate), step, p.get(r, c, n) * splat(decay)));
  });
}
