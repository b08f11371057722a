// launch.cpp: the table of kernels, and blocks spread over OS threads.
#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>

#include "block.h"

namespace hs {

static std::map<std::string, Kernel>& table() {
  static std::map<std::string, Kernel> t;
  return t;
}

Registered::Registered(const Kernel& k) { table()[k.name] = k; }
const std::map<std::string, Kernel>& kernels() { return table(); }

// Blocks are kept for the next launch: their stacks are expensive to map.
static std::mutex idle_lock;
static std::vector<std::unique_ptr<Block>> idle;

static std::unique_ptr<Block> take() {
  std::lock_guard<std::mutex> l(idle_lock);
  if (idle.empty()) return std::unique_ptr<Block>(new Block);
  std::unique_ptr<Block> b = std::move(idle.back());
  idle.pop_back();
  return b;
}

static void put(std::unique_ptr<Block> b) {
  std::lock_guard<std::mutex> l(idle_lock);
  idle.push_back(std::move(b));
}

// fits says why a real device would refuse the launch.
static std::string fits(const Kernel& k, const Launch& how) {
  Dim g = how.grid, b = how.block;
  auto text = [](Dim d) { return std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z); };
  if (!g.x || !g.y || !g.z || g.x > 0x7FFFFFFFu || g.y > 65535 || g.z > 65535)
    return k.name + ": a grid of (" + text(g) + ") blocks is not possible";
  size_t n = (size_t)b.x * b.y * b.z;
  if (!n || b.x > 1024 || b.y > 1024 || b.z > 64 || n > k.max_threads)
    return k.name + ": a block of (" + text(b) + ") threads is not possible; the kernel takes up to " +
           std::to_string(k.max_threads);
  if (how.dynamic_shared > 227 * 1024) return k.name + ": more shared memory than 227 KiB";
  return "";
}

std::string launch(const Kernel& kernel, void* const* cells, const Launch& how) {
  std::string error = fits(kernel, how);
  if (!error.empty()) return error;

  size_t blocks = (size_t)how.grid.x * how.grid.y * how.grid.z;
  size_t threads = how.os_threads ? how.os_threads : std::max(1u, std::thread::hardware_concurrency());
  threads = std::min(threads, (blocks + 3) / 4);  // a thread costs more than a few blocks
  // An odd step that is no factor of the count visits every block once.
  size_t step = 1, first = 0;
  if (how.seed && blocks > 1) {
    first = how.seed * 0x9E3779B97F4A7C15u % blocks;
    for (step = 1 + how.seed % blocks; std::__gcd(step, blocks) != 1;) step++;
  }

  std::atomic<size_t> next{0};
  std::mutex lock;
  auto work = [&] {
    std::unique_ptr<Block> mine = take();
    Block* outer = block;
    block = mine.get();
    for (;;) {
      size_t i = next++;
      if (i >= blocks) break;
      i = (size_t)(((unsigned __int128)i * step + first) % blocks);
      Dim number = {(unsigned)(i % how.grid.x), (unsigned)(i / how.grid.x % how.grid.y),
                    (unsigned)(i / how.grid.x / how.grid.y)};
      std::string e = block->run(kernel, cells, how, number);
      if (e.empty()) continue;
      std::lock_guard<std::mutex> l(lock);
      if (error.empty()) error = e;
      next = blocks;
    }
    block = outer;
    put(std::move(mine));
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; i++) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
  return error;
}

}  // namespace hs
