//go:build cuda && cgo && linux

package simtest

import "vgid/model/cuda/internal/driver"

// Counter is what the simulated device has counted under a name, such as "waits"
// (of the host for it) or "ahead" (bytes copied before earlier operations).
func Counter(name string) int64 { return driver.SimulatedCounter(name) }
