package params

import (
	"runtime"
	"runtime/debug"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
)

// littered is a machine of which this process's heap takes a part, as the system
// sees it.
type littered struct {
	backend.Backend
	memory int64
}

func heap() int64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapSys - s.HeapReleased)
}

func (l *littered) FreeBytes() (int64, error) { return l.memory - heap(), nil }

// What a model that is gone has left on the heap is no reason to refuse the next.
func TestGarbageIsNotMissing(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	debug.FreeOSMemory()
	gone := make([]byte, 64<<20)
	for i := range gone {
		gone[i] = byte(i)
	}
	l := &littered{be, heap() + 16<<20}
	runtime.KeepAlive(gone)
	if free, yes := short(l, 48<<20); yes {
		t.Errorf("only %d bytes are free with %d of garbage", free, len(gone))
	}
	if free, yes := short(l, 1<<40); !yes || free <= 0 || free > l.memory {
		t.Errorf("short %t, %d bytes are free of %d", yes, free, l.memory)
	}
}
