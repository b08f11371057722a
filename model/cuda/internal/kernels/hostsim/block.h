// block.h: the state of a block that runs. Private to hostsim.
#pragma once
#include <vector>

#include "../gpu.h"

namespace hs {

enum class State : uint8_t { Ready, AtBarrier, AtWarpOp, Done };

struct Copy {
  void* dst;
  const void* src;
  bool valid;
};

// Fiber is one thread of the block.
struct Fiber {
  void* stack;  // the saved stack pointer
  Dim thread;
  State state;
  // The warp operation it waits in.
  WarpOp op;
  uint32_t mask;
  void* arg;
  // cp.async: groups[0] is the oldest committed one, open not yet committed.
  std::vector<std::vector<Copy>> groups;
  std::vector<Copy> open;
};

struct SharedArray {
  const void* site;
  unsigned char* at;
  size_t bytes;
};

// Block owns the stacks and shared memory of one block at a time and is used
// by one OS thread at a time.
class Block {
 public:
  Block();
  ~Block();
  Block(const Block&) = delete;

  // run runs block `number` and gives "" or what went wrong.
  std::string run(const Kernel& kernel, void* const* cells, const Launch& how, Dim number);

  // Called by the running fiber:
  Fiber& fiber() { return fibers_[current_]; }
  void yield(State s);
  [[noreturn]] void fail(std::string why);
  void* shared(const void* site, size_t bytes, size_t align);
  unsigned char* dynamic_shared() { return dynamic_; }
  bool in_shared(const void* p, size_t n) const;
  void run_fiber();  // the body of the running fiber

 private:
  void start(const Launch& how);
  void resume(int i);
  void run_warp(int warp);
  bool finish_warp_ops(int first, int last);
  void check_canaries();
  void shuffle(int n, uint8_t* order);

  static const size_t kStack = 128 << 10;
  static const size_t kShared = 256 << 10;
  const Kernel* kernel_;
  void* const* cells_;
  std::vector<Fiber> fibers_;
  int threads_ = 0, current_ = 0;
  unsigned char *stacks_, *arena_, *dynamic_, *top_;
  size_t dynamic_bytes_ = 0;
  std::vector<SharedArray> arrays_;
  int poison_ = 0;
  uint64_t random_ = 0;  // 0: natural order
  void* scheduler_ = nullptr;
  std::string error_;
};

extern thread_local Block* block;

}  // namespace hs
