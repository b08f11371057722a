package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vgid/launch"
	"vgid/launch/view"
)

// Exit is how a worker ended.
type Exit struct {
	Rank    int           `json:"rank"`
	Code    int           `json:"code"`              // exit code; 0 with Signal or Err
	Signal  int           `json:"signal,omitempty"`  // that killed it
	Err     string        `json:"err,omitempty"`     // why it did not even start
	Stood   time.Duration `json:"stood,omitempty"`   // it was killed because it had stood still for so long
	LogErr  string        `json:"logErr,omitempty"`  // why its output is not whole although it ended well
	Stopped bool          `json:"stopped,omitempty"` // after the launcher asked it to
	Line    string        `json:"line,omitempty"`    // its last words on standard error
	More    bool          `json:"more,omitempty"`    // ... which are part of a longer report
	Log     string        `json:"log,omitempty"`     // path on its node
	AtMilli int64         `json:"at"`                // Unix time of its node
}

func (e Exit) ok() bool { return e.Code == 0 && e.Signal == 0 && e.Err == "" && e.LogErr == "" }

// Cause is why a job failed.
type Cause struct {
	Rank int    // -1 when a whole node was lost
	Node string // name of the node
	Code int    // exit code for the launcher, > 0
	Text string // one line
}

// ledger knows how every rank ended. It is pure: times come with the events.
type ledger struct {
	view  view.View
	ranks []view.Rank
	exits map[int]Exit
	lost  map[int]loss // by node rank
	cuts  []cut
	self  int   // node rank of this agent
	open  []int // by node rank: ranks that have not ended
}

// cut is a link between two nodes that do not reach each other.
type cut struct {
	A, B    int   // nodes, A < B
	Witness int   // the node that reaches both
	AtMilli int64 // when it judged so
}

type loss struct {
	atMilli int64
	how     string
}

// detectionLag is how long before the notice a lost node may have died.
const detectionLag = 3 * time.Second

// cutLag is the same for a link.
const cutLag = 6 * signEvery

func newLedger(v view.View, self int) *ledger {
	l := &ledger{view: v, self: self, ranks: v.Ranks(), exits: map[int]Exit{}, lost: map[int]loss{}}
	for _, m := range v.Members {
		l.open = append(l.open, len(m.Addrs))
	}
	return l
}

// exit records an end reported by a node; a node speaks for its own ranks
// only, and once. It reports whether that was news.
func (l *ledger) exit(node int, e Exit) bool {
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

// lose records that a node is gone, which is no news when its work was done.
func (l *ledger) lose(node int, atMilli int64, how string) bool {
	if _, ok := l.lost[node]; ok || l.done(node) {
		return false
	}
	l.lost[node] = loss{atMilli, how}
	return true
}

// cut records that a link is cut; of several witnesses the first counts. It
// reports whether the link was whole before.
func (l *ledger) cut(c cut) bool {
	if c.A < 0 || c.A >= c.B || c.B >= len(l.open) || c.Witness < 0 || c.Witness >= len(l.open) || c.Witness == c.A || c.Witness == c.B {
		return false
	}
	i := slices.IndexFunc(l.cuts, func(o cut) bool { return o.A == c.A && o.B == c.B })
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
		if !e.ok() {
			return true
		}
	}
	return false
}

// onlyPeersBlamed reports whether all failures so far are ranks that say a
// peer was at fault.
func (l *ledger) onlyPeersBlamed() bool {
	for _, e := range l.exits {
		if !e.ok() && e.Code != launch.ExitPeerFailed {
			return false
		}
	}
	return len(l.lost) == 0 && len(l.cuts) == 0
}

// cause names the first cause. All agents with the same records say the same.
//
// Who died first is not enough: a rank that ends because its peer died may be
// recorded before the peer, or on a clock that runs behind. So what a rank
// says about itself comes first: an end by its own fault or a lost node, then
// an odd end after the launcher began to stop everybody, then ranks that say
// "a peer failed", then those that were stopped; time decides within a kind.
func (l *ledger) cause() (Cause, bool) {
	type candidate struct {
		kind int
		at   int64
		rank int
		make func() Cause
	}
	var all []candidate
	for _, c := range l.cuts {
		all = append(all, candidate{0, c.AtMilli - cutLag.Milliseconds(), l.firstRank(c.A), func() Cause { return l.cutCause(c) }})
	}
	if others := len(l.view.Members) - 1; others > 1 && len(l.lost) == others {
		return l.lonely(), true
	}
	for n, lo := range l.lost {
		all = append(all, candidate{0, lo.atMilli - detectionLag.Milliseconds(), l.firstRank(n), func() Cause { return l.lostCause(n, lo) }})
	}
	for _, e := range l.exits {
		if !e.ok() {
			all = append(all, candidate{kindOf(e), e.AtMilli, e.Rank, func() Cause { return l.exitCause(e) }})
		}
	}
	if len(all) == 0 {
		return Cause{}, false
	}
	first := slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.at, b.at), cmp.Compare(a.rank, b.rank))
	})
	return first.make(), true
}

func kindOf(e Exit) int {
	asked := e.Signal == int(syscall.SIGTERM) || e.Signal == int(syscall.SIGKILL) || e.Signal == int(syscall.SIGINT) ||
		e.Code == 128+int(syscall.SIGTERM) || e.Code == 128+int(syscall.SIGINT)
	switch {
	case e.Code == launch.ExitPeerFailed && !e.Stopped:
		return 2
	case !e.Stopped:
		return 0
	case asked || e.Code == launch.ExitPeerFailed:
		return 3
	}
	return 1
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

func (l *ledger) firstRank(node int) int {
	return slices.IndexFunc(l.ranks, func(r view.Rank) bool { return r.NodeRank == node })
}

func (l *ledger) lostCause(node int, lo loss) Cause {
	m := l.view.Members[node]
	first := l.firstRank(node)
	ranks := fmt.Sprintf("rank %d", first)
	if k := len(m.Addrs); k > 1 {
		ranks = fmt.Sprintf("ranks %d-%d", first, first+k-1)
	}
	return Cause{Rank: -1, Node: m.Node, Code: 1, Text: fmt.Sprintf("node %s (%s) was lost: %s", m.Node, ranks, lo.how)}
}

func (l *ledger) cutCause(c cut) Cause {
	name := func(n int) string { return l.view.Members[n].Node }
	return Cause{Rank: -1, Code: 1, Text: fmt.Sprintf("nodes %s and %s do not reach each other (%s reaches both); look at the network between these two", name(c.A), name(c.B), name(c.Witness))}
}

// lonely is the cause where all the others were lost: not they, but this node.
func (l *ledger) lonely() Cause {
	var others []string
	for n, m := range l.view.Members {
		if n != l.self {
			others = append(others, m.Node)
		}
	}
	const most = 8
	if k := len(others) - most; k > 0 {
		others = append(others[:most], fmt.Sprintf("%d more", k))
	}
	own := l.view.Members[l.self].Node
	return Cause{Rank: -1, Node: own, Code: 1, Text: fmt.Sprintf("node %s is cut off from all others (%s)", own, strings.Join(others, ", "))}
}

func (l *ledger) exitCause(e Exit) Cause {
	node := l.ranks[e.Rank].Node
	var b strings.Builder
	fmt.Fprintf(&b, "rank %d on %s ", e.Rank, node)
	code := e.Code
	switch {
	case e.Err != "":
		fmt.Fprintf(&b, "did not start: %s", e.Err)
		code = 1
	case e.LogErr != "":
		fmt.Fprintf(&b, "ended well, but its output could not be written: %s; keep its output open, and make room for --log-dir", e.LogErr)
		return Cause{Rank: e.Rank, Node: node, Code: 1, Text: b.String()}
	case e.Stood > 0:
		fmt.Fprintf(&b, "stood still for %v, stopped by a signal (as SIGSTOP), and was killed", e.Stood)
		code = 128 + e.Signal
		if w := l.witness(e.Rank); w != nil {
			fmt.Fprintf(&b, "; rank %d then ended with: %s", w.Rank, w.Line)
		}
		return Cause{Rank: e.Rank, Node: node, Code: code, Text: b.String()}
	case e.Signal != 0:
		fmt.Fprintf(&b, "was killed by %s", unix.SignalName(syscall.Signal(e.Signal)))
		if e.Signal == int(syscall.SIGKILL) && !e.Stopped {
			b.WriteString(", as the kernel does when memory runs out")
		}
		code = 128 + e.Signal
	default:
		fmt.Fprintf(&b, "failed with exit code %d", e.Code)
	}
	if e.Line != "" {
		fmt.Fprintf(&b, ": %s", e.Line)
	}
	switch {
	case e.Log != "":
		fmt.Fprintf(&b, " (log %s)", e.Log)
	case e.More:
		fmt.Fprintf(&b, " (the whole report is in the output of %s; --log-dir keeps it in a file)", node)
	}
	return Cause{Rank: e.Rank, Node: node, Code: code, Text: b.String()}
}
