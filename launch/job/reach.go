package job

import (
	"slices"
	"time"
)

// reach knows which nodes this one hears, and finds links that are cut between
// two nodes that others hear: gossip goes round such a cut and does not see it.
// Every node shows itself to all the others at regular times. It is pure.
type reach struct {
	self    int
	every   time.Duration        // between two signs
	heard   []time.Time          // by node
	claims  map[[2]int]time.Time // from, to: from does not hear to, as long as this node hears both, since
	checked time.Time
}

const (
	signEvery = 500 * time.Millisecond // for few nodes
	signCost  = 60 * time.Millisecond  // and by the node for many
)

func newReach(self, n int, now time.Time) *reach {
	r := &reach{self: self, every: max(signEvery, time.Duration(n)*signCost), heard: make([]time.Time, n), claims: map[[2]int]time.Time{}, checked: now}
	for i := range r.heard {
		r.heard[i] = now
	}
	return r
}

// hear notes a sign of a node.
func (r *reach) hear(node int, now time.Time) {
	if node >= 0 {
		r.heard[node] = now
	}
}

// look lists the nodes that have not been heard for the time of four signs.
// Where this process itself stood still it knows nothing of that time.
func (r *reach) look(now time.Time) []int {
	if pause := now.Sub(r.checked); pause > r.every {
		for i := range r.heard {
			r.heard[i] = r.heard[i].Add(pause)
		}
	}
	r.checked = now
	var silent []int
	for i, at := range r.heard {
		if i != r.self && now.Sub(at) > 4*r.every {
			silent = append(silent, i)
		}
	}
	return silent
}

// claim takes a node's word on whom it does not hear.
func (r *reach) claim(from int, silent []int, now time.Time) {
	for link := range r.claims {
		if link[0] == from && !slices.Contains(silent, link[1]) {
			delete(r.claims, link)
		}
	}
	for _, to := range silent {
		if to < 0 || to >= len(r.heard) || to == from || to == r.self {
			continue // of oneself one is no witness
		}
		if _, ok := r.claims[[2]int{from, to}]; !ok {
			r.claims[[2]int{from, to}] = now
		}
	}
}

// cuts lists the pairs of nodes, lower first, of which one has claimed for a
// while that it does not hear the other, while this node heard both. It is
// asked at every tick: a node that comes back is heard by others in its turn.
func (r *reach) cuts(now time.Time) [][2]int {
	var all [][2]int
	for link, since := range r.claims {
		if now.Sub(r.heard[link[0]]) >= 2*r.every || now.Sub(r.heard[link[1]]) >= 2*r.every {
			r.claims[link] = now
			continue
		}
		if pair := [2]int{min(link[0], link[1]), max(link[0], link[1])}; now.Sub(since) >= 2*r.every && !slices.Contains(all, pair) {
			all = append(all, pair)
		}
	}
	slices.SortFunc(all, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	return all
}
