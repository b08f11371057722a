package simulate

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/frame"
)

var (
	schedules = flag.Int("schedules", 2000, "how many schedules TestSchedules runs")
	seed      = flag.Uint64("seed", 1, "the seed of the first")
	traced    = flag.Bool("trace", false, "print every event")
)

// TestSchedules runs schedules one after the other and says what they were.
func TestSchedules(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // each schedule is garbage at its end
	n := *schedules
	if testing.Short() {
		n = min(n, 300)
	}
	drawn, struck := map[Kind]int{}, map[Kind]int{}
	var events uint64
	var simulated time.Duration
	failed := 0
	for i := range n {
		s := Draw(*seed + uint64(i))
		for _, f := range s.Faults {
			drawn[f.Kind]++
		}
		rep := play(t, s)
		for _, k := range rep.Struck {
			struck[k]++
		}
		events += rep.Events
		simulated += rep.Took
		if failed += min(1, len(rep.Wrong)); failed == 20 {
			t.Fatal("more than enough have failed")
		}
	}
	var kinds strings.Builder
	for k := range endKind {
		if drawn[k] > 0 {
			fmt.Fprintf(&kinds, "\n%8d of %d: %v", struck[k], drawn[k], k)
		}
	}
	t.Logf("%d schedules from seed %d on, %d events, %v of virtual time; %d failed; faults that struck, of those drawn (the others came when all was over):%s",
		n, *seed, events, simulated.Round(time.Second), failed, kinds.String())
}

// play runs a schedule and says what was wrong, and how to see it again.
func play(t *testing.T, s *Schedule) *Report {
	t.Helper()
	var rep *Report
	if *traced {
		fmt.Println(s)
		rep = Run(t, s, os.Stdout)
	} else {
		rep = Run(t, s, nil)
	}
	if len(rep.Wrong) > 0 {
		t.Errorf("%v\n    %s\n  again, with all events: go test ./collective/simulate -run TestSchedules -schedules 1 -seed %d -trace", s, strings.Join(rep.Wrong, "\n    "), s.Seed)
	}
	return rep
}

// TestReplay runs schedules twice: to the last event, both times are the same.
func TestReplay(t *testing.T) {
	for i := range uint64(120) {
		var sums [2]uint64
		for k := range sums {
			sums[k] = Run(t, Draw(*seed+i), nil).Sum
		}
		if sums[0] == sums[1] {
			continue
		}
		var outs [2]bytes.Buffer
		for k := range outs {
			Run(t, Draw(*seed+i), &outs[k])
		}
		t.Errorf("%v: two runs differ: %s", Draw(*seed+i), firstDifference(outs[0].String(), outs[1].String()))
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d\n%s\n%s", i+1, x[i], y[i])
		}
	}
	return "not in two further runs"
}

// What simulations have found, as small as it can be, so that it stays repaired.
func TestWhatWasFound(t *testing.T) {
	for what, s := range map[string]*Schedule{
		"a rank that has said goodbye, and whose last frames a cut link swallows, is named in 5 s": {
			Seed: 1, Ranks: 3, Steps: []Step{{Job: calltest.Job{Call: frame.CallGather, Count: 4}}}, Conditions: Conditions{Window: 3},
			Faults: []*Fault{{Kind: CutOneWay, Rank: 1, Peer: 0, At: begin - time.Millisecond}},
		},
		"a rank whose neighbours have all left blames none of those that it can hear nothing of": {
			Seed: 3, Ranks: 6, Conditions: Conditions{Window: 3},
			Steps:   []Step{{Job: calltest.Job{Call: frame.CallGatherV, DType: collective.TypeF64, Counts: []int{18, 20, 18, 18, 18, 18}}}},
			Options: collective.Options{ChunkBytes: 64, SmallBytes: -1},
			Faults:  []*Fault{{Kind: Never, Rank: 5, For: 2 * timeout}},
		},
		"two ranks that have both sent as roots notice it, though what they sent fills the way of the next call": {
			Seed: 1, Ranks: 2, Conditions: Conditions{Window: 1},
			Steps:  []Step{{Job: calltest.Job{Call: frame.CallScatter, Count: 4}}, {Job: calltest.Job{Call: frame.CallAllReduce, Count: 4}}},
			Faults: []*Fault{{Kind: OtherCall, Rank: 1}},
		},
	} {
		s.stream, s.Latency, s.Jitter = stream(s.Seed), 20*time.Microsecond, 500*time.Microsecond
		s.Options.Timeout = timeout
		rep := Run(t, s, nil)
		if len(rep.Wrong) > 0 || len(rep.Struck) == 0 {
			t.Errorf("%s: struck %v, %s", what, rep.Struck, strings.Join(rep.Wrong, "\n"))
		}
	}
}

// A network that does not keep what it promises is noticed: the checks are not blind.
func TestChecksNotice(t *testing.T) {
	for says, spoil := range map[string]func(*network){
		"wrong result": func(w *network) {
			w.tamper = func(b []byte) {
				if len(b) > 0 {
					b[len(b)/2] ^= 1
				}
			}
		},
		"OnLate never named": func(w *network) { w.mute = true },
	} {
		found := false
		for i := uint64(0); i < 100 && !found; i++ {
			s := Draw(*seed + i)
			s.spoil, s.Faults = spoil, []*Fault{{Kind: Late, For: 10 * time.Second}}
			s.Steps[0].Way = Plain
			found = strings.Contains(strings.Join(Run(t, s, nil).Wrong, " "), says)
		}
		if !found {
			t.Errorf("in no schedule is there %q", says)
		}
	}
}
