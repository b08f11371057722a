// module.cpp: the committed PTX is not executed but read: which kernels it has,
// what parameters and shared memory they take. The kernels of the same names
// that run are those compiled for the host; one that exists on one side only is
// refused.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <regex>

#include "sim.h"

namespace sim {

int live_modules;

struct Entry {
  std::vector<int> params;  // bytes of each
  int64_t shared = 0;       // bytes of static shared memory
};

static const int64_t kPlainShared = 48 << 10, kMostShared = 227 << 10;

}  // namespace sim

struct CUmod_st {
  sim::Device* device;
  std::map<std::string, sim::Entry> entries;
  std::vector<CUfunction> functions;
};

struct CUfunc_st {
  sim::Device* device;
  const hs::Kernel* kernel;
  sim::Entry entry;
  int64_t dynamic = sim::kPlainShared;
};

namespace sim {

// type_bytes is the size of ".u64", ".f32", ".b8".
static int type_bytes(const std::string& t) { return atoi(t.c_str() + t.find_first_of("0123456789")) / 8; }

// parse reads PTX and explains in message what it does not like.
static CUresult parse(const std::string& ptx, std::map<std::string, Entry>* out) {
  std::smatch m;
  static const std::regex version(R"(\.version\s+(\d+)\.(\d+))"), target(R"(\.target\s+sm_(\d+))");
  if (!std::regex_search(ptx, m, version)) {
    message = "the image is not PTX";
    return CUDA_ERROR_INVALID_PTX;
  }
  if (stoi(m[1]) * 10 + stoi(m[2]) > config.ptx) {
    message = "PTX " + m[1].str() + "." + m[2].str() + " is newer than this driver";
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  }
  if (!std::regex_search(ptx, m, target) || stoi(m[1]) > 90) {
    message = "PTX for another device";
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  }
  std::map<std::string, int64_t> shared;
  static const std::regex array(R"(\.shared\s+\.align\s+\d+\s+\.b8\s+([\w$]+)\[(\d+)\])");
  for (std::sregex_iterator i(ptx.begin(), ptx.end(), array), end; i != end; ++i) shared[(*i)[1]] = stoll((*i)[2]);
  static const std::regex param(R"(\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+[\w$]+(?:\[(\d+)\])?)");
  const std::string mark = ".entry ";
  for (size_t at = ptx.find(mark); at != std::string::npos;) {
    size_t name = at + mark.size(), open = ptx.find('(', name), close = ptx.find(')', open);
    size_t next = ptx.find(mark, close);
    Entry e;
    std::string head = ptx.substr(open, close - open), body = ptx.substr(close, next == std::string::npos ? next : next - close);
    for (std::sregex_iterator i(head.begin(), head.end(), param), end; i != end; ++i)
      e.params.push_back(type_bytes((*i)[1]) * ((*i)[2].matched ? stoi((*i)[2]) : 1));
    for (auto& s : shared)
      if (body.find(s.first) != std::string::npos) e.shared += s.second;
    (*out)[ptx.substr(name, open - name)] = e;
    at = next;
  }
  return CUDA_SUCCESS;
}

// parse_once is parse, which takes longer than most tests, for texts that a process loads for
// each device it opens. What is refused is read again. The driver's lock is held.
static CUresult parse_once(const std::string& ptx, std::map<std::string, Entry>* out) {
  static std::map<std::pair<int, std::string>, std::map<std::string, Entry>> accepted;
  auto key = std::make_pair(config.ptx, ptx);
  auto known = accepted.find(key);
  if (known == accepted.end()) {
    if (CUresult r = parse(ptx, out)) return r;
    known = accepted.emplace(key, *out).first;
  }
  *out = known->second;
  return CUDA_SUCCESS;
}

// same_parameters compares a kernel's PTX with its host build.
static bool same_parameters(const Entry& e, const std::string& signature) {
  if (e.params.size() != signature.size()) return false;
  for (size_t i = 0; i < signature.size(); i++)
    if (e.params[i] != (strchr("if", signature[i]) ? 4 : 8)) return false;
  return true;
}

// foreign finds a pointer argument into another device's or the host's memory.
static bool foreign(Device* d, const std::string& signature, const uint64_t* cells) {
  for (size_t i = 0; i < signature.size(); i++) {
    Range* r = signature[i] == 'p' ? find(cells[i], 1) : nullptr;
    if (r && r->device != d) return true;
  }
  return false;
}

// misaligned finds a matrix, a pointer and its Layout, whose elements no load
// could read.
static bool misaligned(const std::string& signature, const uint64_t* cells) {
  for (size_t i = 0; i + 1 < signature.size(); i++) {
    uint64_t size = cells[i + 1] >> 32 == 1 ? 2 : 4;  // gpu.h: DType
    if (signature[i] == 'p' && signature[i + 1] == 'v' && cells[i] % size) return true;
  }
  return false;
}

}  // namespace sim

using namespace sim;

extern "C" {

CUresult cuModuleLoadDataEx(CUmodule* m, const void* image, unsigned n, CUjit_option* options, void** values) {
  ENTER;
  std::map<std::string, Entry> entries;
  CUresult r = config.load ? (CUresult)config.load : parse_once((const char*)image, &entries);
  char* log = nullptr;
  size_t size = 0;
  for (unsigned i = 0; i < n; i++) {
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log = (char*)values[i];
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) size = (size_t)values[i];
  }
  if (log && size) snprintf(log, size, "%s\n", r ? message.c_str() : "");
  if (r) return r;
  *m = new CUmod_st{dev, entries, {}};
  live_modules++;
  return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule m) {
  Lock lock(mutex);
  for (CUfunction f : m->functions) delete f;
  delete m;
  live_modules--;
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* f, CUmodule m, const char* name) {
  ENTER;
  if (m->device != dev) return CUDA_ERROR_INVALID_HANDLE;
  auto entry = m->entries.find(name);
  auto kernel = hs::kernels().find(name);
  bool in_ptx = entry != m->entries.end(), on_host = kernel != hs::kernels().end();
  if (!in_ptx || !on_host) {
    message = std::string(name) + (in_ptx ? " is in the PTX but has no host build" : " is not in the PTX");
    return CUDA_ERROR_NOT_FOUND;
  }
  if (!same_parameters(entry->second, kernel->second.signature)) {
    message = std::string(name) + ": the PTX and the host build take different parameters: the PTX is out of date";
    return CUDA_ERROR_INVALID_PTX;
  }
  *f = new CUfunc_st{dev, &kernel->second, entry->second};
  m->functions.push_back(*f);
  return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) {
  ENTER;
  if (f->device != dev) return CUDA_ERROR_INVALID_HANDLE;
  if (v < 0 || a != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || v + f->entry.shared > kMostShared) return CUDA_ERROR_INVALID_VALUE;
  f->dynamic = v;
  return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int* v, CUfunction_attribute a, CUfunction f) {
  ENTER;
  *v = a == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? (int)f->kernel->max_threads
       : a == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES   ? (int)f->entry.shared
                                                    : 0;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream s, void** args, void**) {
  ENTER;
  message = f->kernel->name;
  if (f->device != dev || !known(dev, s)) {
    message += ": the kernel or the stream is another device's, or the stream is destroyed";
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!gx || !gy || !gz || gx > 0x7FFFFFFFu || gy > 65535 || gz > 65535) {
    message += ": the grid is empty or beyond a grid's limits";
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!bx || !by || !bz || bz > 64 || (uint64_t)bx * by * bz > f->kernel->max_threads) {
    message += ": the block is empty or above the " + std::to_string(f->kernel->max_threads) + " threads of the kernel";
    return CUDA_ERROR_INVALID_VALUE;
  }
  if ((int64_t)shared > f->dynamic || (f->dynamic <= kPlainShared && shared + f->entry.shared > kPlainShared)) {
    message += ": more shared memory than the kernel has been allowed";
    return CUDA_ERROR_INVALID_VALUE;
  }
  std::vector<uint64_t> cells(f->entry.params.size());
  for (size_t i = 0; i < cells.size(); i++) memcpy(&cells[i], args[i], f->entry.params[i]);
  if (foreign(dev, f->kernel->signature, cells.data()))
    return fail(dev, CUDA_ERROR_ILLEGAL_ADDRESS, f->kernel->name + ": an argument points to memory that is not this device's");
  if (misaligned(f->kernel->signature, cells.data()))
    return fail(dev, CUDA_ERROR_MISALIGNED_ADDRESS, f->kernel->name + ": a matrix does not begin on a multiple of its element's size");
  const hs::Kernel* kernel = f->kernel;
  hs::Launch how;
  how.grid = {gx, gy, gz};
  how.block = {bx, by, bz};
  how.dynamic_shared = shared;
  how.seed = config.seed ? config.seed + (uint64_t)counters.launches : 0;
  counters.launches++;
  return enqueue(dev, s, {[=]() mutable -> CUresult {
                            if (config.lose_after >= 0 && dev->number == 0 && dev->kernels++ >= config.lose_after) {
                              message = "it was told to be lost";
                              return (CUresult)config.lose_code;
                            }
                            std::vector<void*> pointers;
                            for (uint64_t& c : cells) pointers.push_back(&c);
                            std::string why = hs::launch(*kernel, pointers.data(), how);
                            if (why.empty()) return CUDA_SUCCESS;
                            message = why;
                            return why.find("access to") != std::string::npos ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED;
                          },
                          nullptr, nullptr, true});
}

}  // extern "C"
