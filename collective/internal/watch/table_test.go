package watch

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/collective/frame"
)

// drawEntry gives an entry as a rank of n may have it, in whole milliseconds.
func drawEntry(t *rapid.T, n int) entry {
	e := entry{
		beat:    rapid.Uint64Range(1, 6).Draw(t, "beat"),
		when:    time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "when")) * time.Millisecond,
		inCalls: time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "in calls")) * time.Microsecond,
		leaving: leaving(rapid.IntRange(0, int(endLeave)-1).Draw(t, "leaving")),
	}
	for range rapid.IntRange(0, 3).Draw(t, "communicators") {
		s := standing{comm: rapid.Uint32().Draw(t, "comm"), at: position(rapid.Uint64().Draw(t, "at")),
			call: frame.Call(rapid.IntRange(0, int(frame.LastCall)).Draw(t, "call")), left: rapid.Bool().Draw(t, "left")}
		if s.left {
			s.sum = rapid.Uint64().Draw(t, "sum")
		}
		if s.in() {
			s.age = drawAge(t)
		}
		e.in = append(e.in, s)
	}
	for range rapid.IntRange(0, min(3, n)).Draw(t, "suspects") {
		e.suspects = append(e.suspects, rapid.IntRange(0, n-1).Draw(t, "suspect"))
	}
	for range rapid.IntRange(0, min(MostExpects, n)).Draw(t, "expects") {
		e.expects = append(e.expects, Expect{Call: frame.CallRecv, Peer: rapid.IntRange(0, n-1).Draw(t, "peer"), Age: drawAge(t)})
	}
	return e
}

func drawAge(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(0, 1e7).Draw(t, "age")) * time.Millisecond
}

// What a sign says is what is read of it, in as many parts as it takes.
func TestSignsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1500).Draw(t, "ranks")
		now := 2000 * time.Second
		tab := newTable(0, n)
		want := map[int]entry{}
		for range rapid.IntRange(0, 60).Draw(t, "entries") {
			r := rapid.IntRange(0, n-1).Draw(t, "rank")
			if e := drawEntry(t, n); tab.put(r, e) {
				want[r] = e
			}
		}
		heads := []announced{{frame.Header{Call: frame.CallBarrier, Seq: 9}, 1 << 63}, {frame.Header{Call: frame.CallBarrier, Seq: 8, Comm: 1}, 7}}
		for i, s := range tab.signs(tab.fresh, heads, now) {
			latest, news, ok := readSign(s[1:], n, now)
			if !ok || s[0] != noticeAlive || i == 0 && !slices.Equal(latest, heads) || i > 0 && latest != nil || len(s) > signBytes+300 {
				t.Fatalf("sign %d of %d bytes: %v %v", i, len(s), latest, ok)
			}
			for _, e := range news {
				if !reflect.DeepEqual(e.entry, want[e.rank]) {
					t.Fatalf("rank %d: %+v, want %+v", e.rank, e.entry, want[e.rank])
				}
				delete(want, e.rank)
			}
		}
		if len(want) != 0 {
			t.Fatalf("not said: %v", want)
		}
	})
}

// In whatever order, and however often, entries come: the newest stay.
func TestTableForgetsNothingNewer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 4
		var all []ranked
		for beat := range uint64(5) {
			for r := range n {
				e := drawEntry(t, n)
				e.beat = beat + 1
				all = append(all, ranked{r, e})
			}
		}
		all = append(all, all...)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		tab := newTable(0, n)
		for _, e := range all {
			older := e.beat <= tab.entries[e.rank].beat
			if tab.put(e.rank, e.entry) == older {
				t.Fatalf("beat %d of rank %d: news %t", e.beat, e.rank, !older)
			}
		}
		for r, e := range tab.entries {
			if e.beat != 5 || !slices.Contains(tab.fresh, r) || len(tab.fresh) != n {
				t.Fatalf("rank %d ends at beat %d, fresh are %v", r, e.beat, tab.fresh)
			}
		}
	})
}

func FuzzReadSign(f *testing.F) {
	tab := newTable(0, 3)
	tab.put(1, entry{beat: 3, leaving: goodbye, suspects: []int{2}, in: []standing{{comm: 5, at: inCall(7), call: frame.CallBroadcast}, {left: true, sum: 1 << 60}}, expects: []Expect{{frame.CallRecv, 2, time.Minute}}})
	for _, h := range [][]announced{nil, {{frame.Header{Call: frame.CallBarrier, Seq: 3}, 1}}} {
		for _, s := range tab.signs([]int{1}, h, time.Second) {
			f.Add(s[1:])
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, news, ok := readSign(b, 3, time.Second)
		for _, e := range news {
			if ok && (e.rank < 0 || e.rank > 2 || e.leaving >= endLeave || len(e.suspects) > 3 || e.when > time.Second || e.inCalls < 0) {
				t.Errorf("%+v", e)
			}
		}
	})
}
