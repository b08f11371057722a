//go:build linux

package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"vgid/vgid/stepbench"
)

// A step takes the memory that was estimated, as the kernel sees it, but for what
// the threads pack and what the garbage collector has not found yet: 64 MiB.
func TestBenchMemory(t *testing.T) {
	if race {
		t.Skip("SKIPPED: the race detector takes memory of its own; run it without")
	}
	dir := filepath.Join(t.TempDir(), "m")
	must(t, program, "bench", "checkpoint", "--shape", "quickstart", "--out", dir)
	for _, more := range [][]string{nil, {"--recompute=false"}, {"--full"}} {
		var r stepbench.MemoryRow
		args := append([]string{"bench", "memory", "--json", "--model", dir, "--batch", "48"}, more...)
		if err := json.Unmarshal([]byte(must(t, program, args...)), &r); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d MiB estimated, %d taken", r.Step, r.Resident>>20, r.Peak>>20)
		if over := r.Peak - r.Resident; over < -(8<<20) || over > 64<<20 || r.Estimated.Written < 100<<20 {
			t.Errorf("%s: %d bytes were estimated, %d taken: %+v", r.Step, r.Resident, r.Peak, r)
		}
	}
}
