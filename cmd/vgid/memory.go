package main

import (
	"os"
	"runtime/debug"

	"vgid/model/cpu"
)

// boundGarbage keeps garbage from growing to where the kernel ends the process:
// the runtime collects earlier when its memory nears what is free now, for each of
// the workers of this machine. It bounds nothing that is in use. GOMEMLIMIT says
// otherwise, or off.
// A limit of the runtime and no check: what is really too much is found by the estimate before a stage.
func boundGarbage(workers int) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		return
	}
	// Where the system does not say what is free, the runtime collects as it always does.
	if free, err := cpu.FreeMemory(); err == nil {
		debug.SetMemoryLimit(garbageLimit(free, workers))
	}
}

// leastLimit is below what any work takes: a lower limit would only have the
// runtime collect all the time.
const leastLimit = 256 << 20

// garbageLimit leaves a sixteenth for what the runtime does not count: stacks of
// threads, mapped files, a driver's memory.
// free is in bytes, of the machine or its container, which the workers are taken to share evenly.
func garbageLimit(free int64, workers int) int64 {
	return max(leastLimit, (free-free/16)/int64(max(1, workers)))
}
