// memory.cpp: shared memory and asynchronous copies as the running thread
// sees them.
#include "block.h"

namespace hs {

void check_aligned(const void* p, size_t n, const char* what) {
  if ((uintptr_t)p % n) fail("%s of the unaligned address %p", what, p);
}

void* shared(const void* site, size_t bytes, size_t align) { return block->shared(site, bytes, align); }
void* dynamic_shared() { return block->dynamic_shared(); }

// cp_async spoils its destination at once and fills it at the wait: the latest
// the hardware may, so whoever reads too early reads nonsense.
void cp_async(void* dst, const void* src, bool valid) {
  check_aligned(dst, 16, "cp_async16 destination");
  if (valid) check_aligned(src, 16, "cp_async16 source");
  if (!block->in_shared(dst, 16)) fail("cp_async16 to %p, which is not in shared memory", dst);
  memset(dst, 0x7B, 16);
  block->fiber().open.push_back({dst, src, valid});
}

void cp_async_commit() {
  Fiber& f = block->fiber();
  f.groups.push_back(std::move(f.open));
  f.open.clear();
}

void cp_async_wait(int newest) {
  Fiber& f = block->fiber();
  while ((int)f.groups.size() > newest) {
    for (const Copy& c : f.groups[0]) {
      if (c.valid)
        memcpy(c.dst, c.src, 16);
      else
        memset(c.dst, 0, 16);
    }
    f.groups.erase(f.groups.begin());
  }
}

}  // namespace hs
