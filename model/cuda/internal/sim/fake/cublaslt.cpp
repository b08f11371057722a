// cublaslt.cpp: cuBLASLt's matrix product on the host, queued like a kernel.
// The library is the same file as the driver. The setting lt spoils it: 1, it does
// not start; 2, products are twice what they should be; another number is the
// status that every product ends with.
#include <math.h>
#include <string.h>

#include "sim.h"

namespace sim {

struct Desc {
  int compute, trans_a = 0, trans_b = 0, epilogue = 1, bias_type = -1;
  const void* bias = nullptr;
};

struct Matrix {
  int type;
  uint64_t rows, cols;
  int64_t ld;
};

// Preference is what an algorithm may ask for; the defaults are the library's.
struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = 7, alignment[4] = {256, 256, 256, 256};
};

// Algorithm is what the heuristic leaves in the 64 bytes of its answer.
struct Algorithm {
  uint32_t magic, alignment[3];
  uint64_t shape, workspace;
};
static_assert(sizeof(Algorithm) <= 64, "cublasLtMatmulAlgo_t has 64 bytes");
static const uint32_t kMagic = 0x51A1D;

// shape_of is a number for a product that an algorithm is made for.
static uint64_t shape_of(const Desc& o, const Matrix& x, const Matrix& y, const Matrix& z) {
  uint64_t h = 1469598103934665603u;
  auto mix = [&](uint64_t v) { h = (h ^ v) * 1099511628211u; };
  for (int v : {o.compute, o.trans_a, o.trans_b, o.epilogue, o.bias_type}) mix((uint64_t)v);
  for (const Matrix* m : {&x, &y, &z}) mix((uint64_t)m->type), mix(m->rows), mix(m->cols), mix((uint64_t)m->ld);
  return h;
}

enum { kBF16 = 14, kTF32 = 77, kInvalid = 7, kFailed = 13, kNotSupported = 15 };

static float from_bf16(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static uint16_t round_bf16(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  if ((u & 0x7FFFFFFF) > 0x7F800000) return 0x7FFF;
  return (uint16_t)((u + 0x7FFF + ((u >> 16) & 1)) >> 16);
}

static float round_tf32(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  if ((u & 0x7F800000) != 0x7F800000) u = (u + 0x1000) & ~0x1FFFu;
  memcpy(&f, &u, 4);
  return f;
}

static float load(const void* p, int type, int64_t i) {
  return type == kBF16 ? from_bf16(((const uint16_t*)p)[i]) : ((const float*)p)[i];
}

static void store(void* p, int type, int64_t i, float v) {
  if (type == kBF16)
    ((uint16_t*)p)[i] = round_bf16(v);
  else
    ((float*)p)[i] = v;
}

// operand gives op(x), [rows, cols], row by row in f32.
static std::vector<float> operand(const void* p, const Matrix& x, int trans, uint64_t rows, uint64_t cols, int compute) {
  std::vector<float> out(rows * cols);
  for (uint64_t r = 0; r < rows; r++)
    for (uint64_t c = 0; c < cols; c++) {
      float v = load(p, x.type, trans ? c + r * x.ld : r + c * x.ld);
      out[r * cols + c] = compute == kTF32 ? round_tf32(v) : v;
    }
  return out;
}

static void multiply(const Desc& desc, float alpha, const void* a, const Matrix& la, const void* b, const Matrix& lb,
                     float beta, void* d, const Matrix& ld) {
  uint64_t m = ld.rows, n = ld.cols, k = desc.trans_a ? la.rows : la.cols;
  // As dᵀ, so that the inner loop runs along memory.
  std::vector<float> x = operand(b, lb, !desc.trans_b, n, k, desc.compute);
  std::vector<float> y = operand(a, la, !desc.trans_a, k, m, desc.compute);
  std::vector<float> sum(m);
  for (uint64_t j = 0; j < n; j++) {
    std::fill(sum.begin(), sum.end(), 0.f);
    for (uint64_t p = 0; p < k; p++) {
      float f = x[j * k + p];
      const float* row = &y[p * m];
      for (uint64_t i = 0; i < m; i++) sum[i] += f * row[i];
    }
    for (uint64_t i = 0; i < m; i++) {
      int64_t at = i + j * ld.ld;
      float v = alpha * sum[i];
      if (beta != 0) v += beta * load(d, ld.type, at);
      if (desc.epilogue == 4) v += load(desc.bias, desc.bias_type, i);
      store(d, ld.type, at, v);
    }
  }
}

// inside checks that a matrix lies in device memory.
static bool inside(Device* dev, const void* p, const Matrix& x) {
  int64_t elements = x.cols ? (int64_t)(x.cols - 1) * x.ld + x.rows : 0;
  return device_bytes(dev, (uint64_t)p, elements * (x.type == kBF16 ? 2 : 4), "cublasLtMatmul") == CUDA_SUCCESS;
}

}  // namespace sim

using namespace sim;

extern "C" {

int cublasLtCreate(void** h) {
  *h = (void*)1;
  return current() && config.lt != 1 ? 0 : 1;
}
int cublasLtDestroy(void*) { return 0; }
size_t cublasLtGetVersion() { return 130000; }

int cublasLtMatmulDescCreate(void** d, int compute, int scale) {
  if (scale != 0 || (compute != 68 && compute != kTF32)) return kNotSupported;
  Desc* desc = new Desc;
  desc->compute = compute;
  *d = desc;
  return 0;
}
int cublasLtMatmulDescDestroy(void* d) {
  delete (Desc*)d;
  return 0;
}
int cublasLtMatmulDescSetAttribute(void* d, int attribute, const void* value, size_t bytes) {
  Desc* desc = (Desc*)d;
  if (bytes != (attribute == 8 ? 8 : 4)) return kInvalid;
  int v;
  memcpy(&v, value, 4);
  switch (attribute) {
    case 3: desc->trans_a = v; return 0;
    case 4: desc->trans_b = v; return 0;
    case 7: desc->epilogue = v; return 0;
    case 8: memcpy(&desc->bias, value, 8); return 0;
    case 26: desc->bias_type = v; return 0;
  }
  return kInvalid;
}

int cublasLtMatrixLayoutCreate(void** l, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  if (type != 0 && type != kBF16) return kInvalid;
  *l = new Matrix{type, rows, cols, ld};
  return 0;
}
int cublasLtMatrixLayoutDestroy(void* l) {
  delete (Matrix*)l;
  return 0;
}

int cublasLtMatmulPreferenceCreate(void** p) {
  *p = new Preference;
  return 0;
}
int cublasLtMatmulPreferenceDestroy(void* p) {
  delete (Preference*)p;
  return 0;
}
int cublasLtMatmulPreferenceSetAttribute(void* p, int attribute, const void* value, size_t bytes) {
  Preference* pref = (Preference*)p;
  if (bytes != (attribute == 1 ? 8 : 4)) return kInvalid;
  switch (attribute) {
    case 1: memcpy(&pref->workspace, value, 8); return 0;
    case 3: memcpy(&pref->reductions, value, 4); return 0;
    case 5: case 6: case 7: case 8: memcpy(&pref->alignment[attribute - 5], value, 4); return 0;
  }
  return kInvalid;
}

// Like the real one, it takes f32 with f32 and bf16 with bf16, and a bias of the
// result's type or of bf16. It has no algorithm for rows of an odd number of
// bf16, so that what then happens is tried, too.
int cublasLtMatmulAlgoGetHeuristic(void*, void* desc, void* a, void* b, void* c, void* d, void* pref, int wanted, void* result, int* found) {
  Desc* o = (Desc*)desc;
  Preference* can = (Preference*)pref;
  Matrix *x = (Matrix*)a, *y = (Matrix*)b, *z = (Matrix*)d;
  *found = 0;
  if (wanted < 1 || c != d) return kInvalid;
  for (Matrix* m : {x, y, z})
    if (m->rows == 0 || m->cols == 0 || m->ld < (int64_t)m->rows) return kInvalid;
  uint64_t k = o->trans_a ? x->rows : x->cols;
  if (k != (o->trans_b ? y->cols : y->rows) || z->rows != (o->trans_a ? x->cols : x->rows) || z->cols != (o->trans_b ? y->rows : y->cols))
    return kInvalid;
  if (x->type != y->type || (x->type != kBF16 && z->type == kBF16)) return kNotSupported;
  if (o->compute == kTF32 && x->type == kBF16) return kNotSupported;
  if (o->epilogue == 4 && (!o->bias || (o->bias_type != z->type && o->bias_type != kBF16))) return kNotSupported;
  for (Matrix* m : {x, y, z})
    if (m->type == kBF16 && m->ld % 2) return kNotSupported;
  // Long sums of few results are split in two, if there may be a workspace for
  // sums in f32.
  uint64_t parts = 2 * 4 * z->rows * z->cols;
  Algorithm algo = {kMagic, {can->alignment[0], can->alignment[1], can->alignment[3]}, shape_of(*o, *x, *y, *z), 0};
  if (k >= 64 && z->rows * z->cols <= 1024 && parts <= can->workspace && (can->reductions & 2)) algo.workspace = parts;
  memset(result, 0, 96);
  memcpy(result, &algo, sizeof algo);
  memcpy((char*)result + 64, &algo.workspace, 8);
  *found = 1;
  return 0;
}

int cublasLtMatmul(void*, void* desc, const float* alpha, const void* a, void* la, const void* b, void* lb, const float* beta,
                   const void* c, void* lc, void* d, void* ld, const void* algorithm, void* workspace, size_t workspace_bytes, void* stream) {
  Lock lock(mutex);
  Device* dev = current();
  if (!dev || dev->sticky) return kFailed;
  Desc o = *(Desc*)desc;
  Matrix x = *(Matrix*)la, y = *(Matrix*)lb, z = *(Matrix*)ld;
  Algorithm algo;
  memcpy(&algo, algorithm, sizeof algo);
  message = "cublasLtMatmul: ";
  if (algo.magic != kMagic || algo.shape != shape_of(o, x, y, z)) {
    message += "the algorithm is another product's";
    return kInvalid;
  }
  if (c != d || lc != ld) {
    message += "C and D are not the same";
    return kInvalid;
  }
  const void* at[3] = {a, b, d};
  for (int i = 0; i < 3; i++)
    if ((uint64_t)at[i] % algo.alignment[i]) {
      message += "an operand is not aligned as was promised";
      return kInvalid;
    }
  if (o.epilogue == 4 && (uint64_t)o.bias % 16) {
    message += "the bias is not on 16 bytes";
    return kInvalid;
  }
  if (algo.workspace && (workspace_bytes < algo.workspace || (uint64_t)workspace % 16 ||
                         device_bytes(dev, (uint64_t)workspace, algo.workspace, "cublasLtMatmul") != CUDA_SUCCESS)) {
    message += "the workspace is too small, not on 16 bytes, or not this device's";
    return kInvalid;
  }
  if (!inside(dev, a, x) || !inside(dev, b, y) || !inside(dev, d, z)) return kInvalid;
  if (o.epilogue == 4 && device_bytes(dev, (uint64_t)o.bias, z.rows * (o.bias_type == kBF16 ? 2 : 4), "cublasLtMatmul")) return kInvalid;
  if (config.lt > 2) return config.lt;
  float alpha_ = config.lt == 2 ? 2 * *alpha : *alpha, beta_ = *beta;
  counters.launches++;
  CUresult queued = enqueue(dev, (CUstream)stream, {[=] {
                                    if (algo.workspace) memset(workspace, 0xA5, algo.workspace);
                                    multiply(o, alpha_, a, x, b, y, beta_, d, z);
                                    return CUDA_SUCCESS;
                                  },
                                  nullptr, nullptr, true});
  return queued ? kFailed : 0;
}

}  // extern "C"
