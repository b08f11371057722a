package collective

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHolders(t *testing.T) {
	const beat, since = time.Second, 10 * time.Second
	fresh := since + 2*time.Second
	for name, c := range map[string]struct {
		peers         []sighting // rank 1 looks, in call 5
		late, waiting []int
	}{
		"one has not come":        {[]sighting{{inCall(5), fresh}, {}, {afterCall(4), fresh}}, []int{2}, []int{0, 1}},
		"one is in another call":  {[]sighting{{inCall(5), fresh}, {}, {inCall(4), fresh}}, []int{2}, []int{0, 1}},
		"the furthest behind":     {[]sighting{{afterCall(4), fresh}, {}, {afterCall(2), fresh}, {inCall(5), fresh}}, []int{2}, []int{1, 3}},
		"two alike":               {[]sighting{{afterCall(4), fresh}, {}, {afterCall(4), fresh}}, []int{0, 2}, []int{1}},
		"all have come":           {[]sighting{{inCall(5), fresh}, {}, {afterCall(5), fresh}}, nil, []int{0, 1, 2}},
		"heard before the call":   {[]sighting{{afterCall(4), since - 1}, {}, {inCall(5), fresh}}, nil, []int{1, 2}},
		"heard as the call began": {[]sighting{{afterCall(4), since + beat - 1}, {}, {inCall(5), fresh}}, nil, []int{1, 2}},
		"never heard":             {[]sighting{{}, {}, {}}, nil, []int{1}},
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
			peers[i] = sighting{position(rapid.Uint64Range(0, 12).Draw(t, "at")), time.Duration(rapid.Int64Range(0, 20).Draw(t, "when"))}
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
	h := Header{Call: CallAllReduce, Seq: 302, Epoch: 1}
	for want, l := range map[string]Late{
		"rank 1 is 8s late to all-reduce #302 of epoch 1; ranks 0, 2, 3 wait":  {h, []int{1}, []int{0, 2, 3}, 8*time.Second + 3},
		"ranks 1, 2 are 1m0s late to all-reduce #302 of epoch 1; rank 0 waits": {h, []int{1, 2}, []int{0}, time.Minute},
	} {
		if got := l.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzReadSign(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Add((&Header{Call: CallBarrier, Seq: 3}).AppendTo(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		at, in, ok := readSign(b)
		if ok && in != nil && at != inCall(in.Seq) {
			t.Errorf("at %d in %v", at, in)
		}
	})
}
