package job

import (
	"slices"
	"testing"
	"time"
)

// network is the signs that three nodes exchange; silence says which links are
// cut, from and to, at a time.
func network(t *testing.T, silence func(from, to, ms int) bool, until int, seen func(ms int, cuts [3][][2]int)) {
	t.Helper()
	start := time.Unix(100, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var rs [3]*reach
	for i := range rs {
		rs[i] = newReach(i, 3, start)
	}
	for ms := 0; ms <= until; ms += 100 {
		var cuts [3][][2]int
		for i, r := range rs {
			silent := r.look(at(ms))
			for j, o := range rs {
				if i != j && !silence(i, j, ms) {
					if ms%500 == 0 {
						o.hear(i, at(ms))
					}
					o.claim(i, silent, at(ms))
				}
			}
			cuts[i] = r.cuts(at(ms))
		}
		seen(ms, cuts)
	}
}

func TestReach(t *testing.T) {
	type link = [2]int
	for name, c := range map[string]struct {
		silence func(from, to, ms int) bool
		want    [3][]link
		by      int // milliseconds; no earlier than 2000
	}{
		"whole":                          {func(_, _, _ int) bool { return false }, [3][]link{}, 0},
		"a link":                         {func(f, t, _ int) bool { return f+t == 1 }, [3][]link{2: {{0, 1}}}, 3600},
		"one way":                        {func(f, t, _ int) bool { return f == 1 && t == 0 }, [3][]link{2: {{0, 1}}}, 3600},
		"another link":                   {func(f, t, _ int) bool { return f+t == 3 }, [3][]link{0: {{1, 2}}}, 3600},
		"a node":                         {func(f, t, _ int) bool { return f == 2 || t == 2 }, [3][]link{}, 0},
		"a link for a second and a half": {func(f, t, ms int) bool { return f+t == 1 && ms < 1500 }, [3][]link{}, 0},
		"a node for six seconds":         {func(f, t, ms int) bool { return (f == 2 || t == 2) && ms < 6000 }, [3][]link{}, 0},
		"a node stands still":            {func(f, _, ms int) bool { return f == 1 && ms < 6000 }, [3][]link{}, 0},
	} {
		var last [3][]link
		found := -1
		network(t, c.silence, 12000, func(ms int, cuts [3][][2]int) {
			for i := range cuts {
				if len(cuts[i]) > 0 && len(c.want[i]) == 0 {
					t.Errorf("%s: after %d ms node %d sees %v", name, ms, i, cuts[i])
				}
				if len(cuts[i]) > 0 && found < 0 {
					found = ms
				}
			}
			last = cuts
		})
		for i := range last {
			if !slices.Equal(last[i], c.want[i]) {
				t.Errorf("%s: node %d sees %v, want %v", name, i, last[i], c.want[i])
			}
		}
		if c.by > 0 && (found < 2000 || found > c.by) {
			t.Errorf("%s: seen after %d ms", name, found)
		}
	}
}

func TestReachAfterAPause(t *testing.T) {
	start := time.Unix(100, 0)
	r := newReach(0, 2, start)
	r.look(start.Add(100 * time.Millisecond))
	if silent := r.look(start.Add(time.Hour)); len(silent) > 0 {
		t.Errorf("this process stood still, and finds %v silent", silent)
	}
	r.claim(1, []int{-1, 0, 1, 7}, start)
	if len(r.claims) > 0 {
		t.Errorf("claims %v", r.claims)
	}
}
