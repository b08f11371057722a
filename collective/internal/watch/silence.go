package watch

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
// it has been silent here for an eighth longer.
type silence struct {
	self  int
	n     int
	beat  time.Duration
	limit time.Duration // 0 or less: none
	links []int         // of self
	// direct is the time since a rank's own sign, news that since its entry
	// changed, over whatever ways.
	direct, news []time.Duration
	heard        []bool // by rank: it has given a sign itself
}

// patience is by how much longer a rank may take to its first sign: it has
// connected, but may have much to do before it makes its communicator.
const patience = 5

func newSilence(self, n int, beat, limit time.Duration) silence {
	return silence{self: self, n: n, beat: beat, limit: limit, links: schedule.Links(self, n),
		direct: make([]time.Duration, n), news: make([]time.Duration, n), heard: make([]bool, n)}
}

// hear notes a sign of a rank.
func (s *silence) hear(rank int) { s.direct[rank], s.heard[rank] = 0, true }

// limitOf is how long a neighbour may be silent.
func (s *silence) limitOf(rank int) time.Duration {
	if !s.heard[rank] {
		return patience * s.limit
	}
	return s.limit
}

// lose notes that the connection to a rank has ended, so that no sign of it comes.
func (s *silence) lose(rank int) { s.heard[rank] = false }

// tick counts the time since the last beat.
func (s *silence) tick(passed time.Duration) {
	passed = min(passed, s.beat*3/2)
	for r := range s.n {
		s.direct[r] += passed
		s.news[r] += passed
	}
}

// suspects are the ranks that are silent for too long: neighbours of self, and
// others that have a connection to it, which they had given signs over. One that
// has said goodbye gives signs until all agree: what others wait for may still be on its way.
func (s *silence) suspects(t *table) (out []int) {
	for r := range s.n {
		expected := s.heard[r] || slices.Contains(s.links, r)
		if s.limit > 0 && expected && s.direct[r] > s.limitOf(r) && t.entries[r].leaving != agreed {
			out = append(out, r)
		}
	}
	return out
}

// frozen is the rank that is silent to all who could hear it, or -1, and how
// long it was silent: self's own suspects are looked at, the other ranks speak
// for theirs. If others hear it, it is alone that it cannot be heard here.
func (s *silence) frozen(t *table) (rank int, since time.Duration, heard bool) {
	for _, x := range s.suspects(t) {
		heard = s.vouched(x, t)
		if !heard || s.direct[x] > s.limitOf(x)+s.beat {
			return x, s.direct[x], heard
		}
	}
	return -1, 0, false
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
// Ranks that said goodbye do not count, nor those that are behind them: when the
// ranks between have left, there is nobody to bring news.
func (s *silence) quietest(t *table) int {
	rank, longest := -1, time.Duration(0)
	reached := s.reached(t)
	for r := range s.n {
		if !reached[r] {
			continue
		}
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

// reached are the ranks that news may come of, over links between ranks that have
// not left.
func (s *silence) reached(t *table) []bool {
	out := make([]bool, s.n)
	out[s.self] = true
	for next := []int{s.self}; len(next) > 0; next = next[1:] {
		for _, r := range schedule.Links(next[0], s.n) {
			if !out[r] && t.entries[r].leaving != agreed {
				out[r], next = true, append(next, r)
			}
		}
	}
	return out
}
