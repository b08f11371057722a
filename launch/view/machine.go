package view

import (
	"fmt"
	"strings"

	"vgid/launch/option"
)

type state int

const (
	gathering state = iota // no view in sight
	proposing              // own proposal is out
	bound                  // acknowledged another's proposal
	committed
	failed
)

// Config starts a Machine.
type Config struct {
	Job      string
	Self     Member
	Token    string // becomes the view's if this member coordinates
	MinEpoch uint64 // epochs up to this one are used up, say by an earlier run of the job
}

// Machine is the agreement as one member sees it. Use it from one goroutine.
//
// Safety: a view commits only after every member acknowledged it, and a member
// is bound to one view at a time, from which only the proposer's word or death
// frees it. So two committed views share no member. Epochs only grow. Should a
// report of the proposer's death have been wrong, the freed member still takes
// the commit as long as it is bound to nothing else, and otherwise says so.
//
// Liveness: everything is repeated on Tick, so lost messages only cost time.
type Machine struct {
	cfg   Config
	state state
	live  map[string]Member
	epoch uint64          // highest seen
	down  map[string]bool // members seen once and lost
	view  View            // proposed, bound to or committed
	dig   string          // its digest
	past  View            // the last view this member was bound to and freed from
	acks  map[string]bool
	ticks int // since the state was entered
	out   []Effect
}

// New makes a machine that knows only itself.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg, epoch: cfg.MinEpoch, live: map[string]Member{cfg.Self.ID: cfg.Self}, down: map[string]bool{}}
}

// Start returns what a member that waits for nobody does at once.
func (m *Machine) Start() []Effect { return m.settle() }

// Up reports that discovery sees a member.
func (m *Machine) Up(p Member) []Effect {
	if m.state == failed || p.ID == m.cfg.Self.ID {
		return nil
	}
	if p.Nodes != m.cfg.Self.Nodes {
		if m.state != committed {
			m.fail(option.Errorf("node %s was started with %v %d, this node %s with %v %d; start all nodes with the same number",
				p.Node, option.Nodes, p.Nodes, m.cfg.Self.Node, option.Nodes, m.cfg.Self.Nodes))
		}
		return m.settle()
	}
	m.live[p.ID] = p
	delete(m.down, p.ID)
	if m.state == committed && m.coordinates() && m.view.NodeRank(p.ID) < 0 {
		m.reject(p.ID)
	}
	return m.settle()
}

// Down reports that discovery lost sight of a member.
func (m *Machine) Down(id string) []Effect {
	p, ok := m.live[id]
	if !ok || m.state == failed || id == m.cfg.Self.ID {
		return nil
	}
	delete(m.live, id)
	m.down[id] = true
	switch n := m.view.NodeRank(id); {
	case m.state == committed && n >= 0:
		m.out = append(m.out, Effect{Doubted: &p})
	case m.state == proposing && n >= 0:
		m.abort()
	case m.state == bound && id == m.view.Members[0].ID:
		m.release()
	}
	return m.settle()
}

// Receive takes a message from a member, known to discovery yet or not.
func (m *Machine) Receive(from string, msg Message) []Effect {
	if from == m.cfg.Self.ID {
		return nil
	}
	if m.state == failed {
		if msg.Kind == Ack { // bound to a proposal of a member that gave up
			m.send(from, Message{Kind: Abort, Epoch: msg.Epoch, Digest: msg.Digest})
		}
		return m.settle()
	}
	if msg.Kind != Reject {
		m.epoch = max(m.epoch, epochFloor(m, msg))
	}
	switch msg.Kind {
	case Propose:
		m.onPropose(from, msg)
	case Ack:
		m.onAck(from, msg)
	case Nack:
		m.onNack(from, msg)
	case Commit:
		m.onCommit(from, msg)
	case Abort:
		if m.state == bound && msg.Digest == m.dig && from == m.view.Members[0].ID {
			m.release()
			m.past = View{} // it will never hold
		}
	case Reject:
		// A member that is bound has given its word: whoever it acknowledged
		// may have committed with it already. It hears from them first.
		if m.state == gathering || m.state == proposing {
			m.fail(option.Errorf("job %q already runs on its %d nodes; use another %v, or wait for it to end", m.cfg.Job, msg.Nodes, option.Job))
		}
	}
	return m.settle()
}

// epochFloor is the epoch a message uses up before it is looked at. A proposal
// is judged first: it may be the first to carry its epoch.
func epochFloor(m *Machine, msg Message) uint64 {
	if msg.Kind == Propose {
		return m.epoch
	}
	return msg.Epoch
}

// Tick repeats what may have been lost, with pauses that grow: many members
// that are slow to answer are not to be made slower. The driver calls it
// regularly.
func (m *Machine) Tick() []Effect {
	m.ticks++
	if m.ticks < 2 || m.ticks%longestPause != 0 && m.ticks&(m.ticks-1) != 0 {
		return m.settle()
	}
	switch m.state {
	case proposing:
		for _, p := range m.view.Members[1:] {
			if !m.acks[p.ID] {
				m.sendProposal(p.ID)
			}
		}
	case bound:
		m.send(m.view.Members[0].ID, Message{Kind: Ack, Epoch: m.view.Epoch, Digest: m.dig})
	case committed:
		if m.coordinates() {
			m.rejectStrangers()
		}
	}
	return m.settle()
}

// longestPause is the most ticks between repetitions.
const longestPause = 32

// Timeout ends an agreement that took too long and says who was there.
func (m *Machine) Timeout() []Effect {
	if m.state == committed || m.state == failed {
		return nil
	}
	why := ""
	if m.state == proposing {
		var late []string
		for _, p := range m.view.Members[1:] {
			if !m.acks[p.ID] {
				late = append(late, p.Node)
			}
		}
		why = "; no answer from " + strings.Join(late, ", ")
	}
	if m.state == bound {
		why = "; " + m.view.Members[0].Node + " did not confirm the view it proposed"
	}
	var names []string
	for _, p := range m.sorted() {
		names = append(names, p.Node)
	}
	m.fail(fmt.Errorf("%d of %d nodes present: %s%s", len(names), m.cfg.Self.Nodes, strings.Join(names, ", "), why))
	return m.settle()
}
