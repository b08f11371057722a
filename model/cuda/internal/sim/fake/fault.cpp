// fault.cpp: a kernel that touches a guard page fails like a kernel, not like a
// process. The handler lets the faulting thread of the block go on in fail(),
// which ends the launch with a message. Other faults go to who handled them
// before: Go's runtime.
#include <signal.h>
#include <ucontext.h>

#include "block.h"
#include "device.h"
#include "sim.h"

namespace sim {

static struct sigaction before_segv, before_bus;
static thread_local void* touched;

static void fail_here() {
  hs::fail("access to %p, which is %s", touched, "not allocated on this device (past an end, freed, or not yet allocated in stream order)");
}

static void on_fault(int sig, siginfo_t* info, void* context) {
  if (!hs::block) {
    struct sigaction& before = sig == SIGBUS ? before_bus : before_segv;
    if (before.sa_flags & SA_SIGINFO) {
      before.sa_sigaction(sig, info, context);
    } else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
      signal(sig, SIG_DFL);  // the instruction faults again, for good
    } else {
      before.sa_handler(sig);
    }
    return;
  }
  touched = info->si_addr;
  ucontext_t* u = (ucontext_t*)context;
  greg_t& sp = u->uc_mcontext.gregs[REG_RSP];
  sp = ((sp - 256) & ~15ll) - 8;  // below the red zone, aligned as after a call
  u->uc_mcontext.gregs[REG_RIP] = (greg_t)fail_here;
}

void install_fault_handler() {
  struct sigaction a = {};
  a.sa_sigaction = on_fault;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &a, &before_segv);
  sigaction(SIGBUS, &a, &before_bus);
}

}  // namespace sim
