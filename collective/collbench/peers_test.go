package collbench

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// everyCall has a real peer make every call, which compares its results itself.
func everyCall(t *testing.T, o Options, lacks int) {
	t.Helper()
	o.Procs, o.Sizes, o.Calls, o.Rounds, o.PerSize = []int{3}, []int{42_000}, Calls(), 1, time.Millisecond
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	lacking := 0
	for _, x := range r.Rows {
		if x.PeerLacks != "" {
			lacking++
		} else if x.PeerP50 <= 0 || x.Ratio <= 0 {
			t.Errorf("%+v", x)
		}
	}
	if len(r.Rows) != len(calls)*len(o.Peers) || lacking != lacks {
		t.Errorf("%d rows, of which %d lack a peer's figures, want %d: %+v", len(r.Rows), lacking, lacks, r.Rows)
	}
}

// The C source is compiled and run where there is an Open MPI.
func TestOpenMPI(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short: Open MPI's ranks spin")
	}
	for _, program := range []string{"mpirun", "mpicc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: there is no %s: Open MPI's side is not run", program)
		}
	}
	everyCall(t, Options{Peers: []string{"openmpi"}}, 0)
	r, err := Run(t.Context(), Options{Procs: []int{2}, Sizes: []int{4096}, DType: "bf16", Peers: []string{"openmpi-shm"}, Rounds: 1, PerSize: time.Millisecond})
	if err != nil || len(r.Rows) != 1 || r.Rows[0].PeerLacks != "MPI has no type for bf16" {
		t.Errorf("%v, %+v", err, r.Rows)
	}
}

// With VGID_PYTHON, a python with torch, the real script is run.
func TestGloo(t *testing.T) {
	o := Options{Peers: []string{"gloo"}, Python: os.Getenv("VGID_PYTHON")}
	if o.Python == "" {
		t.Skip("SKIPPED: VGID_PYTHON names no python with torch: Gloo's side is not run")
	}
	everyCall(t, o, 3) // Gloo has no parts of different lengths
	o.DType = "bf16"
	everyCall(t, o, 3)
}
