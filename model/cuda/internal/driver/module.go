//go:build cuda && cgo && linux

package driver

/*
#include <cuda.h>

enum { MAX_ARGS = 48 };

// launch queues a kernel whose arguments lie in 8-byte cells.
static CUresult launch(CUcontext c, CUfunction f, unsigned gx, unsigned gy, unsigned gz,
		unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream s, uint64_t *cells, int n) {
	void *args[MAX_ARGS];
	for (int i = 0; i < n; i++) args[i] = cells + i;
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, s, args, 0);
}
// load_ptx compiles PTX; log gets what the compiler says against it.
static CUresult load_ptx(CUcontext c, CUmodule *m, const char *ptx, char *log, size_t bytes) {
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(uintptr_t)bytes};
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuModuleLoadDataEx(m, ptx, 2, options, values);
}
static CUresult allow_shared(CUcontext c, CUfunction f, int bytes) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
}
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"gorgonia.org/cu"
)

// Module is PTX that has been compiled for the device.
type Module struct {
	d *Device
	m cu.Module
}

// Kernel is a function of a module.
type Kernel struct {
	d      *Device
	name   string
	f      cu.Function
	shared int // dynamic shared memory it may have, bytes
}

// plainShared is the dynamic shared memory that needs no asking, in bytes.
const plainShared = 48 << 10

// Load compiles PTX, or finds it in the driver's cache. The error repeats the
// first line of what the driver's compiler says.
func (d *Device) Load(ptx string) (*Module, error) {
	text := C.CString(ptx)
	defer C.free(unsafe.Pointer(text))
	var log [4096]byte
	m := &Module{d: d}
	err := check("cuModuleLoadDataEx", C.load_ptx(d.c(), (*C.CUmodule)(unsafe.Pointer(&m.m)), text, (*C.char)(unsafe.Pointer(&log[0])), C.size_t(len(log))))
	said, _, _ := strings.Cut(string(log[:]), "\x00")
	if line, _, _ := strings.Cut(strings.TrimSpace(said), "\n"); err != nil && line != "" {
		return m, fmt.Errorf("%w: %s", err, line)
	}
	return m, err
}

// Kernel finds a kernel by name.
func (m *Module) Kernel(name string) (*Kernel, error) {
	k := &Kernel{d: m.d, name: name, shared: plainShared}
	err := m.d.do("cuModuleGetFunction", func() (err error) {
		k.f, err = m.m.Function(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, err)
	}
	return k, nil
}

// Close unloads the module.
func (m *Module) Close() error { return m.d.do("cuModuleUnload", m.m.Unload) }

// Name is the kernel's.
func (k *Kernel) Name() string { return k.name }

// Dim is the extent of a grid or a block; 0 counts as 1.
type Dim struct{ X, Y, Z int }

// Launch queues the kernel with shared bytes of dynamic shared memory. Each
// argument is a cell of 8 bytes: an address, or a number in its low bytes.
func (k *Kernel) Launch(s *Stream, grid, block Dim, shared int, args []uint64) error {
	if len(args) > C.MAX_ARGS {
		return fmt.Errorf("kernel %s: %d arguments, at most %d", k.name, len(args), C.MAX_ARGS)
	}
	f := *(*C.CUfunction)(unsafe.Pointer(&k.f))
	if shared > k.shared {
		if shared > k.d.SharedPerBlock {
			return fmt.Errorf("kernel %s needs %d bytes of shared memory a block; %s has %d", k.name, shared, k.d.Name, k.d.SharedPerBlock)
		}
		if r := C.allow_shared(k.d.c(), f, C.int(shared)); r != 0 {
			return fmt.Errorf("kernel %s with %d bytes of shared memory: %w", k.name, shared, check("cuFuncSetAttribute", r))
		}
		k.shared = shared
	}
	u := func(n int) C.uint { return C.uint(max(1, n)) }
	r := C.launch(k.d.c(), f, u(grid.X), u(grid.Y), u(grid.Z), u(block.X), u(block.Y), u(block.Z),
		C.uint(shared), s.c(), (*C.uint64_t)(unsafe.SliceData(args)), C.int(len(args)))
	if r != 0 {
		return fmt.Errorf("kernel %s, grid %v, block %v: %w", k.name, grid, block, check("cuLaunchKernel", r))
	}
	return nil
}
