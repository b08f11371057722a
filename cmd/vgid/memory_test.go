package main

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
)

func TestBoundGarbage(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOMEMLIMIT", "off")
	if boundGarbage(1); debug.SetMemoryLimit(-1) != math.MaxInt64 {
		t.Error("GOMEMLIMIT was overruled")
	}
	os.Unsetenv("GOMEMLIMIT")
	boundGarbage(1)
	if got := debug.SetMemoryLimit(-1); got < leastLimit || got > 1<<50 {
		t.Errorf("a limit of %d bytes", got)
	}
	for _, c := range []struct {
		free    int64
		workers int
		want    int64
	}{{16 << 30, 1, 15 << 30}, {16 << 30, 3, 5 << 30}, {16 << 30, 0, 15 << 30}, {100 << 20, 1, leastLimit}, {0, 4, leastLimit}} {
		if got := garbageLimit(c.free, c.workers); got != c.want {
			t.Errorf("%d free, %d workers: %d", c.free, c.workers, got)
		}
	}
}
