package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vgid/launch"
)

// candidate is a record that may be the first cause.
type candidate struct {
	guilt guilt
	at    int64 // Unix milliseconds, of the clock of whoever saw it
	rank  int
	words func() Cause
}

// cause names the first cause. All agents with the same records say the same.
//
// Who died first is not enough: a rank that ends because its peer died may be
// recorded before the peer, or on a clock that runs behind. So what a rank
// says about itself comes first, in the order of guilt; a lost node and a cut
// link count as ends by themselves. Time decides within a kind, and the rank
// within a moment.
func (l *ledger) cause() (Cause, bool) {
	var all []candidate
	for _, c := range l.cuts {
		all = append(all, candidate{byItself, c.AtMilli - cutLag.Milliseconds(), l.firstRank(c.A), func() Cause { return l.cutCause(c) }})
	}
	if l.isolated() {
		return l.isolatedCause(), true
	}
	for n := range l.lost {
		if l.done(n) {
			continue // the ends of all its ranks came another way, and say more
		}
		o := l.loss(n)
		all = append(all, candidate{byItself, o.AtMilli - detectionLag.Milliseconds(), l.firstRank(n), func() Cause { return l.lostCause(o) }})
	}
	for _, e := range l.exits {
		if !e.OK() {
			all = append(all, candidate{e.guilt(), e.AtMilli, e.Rank, func() Cause { return l.exitCause(e) }})
		}
	}
	if len(all) == 0 {
		return Cause{}, false
	}
	first := slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.guilt, b.guilt), cmp.Compare(a.at, b.at), cmp.Compare(a.rank, b.rank))
	})
	return first.words(), true
}

func (l *ledger) lostCause(o Loss) Cause {
	m := l.view.Members[o.Node]
	first := l.firstRank(o.Node)
	ranks := fmt.Sprintf("rank %d", first)
	if k := len(m.Addrs); k > 1 {
		ranks = fmt.Sprintf("ranks %d-%d", first, first+k-1)
	}
	return Cause{Rank: -1, Node: m.Node, Code: 1, Text: fmt.Sprintf("node %s (%s) was lost: %s", m.Node, ranks, o.How)}
}

func (l *ledger) cutCause(c Cut) Cause {
	name := func(n int) string { return l.view.Members[n].Node }
	return Cause{Rank: -1, Code: 1, Text: fmt.Sprintf("nodes %s and %s do not reach each other (%s reaches both); look at the network between these two", name(c.A), name(c.B), name(c.Witness))}
}

// isolated reports whether none of several others answers: then they are fine,
// and say of this node that it was lost. Of two nodes neither can know which; a
// machine that refuses connections is reached.
func (l *ledger) isolated() bool {
	for _, o := range l.lost {
		if o.How != noAnswer {
			return false
		}
	}
	others := len(l.view.Members) - 1
	return others > 1 && len(l.lost) == others
}

// isolatedCause is the cause where all the others were lost: not they, but
// this node.
func (l *ledger) isolatedCause() Cause {
	var others []string
	for n, m := range l.view.Members {
		if n != l.self {
			others = append(others, m.Node)
		}
	}
	const most = 8 // names in one line
	if k := len(others) - most; k > 0 {
		others = append(others[:most], fmt.Sprintf("%d more", k))
	}
	own := l.view.Members[l.self].Node
	return Cause{Rank: -1, Node: own, Code: 1, Text: fmt.Sprintf("node %s is cut off from all others (%s)", own, strings.Join(others, ", "))}
}

// exitCause says how a rank ended, in its own last words where it had any.
func (l *ledger) exitCause(e Exit) Cause {
	c := Cause{Rank: e.Rank, Node: l.ranks[e.Rank].Node, Code: e.Code}
	var how string
	switch {
	case e.Err != "":
		c.Code, how = 1, "did not start: "+e.Err
	case e.LogErr != "":
		c.Code, c.Advice = 1, MakeRoom
		c.Text = fmt.Sprintf("rank %d on %s ended well, but its output could not be written: %s", c.Rank, c.Node, e.LogErr)
		return c
	case e.Stood > 0:
		c.Code = 128 + e.Signal
		c.Text = fmt.Sprintf("rank %d on %s stood still for %v, stopped by a signal (as SIGSTOP), and was killed", c.Rank, c.Node, e.Stood)
		// It cannot speak for itself; who waited for it says what that held up.
		if w := l.witness(e.Rank); w != nil {
			c.Text += fmt.Sprintf("; rank %d then ended with: %s", w.Rank, w.Line)
		}
		return c
	case e.Signal != 0:
		c.Code, how = 128+e.Signal, "was killed by "+unix.SignalName(syscall.Signal(e.Signal))
		if e.Signal == int(syscall.SIGKILL) && !e.Stopped {
			how += ", as the kernel does when memory runs out"
		}
	default:
		how = fmt.Sprintf("failed with exit code %d", e.Code)
	}
	if e.Line != "" {
		how += ": " + e.Line
	}
	switch {
	case e.Log != "":
		how += fmt.Sprintf(" (log %s)", e.Log)
	case e.More:
		c.Advice = KeepReport
	}
	c.Text = fmt.Sprintf("rank %d on %s %s", c.Rank, c.Node, how)
	return c
}

// witness is the lowest rank that ended because of this one and says so in
// the words of a collective.RankError: in which operation it was needed.
func (l *ledger) witness(rank int) *Exit {
	for r := range l.ranks {
		if e, ok := l.exits[r]; ok && e.Code == launch.ExitPeerFailed && strings.Contains(e.Line, fmt.Sprintf("peer rank %d:", rank)) {
			return &e
		}
	}
	return nil
}
