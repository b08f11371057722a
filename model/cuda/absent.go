//go:build !(cuda && cgo && linux)

package cuda

import (
	"errors"

	"vgid/model/backend"
)

// ErrAbsent is what Open and Devices answer in a build without CUDA.
var ErrAbsent = errors.New("this vgid was built without CUDA; build it with make cuda")

// Devices is the number of devices that this process can use.
func Devices() (int, error) { return 0, ErrAbsent }

// NoDevice reports whether err says that a machine has no device; that a build
// has none, ErrAbsent says.
func NoDevice(err error) bool { return false }

// Lost reports whether err says that a device stopped working.
func Lost(err error) bool { return false }

// Open takes hold of a device by its number among the visible ones.
func Open(ordinal int, o Options) (backend.Backend, error) { return nil, ErrAbsent }

// Memory is what a device has, and what is free of it.
func Memory(ordinal int, o Options) (free, total int64, err error) { return 0, 0, ErrAbsent }

// Describe says what is known of a device, a line each.
func Describe(be backend.Backend) (lines []string, simulated bool) { return nil, false }
