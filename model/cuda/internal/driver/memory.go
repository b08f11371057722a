//go:build cuda && cgo && linux

package driver

/*
#include <cuda.h>

static CUresult alloc_async(CUcontext c, CUdeviceptr *p, size_t n, CUstream s) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuMemAllocAsync(p, n, s);
}
static CUresult free_async(CUcontext c, CUdeviceptr p, CUstream s) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuMemFreeAsync(p, s);
}
static CUresult host_alloc(CUcontext c, void **p, size_t n) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuMemHostAlloc(p, n, CU_MEMHOSTALLOC_PORTABLE);
}
// keep_pool lets the device's pool keep what is freed until it is trimmed.
static CUresult keep_pool(CUcontext c, CUdevice d) {
	CUmemoryPool pool;
	uint64_t all = ~(uint64_t)0;
	CUresult r = cuCtxSetCurrent(c);
	if (!r) r = cuDeviceGetDefaultMemPool(&pool, d);
	if (!r) r = cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &all);
	return r;
}
// pool_info is what the device's pool has taken of the device, and what of that
// is in use.
static CUresult pool_info(CUcontext c, CUdevice d, uint64_t *reserved, uint64_t *used) {
	CUmemoryPool pool;
	CUresult r = cuCtxSetCurrent(c);
	if (!r) r = cuDeviceGetDefaultMemPool(&pool, d);
	if (!r) r = cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, reserved);
	if (!r) r = cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, used);
	return r;
}
static CUresult trim_pool(CUcontext c, CUdevice d) {
	CUmemoryPool pool;
	CUresult r = cuCtxSetCurrent(c);
	if (!r) r = cuDeviceGetDefaultMemPool(&pool, d);
	if (!r) r = cuMemPoolTrimTo(pool, 0);
	return r;
}
*/
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// Ptr is an address in device memory.
type Ptr = cu.DevicePtr

// KeepPool makes freed memory stay with the process, so that allocating in
// stream order is cheap.
func (d *Device) KeepPool() error {
	return check("cuMemPoolSetAttribute", C.keep_pool(d.c(), C.CUdevice(d.dev)))
}

// TrimPool gives memory that is free back to the device.
func (d *Device) TrimPool() error {
	return check("cuMemPoolTrimTo", C.trim_pool(d.c(), C.CUdevice(d.dev)))
}

// PoolInfo is how much of the device's memory this process's pool holds, and how
// much of that is in use; the rest serves its next allocations.
func (d *Device) PoolInfo() (reserved, used int64, err error) {
	var r, u C.uint64_t
	err = check("cuMemPoolGetAttribute", C.pool_info(d.c(), C.CUdevice(d.dev), &r, &u))
	return int64(r), int64(u), err
}

// Alloc allocates n bytes that work queued on s from now on may use. Their
// content is arbitrary.
func (d *Device) Alloc(n int64, s *Stream) (Ptr, error) {
	if !d.MemoryPools {
		return d.AllocShareable(n)
	}
	var p C.CUdeviceptr
	err := check("cuMemAllocAsync", C.alloc_async(d.c(), &p, C.size_t(n), s.c()))
	return Ptr(p), err
}

// Free frees memory once the work queued on s so far is done.
func (d *Device) Free(p Ptr, s *Stream) error {
	if !d.MemoryPools {
		return d.FreeShareable(p)
	}
	return check("cuMemFreeAsync", C.free_async(d.c(), C.CUdeviceptr(p), s.c()))
}

// AllocShareable allocates n bytes that other processes may be given, see Share.
func (d *Device) AllocShareable(n int64) (Ptr, error) {
	var p Ptr
	err := d.do("cuMemAlloc", func() (err error) {
		p, err = cu.MemAlloc(n)
		return err
	})
	return p, err
}

// FreeShareable frees what AllocShareable returned. It waits for the device.
func (d *Device) FreeShareable(p Ptr) error {
	return d.do("cuMemFree", func() error { return cu.MemFree(p) })
}

// MemoryInfo is how much memory of the device is free, over all processes, and
// how much there is.
func (d *Device) MemoryInfo() (free, total int64, err error) {
	err = d.do("cuMemGetInfo", func() (err error) {
		free, total, err = cu.MemInfo()
		return err
	})
	return free, total, err
}

// HostAlloc allocates n bytes of page-locked memory, which the device copies
// from and to without the host's help. The slice is not Go's: HostFree it.
func (d *Device) HostAlloc(n int) ([]byte, error) {
	var p unsafe.Pointer
	if err := check("cuMemHostAlloc", C.host_alloc(d.c(), &p, C.size_t(n))); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// HostFree frees what HostAlloc returned.
func (d *Device) HostFree(b []byte) error {
	return d.do("cuMemFreeHost", func() error { return cu.MemFreeHost(unsafe.Pointer(unsafe.SliceData(b))) })
}

// Upload queues a copy from page-locked memory, which must stay as it is until
// the copy is done.
func (s *Stream) Upload(dst Ptr, src []byte) error {
	return s.d.do("cuMemcpyHtoDAsync", func() error {
		return cu.MemcpyHtoDAsync(dst, unsafe.Pointer(unsafe.SliceData(src)), int64(len(src)), s.s)
	})
}

// Download queues a copy to page-locked memory.
func (s *Stream) Download(dst []byte, src Ptr) error {
	return s.d.do("cuMemcpyDtoHAsync", func() error {
		return cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(dst)), src, int64(len(dst)), s.s)
	})
}

// Copy queues a copy of n bytes within the device.
func (s *Stream) Copy(dst, src Ptr, n int64) error {
	return s.d.do("cuMemcpyDtoDAsync", func() error { return cu.MemcpyDtoDAsync(dst, src, n, s.s) })
}

// CopyFrom queues a copy of n bytes from the memory of another device.
func (s *Stream) CopyFrom(dst Ptr, from *Device, src Ptr, n int64) error {
	return s.d.do("cuMemcpyPeerAsync", func() error { return cu.MemcpyPeerAsync(dst, s.d.ctx, src, from.ctx, n, s.s) })
}

// Zero queues the clearing of n bytes.
func (s *Stream) Zero(dst Ptr, n int64) error {
	return s.d.do("cuMemsetD8Async", func() error { return cu.MemsetD8Async(dst, 0, n, s.s) })
}
