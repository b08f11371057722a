package watch

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/collective/frame"
)

func TestHolders(t *testing.T) {
	const beat, since = time.Second, 10 * time.Second
	fresh := since + 2*time.Second
	for name, c := range map[string]struct {
		peers         []sighting // rank 1 looks, in call 5
		late, waiting []int
	}{
		"one has not come":         {[]sighting{{known: true, standing: standing{at: inCall(5)}, when: fresh}, {}, {known: true, standing: standing{at: afterCall(4)}, when: fresh}}, []int{2}, []int{0, 1}},
		"one is in another call":   {[]sighting{{known: true, standing: standing{at: inCall(5)}, when: fresh}, {}, {known: true, standing: standing{at: inCall(4)}, when: fresh}}, []int{2}, []int{0, 1}},
		"the furthest behind":      {[]sighting{{known: true, standing: standing{at: afterCall(4)}, when: fresh}, {}, {known: true, standing: standing{at: afterCall(2)}, when: fresh}, {known: true, standing: standing{at: inCall(5)}, when: fresh}}, []int{2}, []int{1, 3}},
		"two alike":                {[]sighting{{known: true, standing: standing{at: afterCall(4)}, when: fresh}, {}, {known: true, standing: standing{at: afterCall(4)}, when: fresh}}, []int{0, 2}, []int{1}},
		"two alike, one elsewhere": {[]sighting{{known: true, standing: standing{at: afterCall(4)}, when: fresh}, {}, {known: true, standing: standing{at: afterCall(4)}, when: fresh, elsewhere: true}}, []int{0}, []int{1}},
		"all have come":            {[]sighting{{known: true, standing: standing{at: inCall(5)}, when: fresh}, {}, {known: true, standing: standing{at: afterCall(5)}, when: fresh}}, nil, []int{0, 1, 2}},
		"heard before the call":    {[]sighting{{known: true, standing: standing{at: afterCall(4)}, when: since - 1}, {}, {known: true, standing: standing{at: inCall(5)}, when: fresh}}, nil, []int{1, 2}},
		"heard as the call began":  {[]sighting{{known: true, standing: standing{at: afterCall(4)}, when: since + beat - 1}, {}, {known: true, standing: standing{at: inCall(5)}, when: fresh}}, nil, []int{1, 2}},
		"never heard":              {[]sighting{{}, {}, {}}, nil, []int{1}},
	} {
		late, waiting := holders(5, 1, since, beat, c.peers)
		if !slices.Equal(late, c.late) || !slices.Equal(waiting, c.waiting) {
			t.Errorf("%s: late %v, waiting %v; want %v, %v", name, late, waiting, c.late, c.waiting)
		}
	}
}

// Whatever was heard, no rank is late and waiting at once, self waits, and who
// is late is behind.
func TestHoldersAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "ranks")
		self := rapid.IntRange(0, n-1).Draw(t, "self")
		peers := make([]sighting, n)
		for i := range peers {
			peers[i] = sighting{known: true, standing: standing{at: position(rapid.Uint64Range(0, 12).Draw(t, "at"))}, when: time.Duration(rapid.Int64Range(0, 20).Draw(t, "when"))}
		}
		late, waiting := holders(5, self, 10, 2, peers)
		if !slices.Contains(waiting, self) {
			t.Fatal("self does not wait")
		}
		for _, r := range late {
			if slices.Contains(waiting, r) || peers[r].at >= inCall(5) || peers[r].when < 12 {
				t.Fatalf("rank %d is late: %+v", r, peers[r])
			}
		}
	})
}

func TestAlarm(t *testing.T) {
	a := alarm{after: 5}
	var told []int
	for _, s := range []struct{ seq, waited int }{{1, 1}, {1, 5}, {1, 6}, {1, 9}, {1, 10}, {1, 45}, {1, 79}, {1, 80}, {2, 4}, {2, 7}, {2, 8}} {
		if a.due(uint64(s.seq), time.Duration(s.waited)) {
			told = append(told, 100*s.seq+s.waited)
		}
	}
	if want := []int{105, 110, 145, 180, 207}; !slices.Equal(told, want) {
		t.Errorf("told at %v, want %v", told, want)
	}
}

func TestLateWords(t *testing.T) {
	h := frame.Header{Call: frame.CallAllReduce, Seq: 302, Epoch: 1}
	many := make([]int, 60)
	for i := range many {
		many[i] = i + 2
	}
	for want, l := range map[string]Late{
		"rank 1 is at broadcast #301, all others at all-reduce #302 of epoch 1, for 8s":               {h, []int{1}, []int{0, 2, 3}, 8*time.Second + 3, 4, standing{at: inCall(301), call: frame.CallBroadcast}, verdict{}},
		"ranks 1, 2 are past broadcast #301, rank 0 at all-reduce #302 of epoch 1, for 1m0s":          {h, []int{1, 2}, []int{0}, time.Minute, 8, standing{at: afterCall(301), call: frame.CallBroadcast}, verdict{}},
		"rank 1 is before its first call, rank 0 at all-reduce #302 of epoch 1, for 4.2s":             {h, []int{1}, []int{0}, 4200 * time.Millisecond, 2, standing{at: afterCall(0), call: 0}, verdict{}},
		"rank 1 is at broadcast #301, 60 ranks (2 … 61) at all-reduce #302 of epoch 1, for 4.2s":      {h, []int{1}, many, 4200 * time.Millisecond, 64, standing{at: inCall(301), call: frame.CallBroadcast}, verdict{}},
		"rank 1 is at broadcast #301, rank 0 at all-reduce #302 of epoch 1, communicator 9, for 4.2s": {h, []int{1}, []int{0}, 4200 * time.Millisecond, 2, standing{comm: 9, at: inCall(301), call: frame.CallBroadcast}, verdict{}},
	} {
		if got := l.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestShares(t *testing.T) {
	const window = 20 * time.Second
	for name, c := range map[string]struct {
		busy []float64 // share in calls, by rank
		slow int
		told int // in ten windows
	}{
		"one is slow":     {[]float64{0.9, 0.05, 0.8}, 1, 4},
		"the first":       {[]float64{0.1, 0.7, 0.95}, 0, 4},
		"all compute":     {[]float64{0.1, 0.15, 0.2}, -1, 0},
		"all communicate": {[]float64{0.9, 0.8, 0.7}, -1, 0},
		"two are slow":    {[]float64{0.9, 0.1, 0.1}, -1, 0},
		"somewhat uneven": {[]float64{0.5, 0.3, 0.5}, -1, 0},
		"two ranks":       {[]float64{0.02, 0.97}, 0, 4},
	} {
		s := shares{window: window, slow: -1}
		told := 0
		for look := range 201 { // one each second
			now := make([]entry, len(c.busy))
			for r, b := range c.busy {
				at := time.Duration(look+1) * time.Second
				now[r] = entry{beat: 1, when: at, inCalls: time.Duration(b * float64(at))}
			}
			if got, found := s.look(now); found {
				told++
				if got.Rank != c.slow || got.In != window || got.Share < 0.6 {
					t.Errorf("%s: %+v", name, got)
				}
			}
		}
		if told != c.told {
			t.Errorf("%s: told %d times, want %d", name, told, c.told)
		}
	}
}
