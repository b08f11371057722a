package collective

import (
	"math/bits"
	"slices"
	"time"

	"vgid/collective/schedule"
)

// silence is how long nothing was heard of each rank, and who is frozen by it.
// It is a value without a lock or a clock.
//
// What must always hold: time counts by this rank's own beats, and one that
// comes late counts as little more than one, since a pause of this process says
// nothing about the others, whose signs wait unread meanwhile; and no rank is
// called frozen while a rank that there is news of says that it hears it, unless
// it has been silent here for half as long again.
type silence struct {
	self  int
	n     int
	beat  time.Duration
	limit time.Duration // 0 or less: none
	links []int         // of self
	// direct is the time since a neighbour's own sign, news that since an entry
	// of a rank changed, over whatever ways.
	direct, news []time.Duration
}

func newSilence(self, n int, beat, limit time.Duration) silence {
	return silence{self: self, n: n, beat: beat, limit: limit, links: schedule.Links(self, n),
		direct: make([]time.Duration, n), news: make([]time.Duration, n)}
}

// tick counts the time since the last beat.
func (s *silence) tick(passed time.Duration) {
	passed = min(passed, s.beat*3/2)
	for r := range s.n {
		s.direct[r] += passed
		s.news[r] += passed
	}
}

// suspects are the neighbours of self that are silent for too long.
func (s *silence) suspects(t *table) (out []int) {
	for _, p := range s.links {
		if s.limit > 0 && s.direct[p] > s.limit && t.entries[p].leaving == staying {
			out = append(out, p)
		}
	}
	return out
}

// frozen is the rank that is silent to all who could hear it, or -1, and how
// long it was silent: self's own suspects are looked at, the other ranks speak
// for theirs.
func (s *silence) frozen(t *table) (rank int, since time.Duration) {
	own := s.suspects(t)
	for _, x := range own {
		if s.direct[x] > s.limit*3/2 || !s.vouched(x, t) {
			return x, s.direct[x]
		}
	}
	return -1, 0
}

// vouched reports whether a neighbour of rank x other than self, of which there
// is news, does not suspect it.
func (s *silence) vouched(x int, t *table) bool {
	for _, w := range schedule.Links(x, s.n) {
		e := &t.entries[w]
		if w != s.self && s.news[w] <= s.limit && !slices.Contains(e.suspects, x) {
			return true
		}
	}
	return false
}

// quietest is the rank that there has been no news of for the longest, if that
// is for too many beats to be chance, or -1. News of ranks that are no
// neighbours come by way of others, each of which may be a beat late.
// Ranks that said goodbye do not count.
func (s *silence) quietest(t *table) int {
	rank, longest := -1, time.Duration(0)
	for r := range s.n {
		beats := 3
		if !slices.Contains(s.links, r) {
			beats += bits.Len(uint(s.n)) + 1
		}
		if r != s.self && t.entries[r].leaving == staying && s.news[r] > max(longest, time.Duration(beats)*s.beat) {
			rank, longest = r, s.news[r]
		}
	}
	return rank
}
