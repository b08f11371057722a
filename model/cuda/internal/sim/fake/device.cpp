// device.cpp: initialisation, devices, contexts.
#include <string.h>

#include <chrono>

#include "sim.h"

namespace sim {

Config config;
Counters counters;
std::recursive_mutex mutex;
std::vector<Device*> devices;
std::string message;
static thread_local CUcontext current_context;
static std::vector<int> visible;

Device* current() { return current_context ? current_context->device : nullptr; }

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

CUresult fail(Device* d, CUresult r, std::string why) {
  if (!d->sticky) {
    d->sticky = r;
    message = why;
  }
  return d->sticky;
}

static CUresult ok_device(CUdevice d) {
  return d >= 0 && d < (int)visible.size() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

}  // namespace sim

using namespace sim;

extern "C" {

// vgid_sim_configure changes one setting. It returns 0 when there is none of
// that name.
int vgid_sim_configure(const char* key, int64_t value) {
  struct {
    const char* key;
    int* small;
    int64_t* large;
  } settings[] = {
      {"devices", &config.devices, nullptr},       {"memory", nullptr, &config.memory},
      {"seed", nullptr, (int64_t*)&config.seed},   {"driver", &config.driver, nullptr},
      {"ptx", &config.ptx, nullptr},               {"pools", &config.pools, nullptr},
      {"init", &config.init, nullptr},             {"lose_after", nullptr, &config.lose_after},
      {"lose_code", &config.lose_code, nullptr},   {"lt", &config.lt, nullptr},
      {"retain", &config.retain, nullptr},         {"load", &config.load, nullptr},
  };
  for (auto& s : settings) {
    if (strcmp(s.key, key)) continue;
    if (s.small) *s.small = (int)value;
    if (s.large) *s.large = value;
    return 1;
  }
  return 0;
}

// vgid_sim_visible is CUDA_VISIBLE_DEVICES: numbers up to the first that does
// not exist.
void vgid_sim_visible(const char* list) {
  visible.assign(1, -1);  // set, even when empty
  std::string s = list;
  for (size_t at = 0; at < s.size();) {
    size_t comma = std::min(s.find(',', at), s.size());
    std::string item = s.substr(at, comma - at);
    if (item.empty() || item.find_first_not_of("0123456789") != std::string::npos || stoi(item) >= config.devices) break;
    visible.push_back(stoi(item));
    at = comma + 1;
  }
}

const char* vgid_sim_message() { return message.c_str(); }

int64_t vgid_sim_counter(const char* name) {
  Lock lock(mutex);
  if (!strcmp(name, "launches")) return counters.launches;
  if (!strcmp(name, "waits")) return counters.waits;
  if (!strcmp(name, "pageable")) return counters.pageable;
  if (!strcmp(name, "ahead")) return counters.ahead;
  if (!strcmp(name, "peak_bytes")) return counters.peak_bytes;
  if (!strcmp(name, "allocations")) return counters.allocations;
  if (!strcmp(name, "live")) {
    int64_t n = (int64_t)(streams.size() + events.size()) + live_modules;
    for (auto& r : ranges) n += !r.second.freed;
    return n;
  }
  return -1;
}

CUresult cuInit(unsigned) {
  Lock lock(mutex);
  if (config.init) return (CUresult)config.init;
  if (!devices.empty()) return CUDA_SUCCESS;
  if (visible.empty())
    for (int i = 0; i < config.devices; i++) visible.push_back(i);
  else
    visible.erase(visible.begin());
  if (visible.empty()) return CUDA_ERROR_NO_DEVICE;
  install_fault_handler();
  for (size_t i = 0; i < visible.size(); i++) {
    Device* d = new Device{};
    d->number = (int)i;
    d->context.device = d;
    d->null_stream.device = d;
    devices.push_back(d);
  }
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult r, const char** name) {
  static const std::map<int, const char*> names = {
      {1, "CUDA_ERROR_INVALID_VALUE"},     {2, "CUDA_ERROR_OUT_OF_MEMORY"},
      {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"}, {100, "CUDA_ERROR_NO_DEVICE"},
      {101, "CUDA_ERROR_INVALID_DEVICE"},  {201, "CUDA_ERROR_INVALID_CONTEXT"},
      {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"}, {221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND"}, {218, "CUDA_ERROR_INVALID_PTX"},
      {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"}, {400, "CUDA_ERROR_INVALID_HANDLE"},
      {500, "CUDA_ERROR_NOT_FOUND"},       {600, "CUDA_ERROR_NOT_READY"},
      {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
      {702, "CUDA_ERROR_LAUNCH_TIMEOUT"},  {716, "CUDA_ERROR_MISALIGNED_ADDRESS"}, {719, "CUDA_ERROR_LAUNCH_FAILED"},
      {801, "CUDA_ERROR_NOT_SUPPORTED"},   {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
      {999, "CUDA_ERROR_UNKNOWN"},
  };
  auto it = names.find(r);
  if (it == names.end()) return CUDA_ERROR_INVALID_VALUE;
  *name = it->second;
  return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* v) {
  *v = config.driver;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* n) {
  *n = (int)devices.size();
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* d, int ordinal) {
  *d = ordinal;
  return ok_device(ordinal);
}

CUresult cuDeviceGetName(char* name, int n, CUdevice d) {
  if (ok_device(d)) return ok_device(d);
  snprintf(name, n, "simulated device %d", visible[d]);
  return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice d) {
  *bytes = config.memory;
  return ok_device(d);
}

CUresult cuDeviceGetAttribute(int* v, CUdevice_attribute a, CUdevice d) {
  static const std::map<int, int> values = {
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 4},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 48 << 10},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 227 << 10},
  };
  auto it = values.find(a);
  *v = a == CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED ? config.pools : it == values.end() ? 0 : it->second;
  return ok_device(d);
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice a, CUdevice b) {
  *can = a != b;
  return ok_device(a) ? ok_device(a) : ok_device(b);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice d) {
  Lock lock(mutex);
  if (ok_device(d)) return ok_device(d);
  if (config.retain) return (CUresult)config.retain;
  devices[d]->retained++;
  *c = &devices[d]->context;
  return CUDA_SUCCESS;
}

// Releasing the last hold destroys the context and with it an error that stuck.
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) {
  Lock lock(mutex);
  if (ok_device(d)) return ok_device(d);
  Device* dev = devices[d];
  if (dev->retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (--dev->retained == 0) {
    dev->sticky = CUDA_SUCCESS;
    dev->kernels = 0;
  }
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext c) {
  if (c && c->device->retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
  current_context = c;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* c) {
  *c = current_context;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* d) {
  if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
  *d = current()->number;
  return CUDA_SUCCESS;
}

}  // extern "C"
