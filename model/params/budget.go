package params

import (
	"fmt"
	"runtime/debug"

	"vgid/model/backend"
)

// bytesOf is what weights take as they are stored, and with every matrix as
// bfloat16.
// narrow is for a hint: what could be saved by another setting.
func bytesOf(ws []*Weight) (bytes, narrow int64) {
	for _, w := range ws {
		n := int64(w.Value.Len())
		bytes += n * int64(w.stored.Size())
		if w.Decay {
			narrow += n * int64(backend.BF16.Size())
		} else {
			narrow += n * int64(w.stored.Size())
		}
	}
	return bytes, narrow
}

// preflight refuses weights that the device has no memory for, before any of
// it is taken.
func (m *memory) preflight(need int64, hint string) error {
	if free, yes := short(m.be, need); yes {
		return tooMuch("the weights take", need, free, hint)
	}
	return nil
}

// tooMuch is the refusal of work that takes more memory than is free.
func tooMuch(what string, need, free int64, hint string) error {
	return fmt.Errorf("%s %v of memory and %v are free: %v are missing%s", what, backend.Bytes(need), backend.Bytes(free), backend.Bytes(need-free), hint)
}

// short reports whether need bytes are more than the device says are free, once
// this process has given back what it no longer uses, and how many are.
func short(be backend.Backend, need int64) (free int64, yes bool) {
	for again := false; ; again = true {
		free, err := be.FreeBytes()
		switch {
		case err != nil || need <= free:
			return 0, false // where it is not known the device will say
		case again:
			return free, true
		}
		// The runtime keeps freed memory for a while, which the system counts as taken.
		debug.FreeOSMemory()
	}
}

// CheckTraining refuses so many float32 buffers of n values where there is no
// memory for them, before any is taken.
func CheckTraining(be backend.Backend, buffers, n int, what string) error {
	need := 4 * int64(buffers) * int64(n)
	if free, yes := short(be, need); yes {
		return tooMuch(what, need, free, "; train fewer weights: an adapter, or one of a smaller r or fewer targets")
	}
	return nil
}
