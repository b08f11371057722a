package run

import (
	"math"
	"testing"
)

// timed checks the timing of three steps of a stage on n workers.
func timed(t *testing.T, path string, n int) {
	t.Helper()
	all, err := ReadTimings(path)
	if err != nil || len(all) != 3 {
		t.Fatalf("%s: %d steps, %v", path, len(all), err)
	}
	for i, s := range all {
		var sum float64
		for _, d := range s.Phases {
			sum += d
		}
		if s.Step != i+1 || s.Seconds <= 0 || math.Abs(sum-s.Seconds) > 1e-6 || len(s.Phases) != 6 {
			t.Errorf("step %d: %+v", i+1, s)
		}
		if s.Exposed != s.Phases["communication"] || math.Abs(s.Share*s.Seconds-s.Exposed) > 1e-9 || s.Share > 1 {
			t.Errorf("step %d is exposed for %v of %v, a share of %v", s.Step, s.Exposed, s.Seconds, s.Share)
		}
		if len(s.Worked) != n || len(s.WaitedFor) != n || s.WaitedFor[0] != 0 {
			t.Errorf("step %d of %d workers: worked %v, waited for %v", s.Step, n, s.Worked, s.WaitedFor)
		}
		if (s.Bytes > 0) != (n > 1) || (s.BusSeconds > 0) != (n > 1) || (s.BusBandwidth > 0) != (n > 1) {
			t.Errorf("step %d of %d workers: %d bytes in %v s at %v", s.Step, n, s.Bytes, s.BusSeconds, s.BusBandwidth)
		}
	}
}
