//go:build cuda && cgo && linux

#include "load.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void *library;
static const char *missing[VGID_CUDA_SLOTS];

// Until a driver is loaded, its functions answer CUDA_ERROR_NO_DEVICE.
long vgid_cuda_absent(void) { return 100; }

// gorgonia.org/cu initialises the driver before main and ends the process when
// that fails; a process that does not ask for CUDA must not notice.
long vgid_cuda_init_later(unsigned flags) {
	(void)flags;
	return 0;
}

int vgid_cuda_open(const char *path, char *error, size_t size) {
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		snprintf(error, size, "%s", dlerror());
	return library ? 0 : -1;
}

int vgid_cuda_start(void) {
	void *bound[VGID_CUDA_SLOTS];
	int lacking = 0;
	int (*init)(unsigned) = NULL;
	for (int i = 0; i < VGID_CUDA_SLOTS; i++) {
		bound[i] = dlsym(library, vgid_cuda_name[i]);
		if (!bound[i]) {
			missing[lacking++] = vgid_cuda_name[i];
			bound[i] = (void *)vgid_cuda_absent;
		}
		if (!strcmp(vgid_cuda_name[i], "cuInit"))
			*(void **)&init = bound[i];
	}
	if (init == (void *)vgid_cuda_absent)
		return -1;
	int result = init(0);
	if (!result)
		memcpy(vgid_cuda_slot, bound, sizeof bound);
	return result;
}

const char *vgid_cuda_missing(int i) { return missing[i]; }

void *vgid_cuda_symbol(const char *name) { return library ? dlsym(library, name) : NULL; }
