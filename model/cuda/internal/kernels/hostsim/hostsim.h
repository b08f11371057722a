// hostsim.h: run kernels that were compiled for the host. This is the face to
// the fake driver and to the test runner; kernels see device.h.
//
// A block is a set of fibers on one OS thread, switched by hand at barriers and
// warp operations; blocks are spread over OS threads. A seed decides in which
// order blocks, warps and lanes go, so a missing barrier gives wrong numbers
// for some seed. What a real device would leave undefined ends the launch with
// a message: a barrier or warp operation that not all threads reach, unaligned
// vector access, writes past a shared array. Shared memory starts poisoned, and
// cp.async copies nothing before its wait.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <map>
#include <string>

namespace hs {

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

struct Kernel {
  std::string name;
  // One letter per parameter: p pointer, i and l integers of 4 and 8 bytes,
  // f float, d double, v Layout.
  std::string signature;
  unsigned max_threads;               // of a block
  void (*call)(void* const* cells);   // one pointer to each parameter
};

// kernels gives every kernel linked in, by name.
const std::map<std::string, Kernel>& kernels();

struct Launch {
  Dim grid, block;
  size_t dynamic_shared = 0;  // bytes
  uint64_t seed = 0;          // 0: everything in its natural order
  unsigned os_threads = 0;    // 0: as many as the machine has
};

// launch runs a kernel to its end. It gives "" or one line that says what went
// wrong, where. Launches may run at once on different threads.
std::string launch(const Kernel& kernel, void* const* cells, const Launch& how);

}  // namespace hs
