//go:build cuda && cgo && linux

package driver

/*
#include <cuda.h>

static CUresult share(CUcontext c, CUdeviceptr p, CUipcMemHandle *h) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuIpcGetMemHandle(h, p);
}
static CUresult attach(CUcontext c, CUdeviceptr *p, CUipcMemHandle *h) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuIpcOpenMemHandle(p, *h, 1); // 1: enable peer access where needed
}
static CUresult detach(CUcontext c, CUdeviceptr p) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuIpcCloseMemHandle(p);
}
*/
import "C"

import "unsafe"

// Handle names device memory to another process of the same machine.
type Handle [C.CU_IPC_HANDLE_SIZE]byte

// Share names memory of AllocShareable. What is allocated in stream order cannot
// be shared so.
func (d *Device) Share(p Ptr) (Handle, error) {
	var h Handle
	err := check("cuIpcGetMemHandle", C.share(d.c(), C.CUdeviceptr(p), (*C.CUipcMemHandle)(unsafe.Pointer(&h))))
	return h, err
}

// Attach maps memory that another process shares; the driver refuses the
// process's own.
func (d *Device) Attach(h Handle) (Ptr, error) {
	var p C.CUdeviceptr
	err := check("cuIpcOpenMemHandle", C.attach(d.c(), &p, (*C.CUipcMemHandle)(unsafe.Pointer(&h))))
	return Ptr(p), err
}

// Detach unmaps it.
func (d *Device) Detach(p Ptr) error {
	return check("cuIpcCloseMemHandle", C.detach(d.c(), C.CUdeviceptr(p)))
}
