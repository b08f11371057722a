//go:build cuda && cgo && linux

package driver

/*
#cgo CFLAGS: -I${SRCDIR}/include
#cgo LDFLAGS: -Wl,--as-needed -L${SRCDIR}/lib -ldl
#include "load.h"
#include <cuda.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"

	"gorgonia.org/cu"
)

// lib/libcuda.a is an empty archive: it satisfies the -lcuda of
// gorgonia.org/cu, whose symbols are the stubs.

var loaded struct {
	sync.Mutex
	done bool
}

// Options say which driver to load.
type Options struct {
	// Library is the path of the driver; empty means libcuda.so.1, where the
	// dynamic linker finds it.
	Library string
	// Simulation is settings of the simulated device, "devices=2,seed=3". A
	// real driver must not be given any.
	Simulation string
	// Visible is CUDA_VISIBLE_DEVICES, nil when that is not set. A real driver
	// reads the variable itself; here it is for the simulated one and for
	// messages.
	Visible *string
}

// FromEnv reads Options from VGID_CUDA_DRIVER, VGID_CUDA_SIM and
// CUDA_VISIBLE_DEVICES.
func FromEnv() Options {
	o := Options{Library: os.Getenv("VGID_CUDA_DRIVER"), Simulation: os.Getenv("VGID_CUDA_SIM")}
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		o.Visible = &v
	}
	return o
}

// Load opens the CUDA driver. Later calls do nothing, whatever their options:
// a process has one driver. The error of a machine without driver or device is
// one line.
func Load(o Options) error {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.done {
		return nil
	}
	path := o.Library
	if path == "" {
		path = "libcuda.so.1"
	}
	var text [512]byte
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if C.vgid_cuda_open(name, (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text))) != 0 {
		why, _, _ := strings.Cut(string(text[:]), "\x00")
		return fmt.Errorf("no CUDA driver: %s; install NVIDIA's driver, or use --device cpu", why)
	}
	if err := configure(o); err != nil {
		return err
	}
	switch r := int(C.vgid_cuda_start()); {
	case r == NoDevice && o.Visible != nil:
		return fmt.Errorf("no CUDA device is visible: CUDA_VISIBLE_DEVICES is %q; unset it or name devices that nvidia-smi lists, or use --device cpu", *o.Visible)
	case r == NoDevice:
		return errors.New("no CUDA device is visible: the driver is installed but finds no card (look at nvidia-smi), or use --device cpu")
	case r != 0:
		return fmt.Errorf("the CUDA driver does not start: %w", &Error{Call: "cuInit", Code: r})
	}
	if lacks := C.vgid_cuda_missing(0); lacks != nil {
		return fmt.Errorf("the CUDA driver %s lacks %s: it is older than CUDA 12; update NVIDIA's driver", path, C.GoString(lacks))
	}
	loaded.done = true
	return nil
}

// Symbol is the address of a function of the loaded driver library, nil when it
// has none of that name. The simulated device has functions of its own.
func Symbol(name string) unsafe.Pointer {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.vgid_cuda_symbol(s)
}

// Version is that of the CUDA interface the driver serves, e.g. 13000 for 13.0.
func Version() int { return cu.Version() }

// Devices is the number of devices the driver shows to this process.
func Devices() (int, error) {
	n, err := cu.NumDevices()
	return n, wrap("cuDeviceGetCount", err)
}
