//go:build cuda && cgo && linux

package driver

// #include <cuda.h>
import "C"

import (
	"errors"
	"fmt"
	"reflect"
)

// Error is a failed call of the driver.
type Error struct {
	Call string // the function of the driver
	Code int    // its CUresult
}

// The results that callers tell apart.
const (
	InvalidValue   = int(C.CUDA_ERROR_INVALID_VALUE)
	OutOfMemory    = int(C.CUDA_ERROR_OUT_OF_MEMORY)
	NoDevice       = int(C.CUDA_ERROR_NO_DEVICE)
	UnsupportedPTX = int(C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION)
	InvalidPTX     = int(C.CUDA_ERROR_INVALID_PTX)
	NoCompiler     = int(C.CUDA_ERROR_JIT_COMPILER_NOT_FOUND)
	NoBinary       = int(C.CUDA_ERROR_NO_BINARY_FOR_GPU)
	NotFound       = int(C.CUDA_ERROR_NOT_FOUND)
	NotReady       = int(C.CUDA_ERROR_NOT_READY)
	IllegalAddress = int(C.CUDA_ERROR_ILLEGAL_ADDRESS)
	Misaligned     = int(C.CUDA_ERROR_MISALIGNED_ADDRESS)
	ECC            = int(C.CUDA_ERROR_ECC_UNCORRECTABLE)
	LaunchFailed   = int(C.CUDA_ERROR_LAUNCH_FAILED)
)

// lost are the results after which the device, or this process's hold on it, is
// gone.
var lost = map[int]string{
	int(C.CUDA_ERROR_DEVICE_UNAVAILABLE):   "it is not available any more",
	int(C.CUDA_ERROR_ECC_UNCORRECTABLE):    "its memory has an uncorrectable error",
	int(C.CUDA_ERROR_NVLINK_UNCORRECTABLE): "its NVLink failed",
	int(C.CUDA_ERROR_HARDWARE_STACK_ERROR): "its hardware reports a stack error",
	int(C.CUDA_ERROR_UNKNOWN):              "the driver reports an unknown error, as it does when a card falls off the bus",
}

func (e *Error) Error() string {
	if why, ok := lost[e.Code]; ok {
		return fmt.Sprintf("the CUDA device is lost: %s (%s: %s); look at nvidia-smi and for Xid in dmesg", why, e.Call, name(e.Code))
	}
	switch e.Code {
	case NoDevice:
		return fmt.Sprintf("no CUDA device is visible (%s: %s); look at nvidia-smi and CUDA_VISIBLE_DEVICES", e.Call, name(e.Code))
	case IllegalAddress:
		return fmt.Sprintf("a kernel read or wrote outside its memory (%s: %s%s)", e.Call, name(e.Code), simulated())
	case Misaligned, LaunchFailed, InvalidValue, InvalidPTX, UnsupportedPTX, NoBinary, NotFound:
		return fmt.Sprintf("%s: %s%s", e.Call, name(e.Code), simulated())
	}
	return fmt.Sprintf("%s: %s", e.Call, name(e.Code))
}

// simulated is what a simulated device adds.
func simulated() string {
	if m := SimulatedMessage(); m != "" {
		return "; simulated device: " + m
	}
	return ""
}

// noneError says why this machine has no device to offer. It is told from the
// failures of a device that is there, since another device helps only against it.
type noneError string

func (e noneError) Error() string { return string(e) }

// Absent reports whether err says that there is no device that could be used.
func Absent(err error) bool {
	var none noneError
	return errors.As(err, &none) || Code(err) == NoDevice
}

// Lost reports whether err says that the device is gone.
func Lost(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	_, ok := lost[e.Code]
	return ok
}

// Code is the CUresult in err, 0 when there is none.
func Code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// name asks the driver, which knows codes newer than any header.
func name(code int) string {
	var s *C.char
	if C.cuGetErrorName(C.CUresult(code), &s) == 0 && s != nil {
		return C.GoString(s)
	}
	return fmt.Sprintf("CUresult %d", code)
}

// wrap turns an error of gorgonia.org/cu, an integer type that it keeps to
// itself, into an Error.
func wrap(call string, err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
		return &Error{Call: call, Code: int(v.Int())}
	}
	return fmt.Errorf("%s: %w", call, err)
}

// check turns a result into an error.
func check(call string, r C.CUresult) error {
	if r == 0 {
		return nil
	}
	return &Error{Call: call, Code: int(r)}
}
