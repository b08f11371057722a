//go:build cuda && cgo && linux

package driver

/*
#include <cuda.h>
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Device is one GPU and this process's primary context on it. Its methods may
// be called from any goroutine: each makes the context current on the thread it
// runs on first.
type Device struct {
	Info
	dev cu.Device
	ctx cu.CUContext
}

// Info describes a device.
type Info struct {
	Ordinal         int
	Name            string
	Major, Minor    int   // compute capability
	Memory          int64 // bytes
	Processors      int   // streaming multiprocessors
	SharedPerBlock  int   // bytes a block may have after asking
	MemoryPools     bool  // allocation in stream order
	DriverVersion   int
	Simulated       bool
	ClockKHz        int
	MemoryClockKHz  int
	MemoryBusWidth  int // bits
	MaxGridY        int
	MaxThreadsBlock int
}

// SimulatedName begins the name of a simulated device.
const SimulatedName = "simulated device"

// The device attributes that gorgonia.org/cu has no name for.
const (
	sharedPerBlockOptIn = cu.DeviceAttribute(C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
	memoryPools         = cu.DeviceAttribute(C.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)
)

// Open takes hold of a device by its number among those visible.
func Open(ordinal int) (*Device, error) {
	n, err := Devices()
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= n {
		return nil, fmt.Errorf("CUDA device %d does not exist: this process sees %d (CUDA_VISIBLE_DEVICES narrows them)", ordinal, n)
	}
	dev, err := cu.GetDevice(ordinal)
	if err != nil {
		return nil, wrap("cuDeviceGet", err)
	}
	d := &Device{dev: dev}
	if d.Info, err = describe(dev, ordinal); err != nil {
		return nil, err
	}
	d.ctx, err = dev.RetainPrimaryCtx()
	switch err := wrap("cuDevicePrimaryCtxRetain", err); Code(err) {
	case 0:
		return d, err
	case int(C.CUDA_ERROR_DEVICE_UNAVAILABLE), int(C.CUDA_ERROR_INVALID_DEVICE):
		return nil, fmt.Errorf("%s takes no further process (%s): it is in exclusive mode and in use, or prohibited; look at nvidia-smi -q -d COMPUTE, set the mode with nvidia-smi -c DEFAULT, or start one worker a GPU", d.Name, name(Code(err)))
	case OutOfMemory:
		return nil, fmt.Errorf("%s has no memory for another process (cuDevicePrimaryCtxRetain); look at nvidia-smi for who holds it", d.Name)
	default:
		return nil, err
	}
}

func describe(dev cu.Device, ordinal int) (Info, error) {
	name, err := dev.Name()
	if err != nil {
		return Info{}, wrap("cuDeviceGetName", err)
	}
	in := Info{Ordinal: ordinal, Name: name, DriverVersion: Version()}
	in.Simulated = len(name) >= len(SimulatedName) && name[:len(SimulatedName)] == SimulatedName
	if in.Memory, err = dev.TotalMem(); err != nil {
		return in, wrap("cuDeviceTotalMem", err)
	}
	pools := 0
	for _, a := range []struct {
		attr cu.DeviceAttribute
		to   *int
	}{
		{cu.ComputeCapabilityMajor, &in.Major}, {cu.ComputeCapabilityMinor, &in.Minor},
		{cu.MultiprocessorCount, &in.Processors}, {sharedPerBlockOptIn, &in.SharedPerBlock},
		{memoryPools, &pools}, {cu.ClockRate, &in.ClockKHz}, {cu.MemoryClockRate, &in.MemoryClockKHz},
		{cu.GlobalMemoryBusWidth, &in.MemoryBusWidth}, {cu.MaxGridDimY, &in.MaxGridY},
		{cu.MaxThreadsPerBlock, &in.MaxThreadsBlock},
	} {
		if *a.to, err = dev.Attribute(a.attr); err != nil {
			return in, wrap("cuDeviceGetAttribute", err)
		}
	}
	in.MemoryPools = pools != 0
	return in, nil
}

// Close lets go of the device. Everything allocated on it is gone after.
func (d *Device) Close() error { return wrap("cuDevicePrimaryCtxRelease", d.dev.ReleasePrimaryCtx()) }

// do runs calls of gorgonia.org/cu on a thread whose current context is d's.
func (d *Device) do(call string, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.ctx); err != nil {
		return wrap("cuCtxSetCurrent", err)
	}
	return wrap(call, f())
}

// Synchronize waits for everything queued on the device.
func (d *Device) Synchronize() error { return d.do("cuCtxSynchronize", cu.Synchronize) }

// The handles of gorgonia.org/cu are structs of one pointer; the companion calls
// need that pointer.
func init() {
	if unsafe.Sizeof(cu.CUContext{}) != 8 || unsafe.Sizeof(cu.Module{}) != 8 || unsafe.Sizeof(cu.Function{}) != 8 || unsafe.Sizeof(cu.Stream{}) != 8 || unsafe.Sizeof(cu.Event{}) != 8 {
		panic("driver: gorgonia.org/cu has changed its handles")
	}
}

func (d *Device) c() C.CUcontext { return *(*C.CUcontext)(unsafe.Pointer(&d.ctx)) }
