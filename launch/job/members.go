package job

import (
	"maps"
	"slices"
	"time"
)

// giveUp takes a member for dead since the time at.
func (m *Machine) giveUp(id, how string, at, now time.Time) {
	m.doubts.drop(id)
	if m.run != nil && m.run.view.NodeRank(id) >= 0 {
		m.run.lose(id, how, at, now)
	}
	m.apply(m.agree.Down(id), now)
}

// replace gives up whoever had the address before that an agent has now.
func (m *Machine) replace(id, addr string, now time.Time) {
	for _, other := range slices.Sorted(maps.Keys(m.addrs)) {
		if other != id && m.addrs[other] == addr {
			delete(m.addrs, other)
			m.giveUp(other, anotherLife, now, now)
		}
	}
}

// examine asks those in doubt again and gives up who had the time to answer.
func (m *Machine) examine(now time.Time) {
	ids, since := m.doubts.overdue(now)
	for i, id := range ids {
		m.giveUp(id, noAnswer, since[i], now)
	}
	for _, id := range m.doubts.ask(now) {
		m.send(id, Message{Ping: true})
	}
}

// allow gives the others the time again in which this process stood still.
func (m *Machine) allow(pause time.Duration) {
	m.doubts.allow(pause)
	if m.run != nil {
		m.run.begunAt = m.run.begunAt.Add(pause)
	}
}

// missUnknown gives up members of the view that gossip has not told of in all
// the time it could have: it does not watch over whom it never met.
func (m *Machine) missUnknown(now time.Time) {
	wait := confirmFor + time.Duration(len(m.run.view.Members))*signCost
	if m.cfg.Watched {
		wait = watchedFor
	}
	if now.Sub(m.run.begunAt) < wait {
		return
	}
	for _, p := range m.run.view.Members {
		if p.ID != m.cfg.Self.ID && m.addrs[p.ID] == "" {
			m.giveUp(p.ID, noAnswer, m.run.begunAt, now)
		}
	}
}

// lookAround shows this node to the others, and finds links that are cut.
func (m *Machine) lookAround(now time.Time) {
	r := m.run
	if len(r.view.Members) < 3 || m.cfg.Watched {
		return // nobody to tell a cut link from a dead node, or no link to cut
	}
	if now.Sub(r.shownAt) >= r.reach.every {
		r.shownAt = now
		for _, p := range r.view.Members {
			if addr, ok := m.addrs[p.ID]; ok && p.ID != m.cfg.Self.ID {
				m.out.emit(Effect{Send: &Send{To: p.ID, Addr: addr, Msg: Message{Alive: true}, Packet: true}})
			}
		}
	}
	r.judgeLinks(now)
}
