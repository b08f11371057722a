package watch

import (
	"slices"
	"testing"
	"time"

	"vgid/collective/schedule"
)

const testBeat, testLimit = 400 * time.Millisecond, 3 * time.Second

// after gives what rank self knows when each beat, for so long, it hears those
// for whom hears says so: neighbours themselves, of others by news.
func after(self, n int, span time.Duration, hears func(rank int) bool) silence {
	s := newSilence(self, n, testBeat, testLimit)
	for r := range n {
		s.hear(r)
	}
	for range int(span / testBeat) {
		s.tick(testBeat)
		for r := range n {
			if hears(r) {
				s.hear(r)
				s.news[r] = 0
			}
		}
	}
	return s
}

func TestFrozen(t *testing.T) {
	const n, victim = 8, 3
	self := schedule.Links(victim, n)[0]
	others := schedule.Links(victim, n)[1:]
	but := func(x int) func(int) bool { return func(r int) bool { return r != x } }
	// agreeing gives the table in which neighbours suspect the victim, but for some.
	agreeing := func(less int) *table {
		tab := newTable(self, n)
		for r := range n {
			e := entry{beat: 1}
			if i := slices.Index(others, r); i >= less {
				e.suspects = []int{victim}
			}
			tab.put(r, e)
		}
		return &tab
	}
	// One that has said goodbye gives signs until all agree.
	leaves, left := agreeing(0), agreeing(0)
	leaves.put(victim, entry{beat: 2, leaving: goodbye})
	left.put(victim, entry{beat: 2, leaving: agreed})
	for name, c := range map[string]struct {
		span  time.Duration
		hears func(int) bool
		tab   *table
		want  int
	}{
		"all suspect it":               {3200 * time.Millisecond, but(victim), agreeing(0), victim},
		"not long enough":              {2800 * time.Millisecond, but(victim), agreeing(0), -1},
		"one hears it":                 {3200 * time.Millisecond, but(victim), agreeing(1), -1},
		"one hears it, for longer":     {4800 * time.Millisecond, but(victim), agreeing(1), victim},
		"it said goodbye":              {3200 * time.Millisecond, but(victim), leaves, victim},
		"it has left":                  {3200 * time.Millisecond, but(victim), left, -1},
		"who hears it is out of reach": {3200 * time.Millisecond, func(r int) bool { return r != victim && r != others[0] }, agreeing(1), victim},
	} {
		s := after(self, n, c.span, c.hears)
		if got, since, heard := s.frozen(c.tab); got != c.want || got >= 0 && (since < testLimit || since > c.span || heard != (name == "one hears it, for longer")) {
			t.Errorf("%s: rank %d, silent for %v; want %d", name, got, since, c.want)
		}
	}
}

// A rank that has not given its first sign yet has more time for it.
func TestFirstSign(t *testing.T) {
	tab := newTable(0, 2)
	for span, want := range map[time.Duration]int{4 * time.Second: -1, 16 * time.Second: 1} {
		s := newSilence(0, 2, testBeat, testLimit)
		for range int(span / testBeat) {
			s.tick(testBeat)
		}
		if got, _, _ := s.frozen(&tab); got != want {
			t.Errorf("after %v rank %d is frozen, want %d", span, got, want)
		}
	}
}

// However long this process stood still, it blames nobody for that.
func TestOwnPauseBlamesNobody(t *testing.T) {
	s := after(0, 4, time.Second, func(int) bool { return true })
	tab := newTable(0, 4)
	s.tick(time.Hour)
	if got, _, _ := s.frozen(&tab); got >= 0 || s.quietest(&tab) >= 0 {
		t.Errorf("after a pause rank %d is frozen, %d quiet", got, s.quietest(&tab))
	}
}

// Of ranks behind those that have left nobody brings news, which says nothing of them.
func TestNewsEndWithThoseWhoBringThem(t *testing.T) {
	const n = 6
	links := schedule.Links(2, n)
	s := after(2, n, 10*time.Second, func(int) bool { return false })
	for _, left := range []int{0, len(links)} {
		tab := newTable(2, n)
		for _, r := range links[:left] {
			tab.put(r, entry{beat: 1, leaving: agreed})
		}
		if got := s.quietest(&tab); (got >= 0) == (left > 0) {
			t.Errorf("%d of the neighbours %v have left, rank %d is the quietest", left, links, got)
		}
	}
}
