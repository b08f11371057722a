// ipc.cpp: device memory that several processes map: a file behind it, which the
// handle names.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

namespace sim {

struct Name {
  char mark[16];
  int pid, file;
  uint64_t map_bytes, bytes;
};

static const char kMark[16] = "simulated share";
static_assert(sizeof(Name) <= sizeof(CUipcMemHandle), "a handle holds a name");

}  // namespace sim

using namespace sim;

extern "C" {

CUresult cuIpcGetMemHandle(CUipcMemHandle* h, CUdeviceptr p) {
  ENTER;
  auto it = ranges.find(p);
  if (it == ranges.end() || it->second.device != dev || it->second.pooled || it->second.attached) {
    message = "only memory of cuMemAlloc can be shared with another process";
    return CUDA_ERROR_INVALID_VALUE;
  }
  Range& r = it->second;
  if (!share(&r)) return CUDA_ERROR_OUT_OF_MEMORY;
  Name n = {{}, getpid(), r.shared, r.map_bytes, r.bytes};
  memcpy(n.mark, kMark, sizeof kMark);
  memset(h, 0, sizeof *h);
  memcpy(h, &n, sizeof n);
  return CUDA_SUCCESS;
}

// Like the real one, it refuses the process's own memory.
CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* p, CUipcMemHandle h, unsigned) {
  ENTER;
  Name n;
  memcpy(&n, &h, sizeof n);
  if (memcmp(n.mark, kMark, sizeof kMark)) return CUDA_ERROR_INVALID_VALUE;
  if (n.pid == getpid()) return CUDA_ERROR_INVALID_CONTEXT;
  std::string path = "/proc/" + std::to_string(n.pid) + "/fd/" + std::to_string(n.file);
  int file = open(path.c_str(), O_RDWR);
  if (file < 0) return CUDA_ERROR_INVALID_VALUE;
  *p = attach(dev, file, n.map_bytes, n.bytes);
  close(file);
  return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuIpcCloseMemHandle(CUdeviceptr p) {
  ENTER;
  CUresult r = run_until([] {
    for (CUstream s : streams)
      if (!s->queue.empty()) return false;
    return true;
  }, nullptr);
  return r ? r : detach(p);
}

}  // extern "C"
