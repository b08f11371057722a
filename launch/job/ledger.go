package job

import (
	"slices"
	"time"

	"vgid/launch"
	"vgid/launch/view"
)

// ledger holds what is known of the end of every rank, and names the first
// cause.
//
// What must always hold: a record, once made, is never changed but by an
// earlier one of the same cut; a node speaks for its own ranks only; and cause
// depends on the records alone, not on the order in which they came. That is
// how agents that were told the same say the same.
type ledger struct {
	view  view.View
	ranks []view.Rank
	exits map[int]Exit
	lost  map[int]loss // by node rank
	cuts  []Cut
	self  int   // node rank of this agent
	open  []int // by node rank: ranks that have not ended
}

// Cut is a link between two nodes that do not reach each other, while a third
// reaches both.
type Cut struct {
	A, B    int   // nodes, A < B
	Witness int   // the node that reaches both
	AtMilli int64 // when it judged so
}

// loss is the end of a whole node.
type loss struct {
	atMilli int64 // when it was noticed
	how     string
}

// A node that dies is missed a while after its death, in which its peers may
// have ended because of it: the times of notice are set back by as much, so
// that the cause comes before its effects.
const (
	detectionLag = 3 * time.Second
	cutLag       = 6 * signEvery // the same for a link
)

func newLedger(v view.View, self int) *ledger {
	l := &ledger{view: v, self: self, ranks: v.Ranks(), exits: map[int]Exit{}, lost: map[int]loss{}}
	for _, m := range v.Members {
		l.open = append(l.open, len(m.Addrs))
	}
	return l
}

// addExit records an end reported by a node, which speaks for its own ranks
// only, and once: reports are repeated, and may be forged. It reports whether
// that was news.
func (l *ledger) addExit(node int, e Exit) bool {
	if e.Rank < 0 || e.Rank >= len(l.ranks) || l.ranks[e.Rank].NodeRank != node {
		return false
	}
	if _, ok := l.exits[e.Rank]; ok {
		return false
	}
	l.exits[e.Rank] = e
	l.open[node]--
	return true
}

// addLoss records that a node is gone, which is no news when its work was done.
func (l *ledger) addLoss(node int, atMilli int64, how string) bool {
	if _, ok := l.lost[node]; ok || l.done(node) {
		return false
	}
	l.lost[node] = loss{atMilli, how}
	return true
}

// addCut records that a link is cut; of several witnesses the first counts, so
// that all agents name the same. It reports whether the link was whole before.
func (l *ledger) addCut(c Cut) bool {
	if c.A < 0 || c.A >= c.B || c.B >= len(l.open) || c.Witness < 0 || c.Witness >= len(l.open) || c.Witness == c.A || c.Witness == c.B {
		return false
	}
	i := slices.IndexFunc(l.cuts, func(o Cut) bool { return o.A == c.A && o.B == c.B })
	if i < 0 {
		l.cuts = append(l.cuts, c)
		return true
	}
	if o := l.cuts[i]; c.AtMilli < o.AtMilli || c.AtMilli == o.AtMilli && c.Witness < o.Witness {
		l.cuts[i] = c
	}
	return false
}

// done reports whether all ranks of a node have ended.
func (l *ledger) done(node int) bool { return l.open[node] == 0 }

// complete reports whether nothing more can be expected from any node.
func (l *ledger) complete() bool {
	for n := range l.view.Members {
		if _, lost := l.lost[n]; !lost && !l.done(n) {
			return false
		}
	}
	return true
}

// failed reports whether the job can not succeed any more.
func (l *ledger) failed() bool {
	if len(l.lost) > 0 || len(l.cuts) > 0 {
		return true
	}
	for _, e := range l.exits {
		if !e.OK() {
			return true
		}
	}
	return false
}

// onlyPeersBlamed reports whether all failures so far are ranks that say a
// peer was at fault.
func (l *ledger) onlyPeersBlamed() bool {
	for _, e := range l.exits {
		if !e.OK() && e.Code != launch.ExitPeerFailed {
			return false
		}
	}
	return len(l.lost) == 0 && len(l.cuts) == 0
}

// firstRank is the lowest rank of a node.
func (l *ledger) firstRank(node int) int {
	return slices.IndexFunc(l.ranks, func(r view.Rank) bool { return r.NodeRank == node })
}

// ranksOf lists the ranks of a node.
func (l *ledger) ranksOf(node int) (all []int) {
	for _, r := range l.ranks {
		if r.NodeRank == node {
			all = append(all, r.Rank)
		}
	}
	return all
}
