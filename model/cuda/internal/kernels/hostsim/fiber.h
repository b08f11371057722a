// fiber.h: stacks switched by hand.
#pragma once

// hs_switch saves this stack in *save and goes on at `to`.
extern "C" __attribute__((visibility("hidden"))) void hs_switch(void** save, void* to);

// hs_new_stack prepares a stack that ends at top (16-byte aligned) so that the
// first switch to it calls entry, which must not return.
void* hs_new_stack(void* top, void (*entry)());
