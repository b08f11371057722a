//go:build unix

package agent

import (
	"errors"
	"syscall"
	"time"
)

const (
	confirmFor = 5 * time.Second // for a member that gossip calls dead to show itself alive
	repeatPing = 500 * time.Millisecond
)

// suspicion is that a member is dead.
type suspicion struct {
	since, until time.Time // it may object
	pingedAt     time.Time
}

// doubt gives a member that gossip calls dead the chance to object: trainers
// keep all cores busy, and an agent that was not scheduled for a few seconds is
// not dead. One that refuses connections is.
func (a *agent) doubt(id string) {
	if _, ok := a.suspect[id]; ok || a.view.NodeRank(id) < 0 {
		return
	}
	now := time.Now()
	a.suspect[id] = suspicion{since: now, until: now.Add(confirmFor)}
	a.examine(now)
}

// examine asks those in doubt again and gives up who had the time to answer.
func (a *agent) examine(now time.Time) {
	for id, s := range a.suspect {
		switch {
		case now.After(s.until):
			a.lose(id, "its agent does not answer", s.since)
		case now.Sub(s.pingedAt) >= repeatPing:
			s.pingedAt = now
			a.suspect[id] = s
			a.ping(id)
		}
	}
}

// allow gives those in doubt the time again that this process itself stood
// still: what they answered meanwhile has not been read yet.
func (a *agent) allow(pause time.Duration) {
	for id, s := range a.suspect {
		s.until = s.until.Add(pause)
		a.suspect[id] = s
	}
}

func (a *agent) ping(id string) {
	addr, ok := a.addrs[id]
	if !ok {
		return
	}
	a.wg.Go(func() {
		if err := a.node.Send(id, addr, message{Ping: true}.encode()); errors.Is(err, syscall.ECONNREFUSED) {
			select {
			case a.gone <- id:
			case <-a.ctx.Done():
			}
		}
	})
}
