// Package job decides, for the agent of one node, how a job goes on: with whom
// it runs, whom of the others to take for dead, when workers are asked to end
// and when they are killed, and what the first cause of a failure was. There
// are no sockets, processes, goroutines or clocks here: what happens enters as
// a call with its time, what is to be done leaves as Effects, so that every
// history can be replayed in a test. Package agent has the sockets and
// processes.
//
// Begin reading at Machine. It puts together the agreement on the ranks
// (launch/view), the spreading of reports (launch/relay), and this package's
// own parts: doubts (who is dead), reach (which links are cut), patience (what
// a signal means), stopClock, and the ledger, which names the cause.
package job

import (
	"syscall"
	"time"

	"vgid/launch/view"
)

// TickEvery is the time between two calls of Tick.
const TickEvery = 100 * time.Millisecond

// Config of one agent.
type Config struct {
	Job   string
	Self  view.Member
	Token string        // becomes the job's if this agent proposes the view
	Grace time.Duration // from asking workers to end to killing them
	// StandFor is how long a worker may stand still; 0 is the constant StandFor.
	StandFor time.Duration
	// Watched says that the launcher sees for itself whether the agents live and
	// move, all of them on this machine: what is slow is given time.
	Watched bool
}

// Machine is the state of one agent. Use it from one goroutine.
//
// What must always hold, on whatever history:
//   - workers are begun at most once, and only on a view that was agreed on;
//   - a signal that asks a job to end reaches every worker of every node that
//     still runs, once; and one to kill, all of them;
//   - after the job cannot succeed any more, every worker is asked to end, and
//     killed when it did not within the grace;
//   - every agent that hears of the same ends names the same cause, and it is a
//     rank or a node that failed by itself as long as there is one;
//   - an agent ends when all nodes have, and every other one knows, or had the
//     time to; nothing that others do can keep it longer.
type Machine struct {
	cfg      Config
	agree    *view.Machine
	addrs    map[string]string // member ID to address of its agent
	doubts   doubts
	patience patience
	tickedAt time.Time
	out      *outbox
	over     bool

	run *running // nil until the view is agreed on
}

// New makes the machine of an agent that knows only itself.
func New(cfg Config) *Machine {
	if cfg.StandFor == 0 {
		cfg.StandFor = StandFor
	}
	return &Machine{cfg: cfg, agree: view.New(view.Config{Job: cfg.Job, Self: cfg.Self, Token: cfg.Token}),
		addrs: map[string]string{}, doubts: doubts{watched: cfg.Watched, of: map[string]suspicion{}}, out: &outbox{}}
}

// Begun reports whether the view is agreed on, and workers may run.
func (m *Machine) Begun() bool { return m.run != nil }

// Complete reports whether nothing more can come from any node.
func (m *Machine) Complete() bool { return m.run != nil && m.run.ledger.complete() }

// Outcome is how the job ended, as far as it is known here.
func (m *Machine) Outcome() Outcome {
	if m.run == nil {
		return Outcome{}
	}
	return m.run.outcome()
}

// Start returns what an agent that waits for nobody does at once.
func (m *Machine) Start(now time.Time) []Effect {
	return m.step(now, func() { m.apply(m.agree.Start(), now) })
}

// Up reports that gossip sees an agent at an address.
func (m *Machine) Up(p view.Member, addr string, now time.Time) []Effect {
	return m.step(now, func() {
		m.replace(p.ID, addr, now)
		m.addrs[p.ID] = addr
		m.doubts.drop(p.ID)
		m.apply(m.agree.Up(p), now)
	})
}

// Down reports that gossip calls an agent dead.
func (m *Machine) Down(id string, now time.Time) []Effect {
	return m.step(now, func() {
		if m.addrs[id] != "" {
			m.doubts.raise(id, now)
			m.examine(now)
		}
	})
}

// Receive takes a message of another agent.
func (m *Machine) Receive(from string, msg Message, now time.Time) []Effect {
	return m.step(now, func() {
		m.doubts.answered(from, now)
		node := -1
		if m.run != nil {
			node = m.run.view.NodeRank(from)
			m.run.reach.hear(node, now)
		}
		switch {
		case msg.View != nil:
			m.apply(m.agree.Receive(from, *msg.View), now)
		case msg.Ping:
			m.send(from, Message{Alive: true})
		case msg.Relay != nil && m.run != nil: // else too early: it will be repeated
			for _, it := range m.run.mail.Receive(node, *msg.Relay) {
				m.run.takeReport(it.Node, it.Report, now)
			}
		}
	})
}

// Reached reports that an agent's machine took a message that asked it for a
// sign of life.
func (m *Machine) Reached(id string, now time.Time) []Effect {
	return m.step(now, func() { m.doubts.reached(id) })
}

// Refused reports that an agent's machine answers, but nobody listens there:
// such an agent is dead.
func (m *Machine) Refused(id string, now time.Time) []Effect {
	return m.step(now, func() { m.giveUp(id, gone, now, now) })
}

// Exit reports the end of a worker of this node.
func (m *Machine) Exit(e Exit, now time.Time) []Effect {
	return m.step(now, func() {
		if m.run != nil {
			m.run.exit(e, now)
		}
	})
}

// Looked reports whether a running worker of this node was seen stopped. One
// that stands still for too long is killed: a grace is of no use to a process
// that does not move.
func (m *Machine) Looked(rank int, stopped bool, now time.Time) []Effect {
	return m.step(now, func() {
		if m.run != nil {
			m.run.looked(rank, stopped, now)
		}
	})
}

// Signal takes what a person or a scheduler wants.
func (m *Machine) Signal(s syscall.Signal, now time.Time) []Effect {
	return m.step(now, func() {
		switch w := m.patience.take(s, now); {
		case w == requestPass:
			m.out.emit(Effect{Signal: &Signal{Signal: s, Rank: AllRanks, Pass: true}})
		case m.run == nil && w != requestNone:
			m.end(End{Err: InterruptedError{s}})
		case w == requestEnd && m.run.report.Signal == 0: // else another node's news came first
			m.run.interrupt(s, now)
		case w == requestKill:
			m.run.killAll()
		}
	})
}

// Tick says that time has passed; the agent calls it every TickEvery.
func (m *Machine) Tick(now time.Time) []Effect {
	return m.step(now, func() {
		m.apply(m.agree.Tick(), now)
		if pause := now.Sub(m.tickedAt); !m.tickedAt.IsZero() && pause > 10*TickEvery {
			m.allow(pause)
		}
		m.tickedAt = now
		m.examine(now)
		if m.run == nil {
			return
		}
		m.run.advance(now)
		m.missUnknown(now)
		m.lookAround(now)
	})
}

// Timeout says that the time to find and agree is over; once the job runs that
// means nothing.
func (m *Machine) Timeout(now time.Time) []Effect {
	return m.step(now, func() { m.apply(m.agree.Timeout(), now) })
}

// step takes one event, then sends what the others are to know by it, and ends
// when nothing is left to do.
func (m *Machine) step(now time.Time, event func()) []Effect {
	if m.over {
		return nil
	}
	event()
	if m.run != nil && !m.over {
		m.flush(now)
		if m.run.ended(now) {
			m.flush(now) // the last word of a hub
			m.end(End{Outcome: m.run.outcome()})
		}
	}
	return m.out.take()
}

func (m *Machine) end(e End) {
	if !m.over {
		m.over = true
		m.out.emit(Effect{End: &e})
	}
}

// apply carries out what the agreement asks for.
func (m *Machine) apply(effects []view.Effect, now time.Time) {
	for _, e := range effects {
		switch {
		case e.Send != nil:
			m.send(e.Send.To, Message{View: &e.Send.Msg})
		case e.Committed != nil:
			m.begin(*e.Committed, now)
		case e.Failed != nil:
			m.end(End{Err: e.Failed})
		case e.Doubted != nil: // given up before the view was agreed on
			m.run.lose(e.Doubted.ID, noAnswer, now, now)
		case e.Lost != nil:
			m.run.lose(e.Lost.ID, left, now, now)
		}
	}
}

// begin starts this node's workers: the view holds.
func (m *Machine) begin(v view.View, now time.Time) {
	m.run = newRunning(v, v.NodeRank(m.cfg.Self.ID), m.cfg, m.out, now)
	m.out.emit(Effect{Begin: &v})
}

// send asks for a message to be delivered, if it is known where.
func (m *Machine) send(to string, msg Message) {
	if addr, ok := m.addrs[to]; ok {
		m.out.emit(Effect{Send: &Send{To: to, Addr: addr, Msg: msg, Silent: m.silent(to)}})
	}
}

// silent reports whether nothing is heard of a member at present.
func (m *Machine) silent(id string) bool {
	return m.doubts.silent(id) || m.run != nil && m.run.silent(id)
}

// flush sends what the others are to know.
func (m *Machine) flush(now time.Time) {
	for _, s := range m.run.mail.Next(now) {
		m.send(m.run.view.Members[s.To].ID, Message{Relay: &s.Msg})
	}
}
