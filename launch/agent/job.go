//go:build unix

package agent

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"vgid/launch"
	"vgid/launch/relay"
	"vgid/launch/view"
)

// begin starts this node's workers: the view holds.
func (a *agent) begin(v view.View) {
	a.view, a.rank, a.led = &v, v.NodeRank(a.self.ID), newLedger(v, v.NodeRank(a.self.ID))
	a.reach = newReach(a.rank, len(v.Members), time.Now())
	a.begunAt = time.Now()
	a.mail = relay.New[report](a.rank, len(v.Members))
	if a.node != nil {
		a.say("%v", v)
	}
	raw := v.WorldSize() == 1
	for _, r := range v.Ranks() {
		if r.NodeRank != a.rank {
			continue
		}
		out, err := newOutput(a.o, a.io.Stdout, a.io.Stderr, r.Rank, raw)
		if err != nil {
			a.onExit(Exit{Rank: r.Rank, Err: err.Error(), AtMilli: time.Now().UnixMilli()})
			continue
		}
		a.workers = append(a.workers, start(a.o, v, r, a.socks[r.LocalRank], out, raw, a.io.Stdout, &a.wg, func(e Exit) { a.exits <- e }))
	}
}

// onExit records the end of a worker of this node and tells the others.
func (a *agent) onExit(e Exit) {
	if a.led.exit(a.rank, e) {
		a.report.Exits = append(a.report.Exits, e)
		a.publish()
		a.react()
	}
}

// onReport takes the word of another node about its workers.
func (a *agent) onReport(node int, r report) {
	a.reach.claim(node, r.Silent, time.Now())
	for _, c := range r.Cuts {
		if c.Witness == node {
			a.cutLink(c)
		}
	}
	for _, e := range r.Exits {
		a.led.exit(node, e)
	}
	if s := syscall.Signal(r.Signal); endsJob(s) && a.report.Signal == 0 {
		a.interrupt(s)
	}
	if r.Kill && !a.report.Kill {
		a.report.Kill = true
		a.publish()
		a.kill()
	}
	a.react()
}

// lose gives a member of the view up that was dead at the time at, or a little
// before.
func (a *agent) lose(id, how string, at time.Time) {
	node := a.view.NodeRank(id)
	a.mail.Gone(node)
	if a.led.lose(node, at.UnixMilli(), how) {
		a.notice(node, fmt.Sprintf("node %s was lost: %s", a.view.Members[node].Node, how))
		a.react()
	}
}

// notice tells this node's workers that those of another will not answer.
func (a *agent) notice(node int, why string) {
	n := launch.Notice{Why: why}
	for _, r := range a.led.ranks {
		if r.NodeRank == node {
			n.Ranks = append(n.Ranks, r.Rank)
		}
	}
	for _, w := range a.workers {
		w.notice(n)
	}
}

// onSignal does what a person or a scheduler wants.
func (a *agent) onSignal(s syscall.Signal) {
	w := a.patience.take(s, time.Now())
	switch {
	case w == wishPass:
		for _, k := range a.workers {
			k.pass(s)
		}
	case a.view == nil && w != wishNothing:
		a.err = ErrInterrupted{s}
	case w == wishEnd && a.report.Signal == 0: // else another node's news came first
		a.interrupt(s)
	case w == wishKill:
		a.report.Kill = true
		a.publish()
		a.kill()
	}
}

func (a *agent) interrupt(s syscall.Signal) {
	a.report.Signal = int(s)
	a.publish()
	for _, w := range a.workers {
		w.signal(s)
	}
	a.giveGrace(time.Now())
}

// giveGrace sets the time to kill workers that were asked to end.
func (a *agent) giveGrace(now time.Time) {
	if !a.asked {
		a.asked, a.killAt = true, now.Add(a.o.Grace)
	}
}

// react ends the job here when it cannot succeed any more. While only ranks
// have ended that blame a peer, that peer may still be about to say what is
// wrong with it.
func (a *agent) react() {
	if !a.led.failed() {
		return
	}
	now := time.Now()
	if !a.stopping {
		a.stopping = true
		a.stopAt = now.Add(blameFor)
	}
	if !a.led.onlyPeersBlamed() {
		a.stopAt = now
	}
	a.advance(now)
}

// advance takes the steps of stopping that are due.
func (a *agent) advance(now time.Time) {
	if a.stopping && !a.asked && !now.Before(a.stopAt) {
		for _, w := range a.workers {
			w.signal(syscall.SIGTERM)
		}
		a.giveGrace(now)
	}
	if !a.killAt.IsZero() && now.After(a.killAt) {
		a.killAt = time.Time{}
		a.kill()
	}
}

func (a *agent) kill() {
	for _, w := range a.workers {
		w.signal(syscall.SIGKILL)
	}
}

// publish gives the report to everybody.
func (a *agent) publish() {
	r := a.report
	r.Exits, r.Cuts = slices.Clone(r.Exits), slices.Clone(r.Cuts) // those so far
	a.mail.Publish(r)
}

// flush sends what the others are to know.
func (a *agent) flush(now time.Time) {
	if a.view == nil {
		return
	}
	for _, s := range a.mail.Next(now) {
		a.send(a.view.Members[s.To].ID, message{Relay: &s.Msg})
	}
}

func (a *agent) onTick(now time.Time) {
	a.apply(a.vm.Tick())
	if pause := now.Sub(a.tickedAt); !a.tickedAt.IsZero() && pause > 10*tickEvery {
		a.allow(pause)
	}
	a.tickedAt = now
	a.examine(now)
	if a.view == nil {
		return
	}
	a.advance(now)
	a.missUnknown(now)
	a.lookAround(now)
	if now.Sub(a.lookedAt) >= lookEvery {
		a.lookedAt = now
		for _, w := range a.workers {
			w.look(now)
		}
	}
}

// lookAround shows this node to the others, and finds links that are cut.
func (a *agent) lookAround(now time.Time) {
	if len(a.view.Members) < 3 || a.o.Watched {
		return // nobody to tell a cut link from a dead node, or no link to cut
	}
	if now.Sub(a.shownAt) >= a.reach.every {
		a.shownAt = now
		b := message{Alive: true}.encode()
		for _, m := range a.view.Members {
			if addr, ok := a.addrs[m.ID]; ok && m.ID != a.self.ID {
				_ = a.node.Show(m.ID, addr, b) // what was not sent is not heard of
			}
		}
	}
	silent := a.reach.look(now)
	a.mail.Silent(silent)
	news := !slices.Equal(silent, a.report.Silent)
	a.report.Silent = silent
	for _, pair := range a.reach.cuts(now) {
		c := cut{A: pair[0], B: pair[1], Witness: a.rank, AtMilli: now.UnixMilli()}
		if !slices.ContainsFunc(a.report.Cuts, func(o cut) bool { return o.A == c.A && o.B == c.B }) {
			a.report.Cuts, news = append(a.report.Cuts, c), true
			a.cutLink(c)
		}
	}
	if news {
		a.publish()
	}
}

// cutLink takes a witness's word that two nodes do not reach each other.
func (a *agent) cutLink(c cut) {
	if !a.led.cut(c) {
		return
	}
	if a.rank == c.A || a.rank == c.B {
		other := c.A + c.B - a.rank
		a.mail.Cut(other)
		a.notice(other, a.led.cutCause(c).Text)
	}
	a.react()
}

// ended reports whether this agent has nothing more to do or to hear.
func (a *agent) ended() bool {
	if !a.led.done(a.rank) {
		return false
	}
	now := time.Now()
	if a.since.IsZero() {
		a.since = now
	}
	if !a.led.complete() {
		// A node that hangs while stopping cannot hold up the others for ever.
		return a.stopping && now.Sub(a.since) > a.o.Grace+straggle
	}
	if a.completeAt.IsZero() {
		a.completeAt = now
		a.mail.Complete()
	}
	if !a.mail.Settled() && now.Sub(a.completeAt) < farewell {
		return false
	}
	a.flush(now) // the last word of a hub
	return true
}

func (a *agent) outcome() Outcome {
	out := Outcome{Interrupted: syscall.Signal(a.report.Signal)}
	if c, failed := a.led.cause(); failed {
		out.Cause = &c
	}
	return out
}
