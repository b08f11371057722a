//go:build unix

package agent

import "time"

// How long a member that gossip calls dead has to show itself alive: where its
// machine takes a connection, the agent may only be slow.
const (
	confirmFor = 5 * time.Second
	reachFor   = 2500 * time.Millisecond
	watchedFor = time.Minute // where the launcher sees to it
	repeatPing = 500 * time.Millisecond
)

// suspicion is that a member is dead.
type suspicion struct {
	since    time.Time     // its latest word, or gossip's that it is dead
	answered bool          // it has said something since gossip called it dead
	allowed  time.Duration // more than usual, for it to object
	reached  bool          // its machine has taken a connection since
	pingedAt time.Time
}

func (a *agent) allowance(s suspicion) time.Duration {
	switch {
	case a.o.Watched:
		return watchedFor + s.allowed
	case s.reached:
		return confirmFor + s.allowed
	}
	return reachFor + s.allowed
}

const noAnswer = "its agent does not answer"

// doubt gives a member that gossip calls dead the chance to object, before and
// after the view is agreed on: trainers keep all cores busy, and an agent that
// was not scheduled for a few seconds is not dead. One that refuses
// connections is.
func (a *agent) doubt(id string) {
	if _, ok := a.suspect[id]; ok || a.addrs[id] == "" {
		return
	}
	now := time.Now()
	a.suspect[id] = suspicion{since: now}
	a.examine(now)
}

// believe takes a word of a member for a sign of life. As long as gossip calls
// it dead, it is asked on: gossip says so once, and not again if it is true.
func (a *agent) believe(id string, now time.Time) {
	if s, ok := a.suspect[id]; ok {
		a.suspect[id] = suspicion{since: now, answered: true, pingedAt: s.pingedAt}
	}
}

// missUnknown gives up members of the view that gossip has not told of in all
// the time it could have: it does not watch over whom it never met.
func (a *agent) missUnknown(now time.Time) {
	patience := confirmFor + time.Duration(len(a.view.Members))*signCost
	if a.o.Watched {
		patience = watchedFor
	}
	if now.Sub(a.begunAt) < patience {
		return
	}
	for _, m := range a.view.Members {
		if m.ID != a.self.ID && a.addrs[m.ID] == "" {
			a.giveUp(m.ID, noAnswer, a.begunAt)
		}
	}
}

// giveUp takes a member for dead since the time at.
func (a *agent) giveUp(id, how string, at time.Time) {
	delete(a.suspect, id)
	if a.view != nil && a.view.NodeRank(id) >= 0 {
		a.lose(id, how, at)
	}
	a.apply(a.vm.Down(id))
}

// succeed gives up whoever had the address before that an agent has now.
func (a *agent) succeed(id, addr string) {
	for other, at := range a.addrs {
		if other != id && at == addr {
			delete(a.addrs, other)
			a.giveUp(other, "its agent was started again", time.Now())
		}
	}
}

// examine asks those in doubt again and gives up who had the time to answer.
func (a *agent) examine(now time.Time) {
	for id, s := range a.suspect {
		switch {
		case now.Sub(s.since) > a.allowance(s):
			a.giveUp(id, noAnswer, s.since)
		case now.Sub(s.pingedAt) >= repeatPing:
			s.pingedAt = now
			a.suspect[id] = s
			a.send(id, message{Ping: true})
		}
	}
}

// allow gives those in doubt the time again that this process itself stood
// still: what they answered meanwhile has not been read yet.
func (a *agent) allow(pause time.Duration) {
	a.begunAt = a.begunAt.Add(pause)
	for id, s := range a.suspect {
		s.allowed += pause
		a.suspect[id] = s
	}
}
