#pragma once
#include "slots.h"
#include <stddef.h>

extern const char *const vgid_cuda_name[VGID_CUDA_SLOTS];
extern void *vgid_cuda_slot[VGID_CUDA_SLOTS] __attribute__((visibility("hidden")));

long vgid_cuda_absent(void);
long vgid_cuda_init_later(unsigned flags);

// vgid_cuda_open opens a driver library. When that fails it returns -1 and
// explains in error.
int vgid_cuda_open(const char *path, char *error, size_t size);

// vgid_cuda_start initialises the opened library and binds the stubs to it. It
// returns the CUresult of cuInit, -1 when the library has no such function.
int vgid_cuda_start(void);

// vgid_cuda_missing returns the i-th function that the loaded driver lacks, or
// NULL.
const char *vgid_cuda_missing(int i);

// vgid_cuda_symbol finds a symbol of the opened library.
void *vgid_cuda_symbol(const char *name);
