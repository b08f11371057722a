// block.cpp: the schedule of one block.
#include "block.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fiber.h"

namespace hs {

thread_local Self self;
thread_local Block* block;

// Bytes before and after each shared array that nobody may write.
static const size_t kCanary = 64;
static const unsigned char kCanaryByte = 0xA5;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static unsigned char* reserve(size_t bytes, int protection) {
  void* p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    fprintf(stderr, "hostsim: no memory for %zu bytes of stacks\n", bytes);
    _exit(3);
  }
  return (unsigned char*)p;
}

// Each stack has a page below it that must not be touched, and so has the end
// of shared memory.
Block::Block() {
  size_t page = 4096;
  stacks_ = reserve(1024 * kStack, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 1024; i++) mprotect(stacks_ + i * kStack, page, PROT_NONE);
  arena_ = reserve(kShared + page, PROT_READ | PROT_WRITE);
  mprotect(arena_ + kShared, page, PROT_NONE);
}

Block::~Block() {
  munmap(stacks_, 1024 * kStack);
  munmap(arena_, kShared + 4096);
}

static void entry() { block->run_fiber(); }

void Block::run_fiber() {
  kernel_->call(cells_);
  yield(State::Done);
  __builtin_unreachable();
}

void Block::yield(State s) {
  Fiber& f = fiber();
  f.state = s;
  hs_switch(&f.stack, scheduler_);
}

void Block::fail(std::string why) {
  Dim b = self.block, t = self.thread;
  char where[160];
  snprintf(where, sizeof where, "%s: block (%u, %u, %u), thread (%u, %u, %u): ", kernel_->name.c_str(), b.x, b.y, b.z,
           t.x, t.y, t.z);
  error_ = where + why;
  yield(State::Done);  // never resumed: run stops at an error
  __builtin_unreachable();
}

void Block::resume(int i) {
  current_ = i;
  self.thread = fibers_[i].thread;
  hs_switch(&scheduler_, fibers_[i].stack);
}

// shuffle fills order[0 … n) with 0 … n-1 in the order the seed wants.
void Block::shuffle(int n, uint8_t* order) {
  for (int i = 0; i < n; i++) order[i] = i;
  if (!random_) return;
  for (int i = n - 1; i > 0; i--) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    std::swap(order[i], order[(random_ >> 33) % (i + 1)]);
  }
}

void Block::start(const Launch& how) {
  Dim d = how.block;
  threads_ = d.x * d.y * d.z;
  if ((int)fibers_.size() < threads_) fibers_.resize(threads_);
  for (int i = 0; i < threads_; i++) {
    Fiber& f = fibers_[i];
    f.thread = {i % d.x, i / d.x % d.y, i / d.x / d.y};
    f.state = State::Ready;
    f.groups.clear();
    f.open.clear();
    f.stack = hs_new_stack(stacks_ + (i + 1) * kStack, entry);
  }
  // Dynamic shared memory ends at the guard page; arrays grow from the start.
  // Seeds poison with a large number or with NaN.
  poison_ = how.seed & 1 ? 0xFF : 0x7B;
  arrays_.clear();
  top_ = arena_;
  dynamic_bytes_ = how.dynamic_shared;
  dynamic_ = arena_ + kShared - round_up(dynamic_bytes_, 16);
  memset(dynamic_, poison_, arena_ + kShared - dynamic_);
}

std::string Block::run(const Kernel& kernel, void* const* cells, const Launch& how, Dim number) {
  kernel_ = &kernel;
  cells_ = cells;
  error_.clear();
  self = {{}, number, how.block, how.grid};
  random_ = how.seed ? (how.seed * 0x9E3779B97F4A7C15u) ^ (number.x + 65537ull * number.y + 65599ull * number.z + 1) : 0;
  start(how);
  for (;;) {
    uint8_t order[32];
    int warps = (threads_ + 31) / 32;
    shuffle(warps, order);
    for (int w = 0; w < warps; w++) {
      run_warp(order[w]);
      if (!error_.empty()) return error_;
    }
    // Now every thread is done or at the barrier.
    int at_barrier = 0;
    for (int i = 0; i < threads_; i++) at_barrier += fibers_[i].state == State::AtBarrier;
    if (at_barrier == 0) break;
    if (at_barrier < threads_) {
      char text[160];
      snprintf(text, sizeof text, "%s: block (%u, %u, %u): only %d of %d threads reach the barrier", kernel.name.c_str(),
               number.x, number.y, number.z, at_barrier, threads_);
      return text;
    }
    for (int i = 0; i < threads_; i++) fibers_[i].state = State::Ready;
  }
  check_canaries();
  return error_;
}

// run_warp runs the lanes of a warp until all are done or at the barrier.
void Block::run_warp(int warp) {
  int first = warp * 32, last = first + 32 < threads_ ? first + 32 : threads_;
  uint8_t order[32];
  do {
    shuffle(last - first, order);
    for (int l = 0; l < last - first; l++) {
      int i = first + order[l];
      if (fibers_[i].state == State::Ready) resume(i);
      if (!error_.empty()) return;
    }
  } while (finish_warp_ops(first, last));
}

// finish_warp_ops performs the operations whose lanes have all arrived and
// reports whether any lane may go on. Lanes that wait for ones that will never
// come end the launch.
bool Block::finish_warp_ops(int first, int last) {
  bool any = false;
  int waits = -1;
  for (int i = first; i < last; i++) {
    Fiber& f = fibers_[i];
    if (f.state != State::AtWarpOp) continue;
    void* args[32];
    bool complete = f.mask >> (i - first) & 1;
    for (int l = 0; l < 32 && complete; l++) {
      if (!(f.mask >> l & 1)) continue;
      complete = first + l < last;
      if (!complete) break;
      Fiber& g = fibers_[first + l];
      complete = g.state == State::AtWarpOp && g.op == f.op && g.mask == f.mask;
      args[l] = g.arg;
    }
    if (!complete) {
      waits = i;
      continue;
    }
    uint32_t mask = f.mask;
    current_ = i;
    self.thread = f.thread;
    f.op(args, mask);
    for (int l = 0; l < 32; l++)
      if (mask >> l & 1) fibers_[first + l].state = State::Ready;
    any = true;
  }
  if (!any && waits >= 0 && error_.empty()) {
    char text[200];
    Dim t = fibers_[waits].thread;
    snprintf(text, sizeof text,
             "%s: block (%u, %u, %u), thread (%u, %u, %u): the other lanes of mask %08x do not reach this warp operation",
             kernel_->name.c_str(), self.block.x, self.block.y, self.block.z, t.x, t.y, t.z, fibers_[waits].mask);
    error_ = text;
  }
  return any && error_.empty();
}

void* Block::shared(const void* site, size_t bytes, size_t align) {
  for (const SharedArray& a : arrays_)
    if (a.site == site) return a.at;
  unsigned char* at = (unsigned char*)round_up((size_t)top_ + kCanary, align);
  unsigned char* end = at + bytes + kCanary;
  if (end > dynamic_) fail("more shared memory than 227 KiB");
  memset(top_, kCanaryByte, end - top_);
  memset(at, poison_, bytes);
  top_ = end;
  arrays_.push_back({site, at, bytes});
  return at;
}

void Block::check_canaries() {
  const unsigned char* from = arena_;
  for (size_t i = 0; i <= arrays_.size(); i++) {
    const unsigned char* to = i < arrays_.size() ? arrays_[i].at : top_;
    for (const unsigned char* p = from; p < to; p++)
      if (*p != kCanaryByte) {
        error_ = kernel_->name + ": a write next to a shared array";
        return;
      }
    if (i < arrays_.size()) from = to + arrays_[i].bytes;
  }
}

bool Block::in_shared(const void* p, size_t n) const {
  const unsigned char* b = (const unsigned char*)p;
  if (b >= dynamic_ && b + n <= dynamic_ + dynamic_bytes_) return true;
  for (const SharedArray& a : arrays_)
    if (b >= a.at && b + n <= a.at + a.bytes) return true;
  return false;
}

void fail(const char* format, ...) {
  char text[512];
  va_list v;
  va_start(v, format);
  vsnprintf(text, sizeof text, format, v);
  va_end(v);
  block->fail(text);
}

void barrier() { block->yield(State::AtBarrier); }

void warp_op(WarpOp op, uint32_t mask, void* arg) {
  Fiber& f = block->fiber();
  f.op = op;
  f.mask = mask;
  f.arg = arg;
  block->yield(State::AtWarpOp);
}

}  // namespace hs
