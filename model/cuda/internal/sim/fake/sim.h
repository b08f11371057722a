// sim.h: the state of the simulated devices, shared by the files of the fake
// driver. See sim.go for what is simulated.
#pragma once
#include <cuda.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "hostsim.h"

namespace sim {

// Config is set by vgid_sim_configure before cuInit.
struct Config {
  int devices = 1;
  int64_t memory = 1ll << 30;  // bytes of each device
  uint64_t seed = 0;           // of the order in which streams, blocks, warps run
  int driver = 13000;          // the version the driver says it has
  int ptx = 90;                // the newest PTX it compiles, 90 for 9.0
  int pools = 1;               // whether it allocates in stream order
  int init = 0;                // what cuInit answers
  int retain = 0;              // what cuDevicePrimaryCtxRetain answers
  int load = 0;                // what loading a module answers
  int lt = 0;                  // what is the matter with cuBLASLt: see cublaslt.cpp
  int64_t lose_after = -1;     // kernels after which device 0 is lost
  int lose_code = 999;         // the error it then gives
};
extern Config config;

// Counters are read by tests.
struct Counters {
  int64_t launches, waits, pageable, peak_bytes, allocations;
  int64_t ahead;  // bytes copied from the host before kernels that were queued earlier
};
extern Counters counters;

// Mark is one recording of an event.
struct Mark {
  bool done = false;
  double time = 0;
};

// Op is one piece of queued work. It may run once `after` is done.
struct Op {
  std::function<CUresult()> run;
  std::shared_ptr<Mark> after, sets;
  bool kernel = false;
  int64_t upload = 0;   // bytes copied from the host
  uint64_t number = 0;  // in the order of queueing, over all streams
};

struct Device;

}  // namespace sim

// The handles of the driver's interface.

struct CUstream_st {
  sim::Device* device;
  std::deque<sim::Op> queue;
  std::vector<sim::Op>* capture = nullptr;
};

struct CUevent_st {
  sim::Device* device;
  bool timing;
  std::shared_ptr<sim::Mark> mark;
};

struct CUgraph_st {
  std::vector<sim::Op> ops;
};

struct CUgraphExec_st {
  std::vector<sim::Op> ops;
};

struct CUctx_st {
  sim::Device* device;
};

namespace sim {

struct Device {
  int number;
  int retained = 0;
  int64_t used = 0, kernels = 0;  // used: live bytes
  int64_t pooled = 0, reserved = 0, threshold = 0;  // of the pool: live, held, held when free
  CUresult sticky = CUDA_SUCCESS;  // an error after which the context is dead
  CUctx_st context;
  CUstream_st null_stream;
};

// Range is memory between two pages that nobody may touch. It ends as close to
// the second as 16-byte alignment allows; the rest is checked when it is freed.
struct Range {
  char* map;
  size_t map_bytes, bytes;
  Device* device;  // null for page-locked host memory
  bool freed;      // a free is queued
  bool pooled;     // allocated in stream order
  bool open;       // its allocation has had its turn in the queue
  int shared;      // the file behind memory that other processes may map, or 0
  bool attached;   // another process's
};

extern std::recursive_mutex mutex;
extern std::vector<Device*> devices;
extern std::map<uint64_t, Range> ranges;
extern std::vector<CUstream> streams;
extern std::string message;  // what went wrong on the device
extern std::set<CUevent> events;
extern int live_modules;

typedef std::lock_guard<std::recursive_mutex> Lock;

Device* current();  // of the calling thread, or null

// find gives the live range that holds n bytes at p, or null.
Range* find(uint64_t p, size_t n);

// device_bytes checks that n bytes at p are memory of d. It explains in message.
CUresult device_bytes(Device* d, uint64_t p, size_t n, const char* call);

// share puts a file behind a range, for other processes; attach maps another
// process's file. Both fail with false, or 0.
bool share(Range* r);
uint64_t attach(Device* d, int file, size_t map_bytes, size_t bytes);
CUresult detach(uint64_t p);

// known reports whether a stream, or null for the null stream, is d's and has not
// been destroyed.
bool known(Device* d, CUstream s);

// enqueue queues work on a stream, the null stream of d when s is null.
CUresult enqueue(Device* d, CUstream s, Op op);

// run_until runs queued work, in an order drawn from the seed, until done()
// holds; target is preferred. It fails when nothing can run.
CUresult run_until(const std::function<bool()>& done, CUstream target);

// fail makes an error of the device stick.
CUresult fail(Device* d, CUresult r, std::string why);

double now();  // seconds
void install_fault_handler();

}  // namespace sim

// ENTER begins every call that needs a context.
#define ENTER                                    \
  sim::Lock lock(sim::mutex);                    \
  sim::Device* dev = sim::current();             \
  if (!dev) return CUDA_ERROR_INVALID_CONTEXT;   \
  if (dev->sticky) return dev->sticky
