//go:build cuda && cgo && linux

package driver

/*
#include <stdint.h>
#include <stdlib.h>

static int configure(void *f, const char *key, int64_t value) { return ((int (*)(const char *, int64_t))f)(key, value); }
static void visible(void *f, const char *list) { ((void (*)(const char *))f)(list); }
static const char *message(void *f) { return ((const char *(*)(void))f)(); }
static int64_t counter(void *f, const char *name) { return ((int64_t (*)(const char *))f)(name); }
*/
import "C"

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

// The simulated device (model/cuda/internal/sim) has a few functions beyond a driver's.

// configure passes the settings on to a simulated device.
func configure(o Options) error {
	set := Symbol("vgid_sim_configure")
	if set == nil {
		if o.Simulation != "" {
			return fmt.Errorf("VGID_CUDA_SIM is set, but the driver is not a simulated device; unset it, or set VGID_CUDA_DRIVER to one")
		}
		return nil
	}
	for _, item := range strings.Split(o.Simulation, ",") {
		if item == "" {
			continue
		}
		key, value, _ := strings.Cut(item, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("VGID_CUDA_SIM: %q: the value is not a number", item)
		}
		k := C.CString(key)
		known := C.configure(set, k, C.int64_t(n))
		C.free(unsafe.Pointer(k))
		if known == 0 {
			return fmt.Errorf("VGID_CUDA_SIM: the simulated device has no setting %q", key)
		}
	}
	if f := Symbol("vgid_sim_visible"); f != nil && o.Visible != nil {
		list := C.CString(*o.Visible)
		C.visible(f, list)
		C.free(unsafe.Pointer(list))
	}
	return nil
}

// SimulatedMessage says what went wrong on a simulated device, "" on a real one.
func SimulatedMessage() string {
	if f := Symbol("vgid_sim_message"); f != nil {
		return C.GoString(C.message(f))
	}
	return ""
}

// SimulatedCounter reads a counter of a simulated device, see device.cpp.
func SimulatedCounter(name string) int64 {
	f := Symbol("vgid_sim_counter")
	if f == nil {
		return -1
	}
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	return int64(C.counter(f, n))
}
