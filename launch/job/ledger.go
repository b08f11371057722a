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
// earlier one of the same cut or loss; a node speaks for its own ranks only; and cause
// depends on the records alone, not on the order in which they came. That is
// how agents that were told the same say the same.
type ledger struct {
	view  view.View
	ranks []view.Rank
	exits map[int]Exit
	lost  map[int]ownLoss // by node rank: those that this agent has given up
	heard map[int]Loss    // by node rank: the earliest that others tell of
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

// Loss is the end of a whole node, as one agent noticed it.
type Loss struct {
	Node    int    `json:"node"`
	AtMilli int64  `json:"at"` // when
	How     string `json:"how"`
}

// ownLoss is one that this agent noticed itself.
type ownLoss struct {
	Loss
	said bool // before it had heard of it from another
}

// earlier orders the words of several agents about one loss.
func (l Loss) earlier(o Loss) bool {
	return l.AtMilli < o.AtMilli || l.AtMilli == o.AtMilli && l.How < o.How
}

// A node that dies is missed a while after its death, in which its peers may
// have ended because of it: the times of notice are set back by as much, so
// that the cause comes before its effects.
const (
	detectionLag = 3 * time.Second
	cutLag       = 6 * signEvery // the same for a link
)

func newLedger(v view.View, self int) *ledger {
	l := &ledger{view: v, self: self, ranks: v.Ranks(), exits: map[int]Exit{}, lost: map[int]ownLoss{}, heard: map[int]Loss{}}
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

// addLoss records that this agent gave a node up, which is no news when its
// work was done.
func (l *ledger) addLoss(o Loss) bool {
	if _, ok := l.lost[o.Node]; ok || l.done(o.Node) {
		return false
	}
	_, heard := l.heard[o.Node]
	l.lost[o.Node] = ownLoss{o, !heard}
	return true
}

// hearLoss takes another agent's word for when it gave a node up. That alone
// makes no node lost, for whoever says so may be the one that is cut off; but
// where this agent loses it as well, the word of others counts, or agents that
// noticed at different times would put it before and behind the end of a rank.
func (l *ledger) hearLoss(o Loss) {
	if before, ok := l.heard[o.Node]; o.Node >= 0 && o.Node < len(l.open) && (!ok || o.earlier(before)) {
		l.heard[o.Node] = o
	}
}

// loss is the word that counts about a node that is lost: the earliest of those
// that were said before their agents had heard of another. All of these reach
// all agents, while one that is said later may find others gone.
func (l *ledger) loss(node int) Loss {
	own := l.lost[node]
	if other, ok := l.heard[node]; ok && (!own.said || other.earlier(own.Loss)) {
		return other
	}
	return own.Loss
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
