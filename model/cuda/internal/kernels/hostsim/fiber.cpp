// fiber.cpp: switching stacks. No system call, no signal mask: a switch is a
// dozen instructions.
#include "fiber.h"

#if !defined(__x86_64__) || !defined(__linux__)
#error "the simulated device switches stacks on x86-64 Linux only"
#endif

// hs_switch(void** save, void* to): push what the callee must keep, store the
// stack pointer, take the other one, pop, return there.
asm(R"(
.text
.globl hs_switch
.hidden hs_switch
.type hs_switch,@function
hs_switch:
  endbr64
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size hs_switch,.-hs_switch
.section .note.GNU-stack,"",@progbits
.text
)");

void* hs_new_stack(void* top, void (*entry)()) {
  // Six registers, then where to return to, so that the stack is aligned as
  // after a call.
  void** sp = (void**)top;
  *--sp = nullptr;
  *--sp = (void*)entry;
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  return sp;
}
