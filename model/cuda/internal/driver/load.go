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

// notDriver is what vgid_cuda_start answers for a library without cuInit.
const notDriver = -1

// startFailures are what is usually the matter when cuInit fails.
var startFailures = map[int]string{
	int(C.CUDA_ERROR_SYSTEM_NOT_READY):               "the system is not ready: on machines with NVSwitch, start nvidia-fabricmanager",
	int(C.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH):         "its library and its kernel module are of different versions: reboot, or reload the module",
	int(C.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE): "its library is a compatibility package that this card does not take: remove that package from the library path",
	int(C.CUDA_ERROR_STUB_LIBRARY):                   "the library is a toolkit's stub: take the folder stubs from LD_LIBRARY_PATH",
	int(C.CUDA_ERROR_UNKNOWN):                        "is the kernel module nvidia_uvm loaded (nvidia-modprobe -u)? Look at nvidia-smi and dmesg",
}

// elsewhere are where the driver is on systems whose dynamic linker does not
// look there: WSL, containers of Kubernetes, NixOS.
var elsewhere = []string{"/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib"}

// find opens the driver and gives its path, or why there is none.
func find(library string) (path, why string) {
	paths := []string{library}
	if library == "" {
		paths[0] = "libcuda.so.1"
		for _, dir := range elsewhere {
			paths = append(paths, dir+"/libcuda.so.1")
		}
	}
	for _, path := range paths {
		var text [512]byte
		name := C.CString(path)
		failed := C.vgid_cuda_open(name, (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text))) != 0
		C.free(unsafe.Pointer(name))
		if !failed {
			return path, ""
		}
		if why == "" { // of the first: the linker's own search
			why, _, _ = strings.Cut(string(text[:]), "\x00")
		}
	}
	return "", why
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
	path, why := find(o.Library)
	if path == "" {
		return noneError(fmt.Sprintf("no CUDA driver: %s; install NVIDIA's driver", why))
	}
	if err := configure(o); err != nil {
		return err
	}
	switch r := int(C.vgid_cuda_start()); {
	case r == notDriver:
		return noneError(fmt.Sprintf("%s is not a CUDA driver: it has no cuInit; install NVIDIA's driver", path))
	case r == NoDevice && o.Visible != nil:
		return noneError(fmt.Sprintf("no CUDA device is visible: CUDA_VISIBLE_DEVICES is %q; unset it or name devices that nvidia-smi lists", *o.Visible))
	case r == NoDevice:
		return noneError("no CUDA device is visible: the driver is installed but finds no card (look at nvidia-smi)")
	case r != 0:
		why, known := startFailures[r]
		if !known {
			why = "look at nvidia-smi"
		}
		return noneError(fmt.Sprintf("the CUDA driver does not start (cuInit: CUresult %d): %s", r, why))
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
