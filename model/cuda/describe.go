//go:build cuda && cgo && linux

package cuda

import (
	"errors"
	"fmt"

	"vgid/model/backend"
)

// Describe says what is known of a device, a line each, and whether it is
// simulated: nothing of one that is not of this package.
func Describe(be backend.Backend) (lines []string, simulated bool) {
	b, ok := be.Device().(*Device)
	if !ok {
		return nil, false
	}
	d := b.dev.Info
	lines = []string{
		fmt.Sprintf("device    %s, compute capability %d.%d, %d multiprocessors, %s", d.Name, d.Major, d.Minor, d.Processors, backend.Bytes(d.Memory)),
		fmt.Sprintf("driver    CUDA %s", version(d.DriverVersion)),
	}
	if b.lt != nil {
		lines = append(lines, fmt.Sprintf("cuBLASLt  %d, %s", b.lt.Version(), b.lt.Path()))
	} else {
		lines = append(lines, fmt.Sprintf("cuBLASLt  none, products run on vgid's kernels (%v)", b.ltWhy))
	}
	if d.Simulated {
		lines = append(lines, "This is a SIMULATED DEVICE: it shows that the kernels compute the right thing, and nothing about a real card's times.")
	}
	return lines, d.Simulated
}

// Memory is what a device has, and what is free of it before anything is loaded.
func Memory(ordinal int, o Options) (free, total int64, err error) {
	be, err := OpenDevice(ordinal, o)
	if err != nil {
		return 0, 0, err
	}
	free, err = be.FreeBytes()
	total = be.dev.Memory
	return free, total, errors.Join(err, be.Close())
}
