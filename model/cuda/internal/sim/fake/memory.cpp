// memory.cpp: device memory between guard pages, page-locked memory, copies.
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "sim.h"

namespace sim {

std::map<uint64_t, Range> ranges;
static std::deque<std::pair<char*, size_t>> quarantine;

static const size_t kPage = 4096;
static const unsigned char kFresh = 0xCB;  // what fresh memory holds
static const size_t kQuarantine = 4096;    // freed ranges whose addresses stay unused

static size_t pages(size_t n) { return (n + kPage - 1) / kPage * kPage; }

// reserve maps n bytes, closed until open() when they are allocated in stream
// order.
static uint64_t reserve(size_t n, Device* d, bool open) {
  size_t body = pages(n ? n : 1);
  char* m = (char*)mmap(nullptr, body + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED) return 0;
  mprotect(m + kPage, body, PROT_READ | PROT_WRITE);
  memset(m + kPage, kFresh, body);
  if (!open) mprotect(m + kPage, body, PROT_NONE);
  uint64_t p = (uint64_t)(m + kPage + ((body - n) & ~15ull));
  ranges[p] = {m, body + 2 * kPage, n, d, false, !open, open, 0, false};
  return p;
}

static void open(Range& r) {
  mprotect(r.map + kPage, r.map_bytes - 2 * kPage, PROT_READ | PROT_WRITE);
  r.open = true;
}

// release closes memory and keeps its address unused for a while, so that a
// late access faults. It reports writes around the range.
static CUresult release(uint64_t p) {
  Range r = ranges[p];
  ranges.erase(p);
  CUresult result = CUDA_SUCCESS;
  const unsigned char *from = (unsigned char*)r.map + kPage, *to = from + r.map_bytes - 2 * kPage;
  const unsigned char *data = (unsigned char*)p, *end = data + r.bytes;
  for (const unsigned char* b = from; b < to; b++)
    if ((b < data || b >= end) && *b != kFresh && r.device)
      result = fail(r.device, CUDA_ERROR_ILLEGAL_ADDRESS, "a write just outside an allocation of " + std::to_string(r.bytes) + " bytes");
  mprotect(r.map, r.map_bytes, PROT_NONE);
  madvise(r.map, r.map_bytes, MADV_DONTNEED);
  quarantine.push_back({r.map, r.map_bytes});
  if (quarantine.size() > kQuarantine) {
    munmap(quarantine.front().first, quarantine.front().second);
    quarantine.pop_front();
  }
  if (r.shared) close(r.shared);
  if (Device* d = r.attached ? nullptr : r.device) {
    d->used -= r.bytes;
    if (r.pooled) {
      d->pooled -= r.bytes;
      d->reserved = std::min(d->reserved, std::max(d->pooled, d->threshold));
    }
  }
  return result;
}

Range* find(uint64_t p, size_t n) {
  auto it = ranges.upper_bound(p);
  if (it == ranges.begin()) return nullptr;
  --it;
  return !it->second.freed && p + n <= it->first + it->second.bytes ? &it->second : nullptr;
}

bool share(Range* r) {
  if (r->shared) return true;
  size_t body = r->map_bytes - 2 * kPage;
  char* m = r->map + kPage;
  int file = memfd_create("device memory", 0);
  bool ok = file > 0 && write(file, m, body) == (ssize_t)body &&
            mmap(m, body, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == m;
  if (ok) r->shared = file;
  return ok;
}

uint64_t attach(Device* d, int file, size_t map_bytes, size_t bytes) {
  size_t body = map_bytes - 2 * kPage;
  char* m = (char*)mmap(nullptr, map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED || mmap(m + kPage, body, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) return 0;
  uint64_t p = (uint64_t)(m + kPage + ((body - bytes) & ~15ull));
  ranges[p] = {m, map_bytes, bytes, d, false, false, true, 0, true};
  return p;
}

CUresult detach(uint64_t p) {
  auto it = ranges.find(p);
  if (it == ranges.end() || !it->second.attached) return CUDA_ERROR_INVALID_VALUE;
  munmap(it->second.map, it->second.map_bytes);
  ranges.erase(it);
  return CUDA_SUCCESS;
}

CUresult device_bytes(Device* d, uint64_t p, size_t n, const char* call) {
  Range* r = n ? find(p, n) : nullptr;
  if (n == 0 || (r && r->device == d)) return CUDA_SUCCESS;
  message = std::string(call) + ": " + std::to_string(n) + " bytes that are not all allocated on this device";
  return CUDA_ERROR_INVALID_VALUE;
}

static bool pinned(const void* p, size_t n) {
  Range* r = find((uint64_t)p, n);
  return r && !r->device;
}

// left is what the device can still give: to others than the pool not what that
// holds.
static int64_t left(Device* d) { return config.memory - (d->used - d->pooled) - d->reserved; }

static CUresult take(Device* d, size_t n, bool pooled) {
  auto fits = [&] { return (int64_t)n <= left(d) + (pooled ? d->reserved - d->pooled : 0); };
  if (!fits()) {  // frees may be queued
    CUresult r = run_until([&] {
      for (CUstream s : streams)
        if (!s->queue.empty()) return false;
      return true;
    }, nullptr);
    if (r) return r;
  }
  if (!fits()) return CUDA_ERROR_OUT_OF_MEMORY;
  d->used += n;
  if (pooled) {
    d->pooled += n;
    d->reserved = std::max(d->reserved, d->pooled);
  }
  counters.allocations++;
  if (d->used > counters.peak_bytes) counters.peak_bytes = d->used;
  return CUDA_SUCCESS;
}

// closed reports whether a copy comes before the allocation of its memory, or
// after the free. Memory of the host is always there.
static bool closed(const void* p, bool device) {
  if (!device) return false;
  auto it = ranges.upper_bound((uint64_t)p);
  if (it == ranges.begin()) return true;
  --it;
  return (uint64_t)p >= it->first + it->second.bytes || !it->second.open;
}

static CUresult too_early() {
  message = "a copy to or from memory that is freed, or not yet allocated in stream order";
  return CUDA_ERROR_ILLEGAL_ADDRESS;
}

enum { kToDevice = 1, kFromDevice = 2 };

// copy queues a memory copy.
static CUresult copy(Device* d, CUstream s, void* dst, const void* src, size_t n, int way, bool upload = false) {
  if (!n) return CUDA_SUCCESS;
  Op op{[=] {
          if (closed(dst, way & kToDevice) || closed(src, way & kFromDevice)) return too_early();
          memcpy(dst, src, n);
          return CUDA_SUCCESS;
        },
        nullptr, nullptr};
  if (upload) op.upload = n;
  return enqueue(d, s, op);
}

static CUresult wait(CUstream s) {
  return run_until([=] { return s->queue.empty(); }, s);
}

}  // namespace sim

using namespace sim;

extern "C" {

CUresult cuMemAlloc_v2(CUdeviceptr* p, size_t n) {
  ENTER;
  if (n == 0) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult r = take(dev, n, false)) return r;
  *p = reserve(n, dev, true);
  return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFree_v2(CUdeviceptr p) {
  ENTER;
  auto it = ranges.find(p);
  if (it == ranges.end() || it->second.freed || it->second.device != dev) return CUDA_ERROR_INVALID_VALUE;
  CUresult r = run_until([] {
    for (CUstream s : streams)
      if (!s->queue.empty()) return false;
    return true;
  }, nullptr);
  return r ? r : release(p);
}

CUresult cuMemAllocAsync(CUdeviceptr* p, size_t n, CUstream s) {
  ENTER;
  if (!config.pools) return CUDA_ERROR_NOT_SUPPORTED;
  if (s && s->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (n == 0) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult r = take(dev, n, true)) return r;
  uint64_t at = reserve(n, dev, false);
  if (!at) return CUDA_ERROR_OUT_OF_MEMORY;
  *p = at;
  return enqueue(dev, s, {[=] {
                            open(ranges[at]);
                            return CUDA_SUCCESS;
                          },
                          nullptr, nullptr});
}

CUresult cuMemFreeAsync(CUdeviceptr p, CUstream s) {
  ENTER;
  auto it = ranges.find(p);
  if (it == ranges.end() || it->second.freed || it->second.device != dev) return CUDA_ERROR_INVALID_VALUE;
  it->second.freed = true;
  return enqueue(dev, s, {[=] { return release(p); }, nullptr, nullptr});
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice d) {
  *pool = (CUmemoryPool)(intptr_t)(d + 1);
  return config.pools ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static Device* owner(CUmemoryPool pool) { return devices[(intptr_t)pool - 1]; }

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute a, void* v) {
  Lock lock(mutex);
  if (a != CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) return CUDA_ERROR_INVALID_VALUE;
  owner(pool)->threshold = (int64_t)std::min(*(uint64_t*)v, (uint64_t)INT64_MAX);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute a, void* v) {
  Lock lock(mutex);
  Device* d = owner(pool);
  *(uint64_t*)v = a == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT ? d->reserved : d->pooled;
  return a == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT || a == CU_MEMPOOL_ATTR_USED_MEM_CURRENT ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep) {
  Lock lock(mutex);
  Device* d = owner(pool);
  d->reserved = std::min(d->reserved, std::max(d->pooled, (int64_t)keep));
  return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t* available, size_t* total) {
  ENTER;
  *total = config.memory;
  *available = left(dev);
  return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void** p, size_t n, unsigned flags) {
  ENTER;
  if (n == 0 || flags > 7) return CUDA_ERROR_INVALID_VALUE;
  *p = (void*)reserve(n, nullptr, true);
  return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFreeHost(void* p) {
  Lock lock(mutex);
  auto it = ranges.find((uint64_t)p);
  if (it == ranges.end() || it->second.device) return CUDA_ERROR_INVALID_VALUE;
  return release((uint64_t)p);
}

// A copy from ordinary memory has read it when the call returns; from
// page-locked memory it reads when its turn in the queue comes.
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void* src, size_t n, CUstream s) {
  ENTER;
  if (CUresult r = device_bytes(dev, dst, n, "cuMemcpyHtoDAsync")) return r;
  if (pinned(src, n)) return copy(dev, s, (void*)dst, src, n, kToDevice, true);
  counters.pageable++;
  auto kept = std::make_shared<std::string>((const char*)src, n);
  return enqueue(dev, s, {[=] {
                            if (closed((void*)dst, true)) return too_early();
                            memcpy((void*)dst, kept->data(), n);
                            return CUDA_SUCCESS;
                          },
                          nullptr, nullptr});
}

CUresult cuMemcpyDtoHAsync_v2(void* dst, CUdeviceptr src, size_t n, CUstream s) {
  ENTER;
  if (CUresult r = device_bytes(dev, src, n, "cuMemcpyDtoHAsync")) return r;
  if (CUresult r = copy(dev, s, dst, (void*)src, n, kFromDevice)) return r;
  if (pinned(dst, n) || (s && s->capture)) return CUDA_SUCCESS;
  counters.pageable++;
  return wait(s ? s : &dev->null_stream);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s) {
  ENTER;
  if (CUresult r = device_bytes(dev, dst, n, "cuMemcpyDtoDAsync")) return r;
  if (CUresult r = device_bytes(dev, src, n, "cuMemcpyDtoDAsync")) return r;
  return copy(dev, s, (void*)dst, (void*)src, n, kToDevice | kFromDevice);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n, CUstream s) {
  ENTER;
  if (CUresult r = device_bytes(to->device, dst, n, "cuMemcpyPeerAsync")) return r;
  if (CUresult r = device_bytes(from->device, src, n, "cuMemcpyPeerAsync")) return r;
  return copy(dev, s, (void*)dst, (void*)src, n, kToDevice | kFromDevice);
}

// The synchronous copies do not wait for streams that do not wait for the null
// stream, and all of ours are such.
CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void* src, size_t n) {
  ENTER;
  if (CUresult r = device_bytes(dev, dst, n, "cuMemcpyHtoD")) return r;
  copy(dev, nullptr, (void*)dst, src, n, kToDevice);
  return wait(&dev->null_stream);
}

CUresult cuMemcpyDtoH_v2(void* dst, CUdeviceptr src, size_t n) {
  ENTER;
  if (CUresult r = device_bytes(dev, src, n, "cuMemcpyDtoH")) return r;
  copy(dev, nullptr, dst, (void*)src, n, kFromDevice);
  return wait(&dev->null_stream);
}

CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream s) {
  ENTER;
  if (CUresult r = device_bytes(dev, p, n, "cuMemsetD8Async")) return r;
  return enqueue(dev, s, {[=] {
                            if (closed((void*)p, n)) return too_early();
                            memset((void*)p, v, n);
                            return CUDA_SUCCESS;
                          },
                          nullptr, nullptr});
}

}  // extern "C"
