package job

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"vgid/launch"
	"vgid/launch/relay"
	"vgid/launch/view"
)

const (
	// drainFor is how long the others have to take the last report.
	drainFor = 10 * time.Second
	// StopFor is how long, beyond the grace, other nodes may take to report after
	// a failure. A node that hangs while it stops cannot hold up the others for
	// ever.
	StopFor = 5 * time.Second
)

// outbox collects the effects of one step.
type outbox struct{ list []Effect }

func (o *outbox) emit(e Effect) { o.list = append(o.list, e) }

func (o *outbox) take() []Effect {
	out := o.list
	o.list = nil
	return out
}

// running is what a Machine knows of a job that runs.
type running struct {
	*outbox
	view    view.View
	node    int // rank of this node
	begunAt time.Time
	shownAt time.Time
	ledger  *ledger
	mail    *relay.Machine[Report]
	reach   *reach
	report  Report              // of this node
	stands  map[int]*Standstill // by rank of this node
	stop    stopClock
	// standFor is how long a worker may stand still.
	standFor time.Duration

	doneAt     time.Time // this node was done
	completeAt time.Time // all nodes were
}

func newRunning(v view.View, node int, cfg Config, out *outbox, now time.Time) *running {
	n := len(v.Members)
	return &running{outbox: out, view: v, node: node, begunAt: now, ledger: newLedger(v, node), mail: relay.New[Report](node, n),
		reach: newReach(node, n, now), stands: map[int]*Standstill{}, stop: stopClock{grace: cfg.Grace}, standFor: cfg.StandFor}
}

func (r *running) outcome() Outcome {
	out := Outcome{Interrupted: syscall.Signal(r.report.Signal)}
	if c, failed := r.ledger.cause(); failed {
		out.Cause = &c
	}
	return out
}

// publish gives this node's report to everybody.
func (r *running) publish() {
	p := r.report
	p.Exits, p.Cuts, p.Losses = slices.Clone(p.Exits), slices.Clone(p.Cuts), slices.Clone(p.Losses) // those so far
	r.mail.Publish(p)
}

// exit records the end of a worker of this node and tells the others.
func (r *running) exit(e Exit, now time.Time) {
	if r.ledger.addExit(r.node, e) {
		r.report.Exits = append(r.report.Exits, e)
		r.publish()
		r.react(now)
	}
}

func (r *running) looked(rank int, stopped bool, now time.Time) {
	s := r.stands[rank]
	if s == nil {
		s = &Standstill{}
		r.stands[rank] = s
	}
	if stood := s.Look(now, stopped); stood >= r.standFor || r.stop.asked && stood >= standAsked {
		r.emit(Effect{Signal: &Signal{Signal: syscall.SIGKILL, Rank: rank, Stood: stood}})
	}
}

// takeReport takes the word of another node about its workers, and what it
// knows of signals and links.
func (r *running) takeReport(node int, o Report, now time.Time) {
	r.reach.claim(node, o.Silent, now)
	for _, c := range o.Cuts {
		if c.Witness == node {
			r.cut(c, now)
		}
	}
	for _, e := range o.Exits {
		r.ledger.addExit(node, e)
	}
	for _, l := range o.Losses {
		r.ledger.hearLoss(l)
	}
	if s := syscall.Signal(o.Signal); EndsJob(s) && r.report.Signal == 0 {
		r.interrupt(s, now)
	}
	if o.Kill && !r.report.Kill {
		r.killAll()
	}
	r.react(now)
}

// interrupt ends the job as somebody asked. This node takes the signal into its
// own report, so that it gets around also when the first to hear it dies.
func (r *running) interrupt(s syscall.Signal, now time.Time) {
	r.report.Signal = int(s)
	r.publish()
	r.emit(Effect{Signal: &Signal{Signal: s, Rank: AllRanks}})
	r.stop.begin(now)
}

// killAll ends the job without a grace, on all nodes.
func (r *running) killAll() {
	r.report.Kill = true
	r.publish()
	r.kill()
}

func (r *running) kill() {
	r.emit(Effect{Signal: &Signal{Signal: syscall.SIGKILL, Rank: AllRanks}})
}

// react ends the job here when it cannot succeed any more.
func (r *running) react(now time.Time) {
	if r.ledger.failed() {
		r.stop.fail(now, !r.ledger.onlyPeersBlamed())
		r.advance(now)
	}
}

// advance takes the steps of stopping that are due.
func (r *running) advance(now time.Time) {
	ask, kill := r.stop.due(now)
	if ask {
		r.emit(Effect{Signal: &Signal{Signal: syscall.SIGTERM, Rank: AllRanks}})
	}
	if kill {
		r.kill()
	}
}

// lose gives a member of the view up that was dead at the time at, or a little
// before. This node's workers hear which ranks will not answer.
func (r *running) lose(id, how string, at, now time.Time) {
	node := r.view.NodeRank(id)
	r.mail.Gone(node)
	o := Loss{node, at.UnixMilli(), how}
	if r.ledger.addLoss(o) {
		if r.ledger.lost[node].said {
			r.report.Losses = append(r.report.Losses, o)
			r.publish()
		}
		r.notice(node, fmt.Sprintf("node %s was lost: %s", r.view.Members[node].Node, how))
		r.react(now)
	}
}

func (r *running) notice(node int, why string) {
	r.emit(Effect{Notice: &launch.Notice{Ranks: r.ledger.ranksOf(node), Why: why}})
}

// silent reports whether a member is not heard by this node at present.
func (r *running) silent(id string) bool {
	return slices.Contains(r.report.Silent, r.view.NodeRank(id))
}

// judgeLinks tells the others whom this node does not hear, and which links
// between two others it has seen cut.
func (r *running) judgeLinks(now time.Time) {
	silent := r.reach.look(now)
	r.mail.Silent(silent)
	news := !slices.Equal(silent, r.report.Silent)
	r.report.Silent = silent
	for _, pair := range r.reach.cuts(now) {
		c := Cut{A: pair[0], B: pair[1], Witness: r.node, AtMilli: now.UnixMilli()}
		if !slices.ContainsFunc(r.report.Cuts, func(o Cut) bool { return o.A == c.A && o.B == c.B }) {
			r.report.Cuts, news = append(r.report.Cuts, c), true
			r.cut(c, now)
		}
	}
	if news {
		r.publish()
	}
}

// cut takes a witness's word that two nodes do not reach each other.
func (r *running) cut(c Cut, now time.Time) {
	if !r.ledger.addCut(c) {
		return
	}
	if r.node == c.A || r.node == c.B {
		other := c.A + c.B - r.node
		r.mail.Cut(other)
		r.notice(other, r.ledger.cutCause(c).Text)
	} else {
		// The lower may be the hub of the higher, which then waits for news in vain
		// without knowing it: where packets get through one way it hears its hub.
		r.mail.Direct(c.B)
	}
	r.react(now)
}

// ended reports whether this agent has nothing more to do or to hear.
func (r *running) ended(now time.Time) bool {
	if !r.ledger.done(r.node) {
		return false
	}
	if r.doneAt.IsZero() {
		r.doneAt = now
	}
	if !r.ledger.complete() {
		return r.stop.failed && now.Sub(r.doneAt) > r.stop.grace+StopFor
	}
	if r.completeAt.IsZero() {
		r.completeAt = now
		r.mail.Complete()
	}
	return r.mail.Settled() || now.Sub(r.completeAt) >= drainFor
}
