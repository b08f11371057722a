// stream.cpp: queues that run only when something waits for them, in an order
// between streams that the seed draws and events constrain; graphs.
#include <algorithm>
#include <utility>

#include "sim.h"

namespace sim {

std::vector<CUstream> streams;
std::set<CUevent> events;
static uint64_t random_state;

static uint64_t draw() {
  if (!random_state) random_state = config.seed * 2 + 1;
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return random_state >> 33;
}

bool known(Device* d, CUstream s) {
  return !s || (std::find(streams.begin(), streams.end(), s) != streams.end() && s->device == d);
}

CUresult enqueue(Device* d, CUstream s, Op op) {
  if (!known(d, s)) {
    message = "the stream is destroyed, or another device's";
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!s) s = &d->null_stream;
  static uint64_t queued;
  op.number = ++queued;
  if (s->capture)
    s->capture->push_back(op);
  else
    s->queue.push_back(op);
  return CUDA_SUCCESS;
}

static bool ready(CUstream s) { return !s->queue.empty() && (!s->queue.front().after || s->queue.front().after->done); }

// overtakes reports whether kernels that were queued before op still wait.
static bool overtakes(const Op& op, Device* d) {
  for (CUstream s : streams)
    for (const Op& o : s->queue)
      if (s->device == d && o.kernel && o.number < op.number) return true;
  return false;
}

static void step(CUstream s) {
  Op op = s->queue.front();
  s->queue.pop_front();
  Device* d = s->device;
  if (op.upload && overtakes(op, d)) counters.ahead += op.upload;
  if (!d->sticky && op.run) {
    CUresult r = op.run();
    if (r) fail(d, r, message);
  }
  if (op.sets) {
    op.sets->done = true;
    op.sets->time = now();
  }
}

CUresult run_until(const std::function<bool()>& done, CUstream target) {
  bool waited = false;
  while (!done()) {
    waited = true;
    std::vector<CUstream> can;
    for (Device* d : devices)
      if (ready(&d->null_stream)) can.push_back(&d->null_stream);
    for (CUstream s : streams)
      if (ready(s)) can.push_back(s);
    if (can.empty()) {
      message = "streams wait for events that never come";
      return CUDA_ERROR_LAUNCH_TIMEOUT;
    }
    // Half of the time, or always without a seed, work goes to the stream that
    // is waited for, so that others fall behind as well as run ahead.
    bool prefer = target && ready(target) && (config.seed == 0 || draw() % 2);
    step(prefer ? target : can[config.seed ? draw() % can.size() : 0]);
  }
  counters.waits += waited;
  Device* d = target ? target->device : current();
  return d ? d->sticky : CUDA_SUCCESS;
}

}  // namespace sim

using namespace sim;

extern "C" {

CUresult cuStreamCreate(CUstream* s, unsigned) {
  ENTER;
  *s = new CUstream_st{dev, {}, nullptr};
  streams.push_back(*s);
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream s) {
  Lock lock(mutex);
  auto it = std::find(streams.begin(), streams.end(), s);
  if (it == streams.end()) return CUDA_ERROR_INVALID_HANDLE;
  run_until([=] { return s->queue.empty(); }, s);
  streams.erase(it);
  delete s;
  return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream s) {
  ENTER;
  if (!known(dev, s)) return CUDA_ERROR_INVALID_HANDLE;
  if (!s) s = &dev->null_stream;
  if (s->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return run_until([=] { return s->queue.empty(); }, s);
}

CUresult cuStreamQuery(CUstream s) {
  ENTER;
  if (!known(dev, s)) return CUDA_ERROR_INVALID_HANDLE;
  if (!s) s = &dev->null_stream;
  if (ready(s)) step(s);
  return s->queue.empty() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuCtxSynchronize() {
  ENTER;
  return run_until([=] {
    for (CUstream s : streams)
      if (s->device == dev && !s->queue.empty()) return false;
    return dev->null_stream.queue.empty();
  }, nullptr);
}

CUresult cuStreamWaitEvent(CUstream s, CUevent e, unsigned flags) {
  ENTER;
  if (!events.count(e) || !known(dev, s)) return CUDA_ERROR_INVALID_HANDLE;
  if (flags) return CUDA_ERROR_INVALID_VALUE;
  if (!e->mark) return CUDA_SUCCESS;  // never recorded
  return enqueue(dev, s, {nullptr, e->mark, nullptr});
}

CUresult cuEventCreate(CUevent* e, unsigned flags) {
  ENTER;
  if (flags & ~(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)) return CUDA_ERROR_INVALID_VALUE;
  *e = new CUevent_st{dev, !(flags & CU_EVENT_DISABLE_TIMING), nullptr};
  events.insert(*e);
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent e) {
  Lock lock(mutex);
  if (!events.erase(e)) return CUDA_ERROR_INVALID_HANDLE;
  delete e;
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent e, CUstream s) {
  ENTER;
  if (!events.count(e) || e->device != dev) return CUDA_ERROR_INVALID_HANDLE;
  if (!known(dev, s)) return CUDA_ERROR_INVALID_HANDLE;
  e->mark = std::make_shared<Mark>();
  return enqueue(dev, s, {nullptr, nullptr, e->mark});
}

CUresult cuEventSynchronize(CUevent e) {
  ENTER;
  if (!events.count(e)) return CUDA_ERROR_INVALID_HANDLE;
  auto mark = e->mark;
  if (!mark) return CUDA_SUCCESS;
  return run_until([=] { return mark->done; }, nullptr);
}

// A query must not wait, yet a loop of queries must come to an end: it runs one
// piece of work.
CUresult cuEventQuery(CUevent e) {
  ENTER;
  if (!events.count(e)) return CUDA_ERROR_INVALID_HANDLE;
  if (!e->mark || e->mark->done) return CUDA_SUCCESS;
  bool once = false;
  run_until([&] { return std::exchange(once, true); }, nullptr);
  counters.waits--;
  return e->mark->done ? dev->sticky : CUDA_ERROR_NOT_READY;
}

CUresult cuEventElapsedTime(float* ms, CUevent start, CUevent end) {
  ENTER;
  for (CUevent e : {start, end})
    if (!events.count(e) || !e->timing || !e->mark) return CUDA_ERROR_INVALID_HANDLE;
  if (!start->mark->done || !end->mark->done) return CUDA_ERROR_NOT_READY;
  *ms = (float)((end->mark->time - start->mark->time) * 1e3);
  return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(CUstream s, CUstreamCaptureMode) {
  ENTER;
  if (!s || s->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  s->capture = new std::vector<Op>;
  return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream s, CUgraph* g) {
  ENTER;
  if (!s || !s->capture) return CUDA_ERROR_ILLEGAL_STATE;
  *g = new CUgraph_st{*s->capture};
  delete s->capture;
  s->capture = nullptr;
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* x, CUgraph g, unsigned long long) {
  *x = new CUgraphExec_st{g->ops};
  return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec x, CUstream s) {
  ENTER;
  for (Op& op : x->ops) enqueue(dev, s, op);
  return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph g) {
  delete g;
  return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec x) {
  delete x;
  return CUDA_SUCCESS;
}

}  // extern "C"
