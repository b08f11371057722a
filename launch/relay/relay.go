// Package relay spreads what every node of a job has to report to all the
// others. It is a state machine without clocks, sockets or random numbers: the
// times come with the events, and messages leave as values.
//
// Reports go to the hub, the lowest node that is not given up, and from there
// to everybody, so that a node talks to one other and only the hub to all. Who
// cannot reach the hub turns to everybody; whoever hears it passes its word on
// and answers for the hub, until the end. Every message says what its sender has, which
// confirms what it got and shows what it lacks.
//
// Nobody may leave before all the others have everything, for a hub may die
// with what only it knew. So the hub tells when that is so.
package relay

import (
	"slices"
	"time"
)

// Item is the report of one node; a higher Seq replaces a lower one.
type Item[R any] struct {
	Node   int    `json:"node"`
	Seq    uint64 `json:"seq"`
	Report R      `json:"report"`
}

// Message is what nodes tell each other.
type Message[R any] struct {
	Have  []uint64  `json:"have"`            // by node, the Seq of the report the sender has; 0: none
	News  []Item[R] `json:"news,omitempty"`  // what the receiver seems to lack
	Stuck bool      `json:"stuck,omitempty"` // the hub does not answer the sender: answer in its place
	Done  bool      `json:"done,omitempty"`  // from the hub: all have everything
}

// Send asks for a message to be delivered to a node.
type Send[R any] struct {
	To  int
	Msg Message[R]
}

const (
	firstPause   = 300 * time.Millisecond // until what is not confirmed is sent again
	longestPause = 5 * time.Second
	// The rest is by the number of nodes: a hub has that much to do.
	stuckAfter = 50 * time.Millisecond  // and a second, without an answer of the hub
	gather     = 500 * time.Microsecond // before news are sent, so that more may go with them
)

// Machine is the state of one node. Use it from one goroutine.
//
// What must always hold: the report of a node is replaced by a later one of the
// same node only, and nobody else speaks for it; what a node has it offers,
// again and again, to everyone it sends to, until that one says it has it; and
// no node leaves while another that it sends to may lack something. So as long
// as every two nodes are joined by some path of links, all learn all.
type Machine[R any] struct {
	self     int
	latest   []Item[R]
	peers    []peer
	complete bool      // no more reports will come
	done     bool      // the hub said so
	waits    time.Time // since when the hub owes an answer; zero: it does not
	told     bool      // the others were told that this node may leave
}

// peer is what is known of another node.
type peer struct {
	have   []uint64
	gone   bool
	silent bool // it is not heard at present
	cut    bool // the link to it is given up, others reach it
	fresh  bool // there is something it was not sent yet
	owed   bool // a confirmation
	direct bool // it asked for answers in the hub's place
	sent   time.Time
	pause  time.Duration
}

// New makes the machine of node self of n.
func New[R any](self, n int) *Machine[R] {
	m := &Machine[R]{self: self, latest: make([]Item[R], n), peers: make([]peer, n)}
	for i := range m.peers {
		m.latest[i].Node = i
		m.peers[i].have = make([]uint64, n)
	}
	return m
}

// Publish replaces the report of this node.
func (m *Machine[R]) Publish(r R) {
	own := &m.latest[m.self]
	own.Seq++
	own.Report = r
	m.spread(m.self)
}

// Receive takes a message of another node and returns the reports in it that
// are news here.
func (m *Machine[R]) Receive(from int, msg Message[R]) []Item[R] {
	if from < 0 || from >= len(m.peers) || from == m.self || len(msg.Have) != len(m.peers) {
		return nil
	}
	p := &m.peers[from]
	for i, seq := range msg.Have {
		if i == m.self {
			seq = min(seq, m.latest[i].Seq) // nobody has more of it
		}
		p.have[i] = max(p.have[i], seq)
	}
	var news []Item[R]
	for _, it := range msg.News {
		if it.Node < 0 || it.Node >= len(m.latest) || it.Node == m.self || it.Seq == 0 {
			continue // nobody speaks for this node
		}
		p.have[it.Node] = max(p.have[it.Node], it.Seq)
		if it.Seq > m.latest[it.Node].Seq {
			m.latest[it.Node] = it
			m.spread(from)
			news = append(news, it)
		}
	}
	p.owed = p.owed || len(msg.News) > 0 || msg.Stuck
	p.direct = p.direct || msg.Stuck
	if from == m.hub() {
		m.waits = time.Time{}
		m.done = m.done || msg.Done
	}
	return news
}

// spread notes that there is something new for all but one.
func (m *Machine[R]) spread(but int) {
	for i := range m.peers {
		if i != but {
			m.peers[i].fresh = true
		}
	}
}

// Gone gives a node up: nothing is sent to it, and nobody waits for it.
func (m *Machine[R]) Gone(node int) {
	if node != m.self && !m.peers[node].gone {
		m.peers[node].gone = true
		m.waits = time.Time{} // there may be another hub
	}
}

// Silent says which nodes are not heard at present: none of them can be the hub
// of this one.
func (m *Machine[R]) Silent(nodes []int) {
	for i := range m.peers {
		m.peers[i].silent = slices.Contains(nodes, i)
	}
}

// Cut gives the link to a node up, but not the node: what it has to say comes
// by way of others.
func (m *Machine[R]) Cut(node int) { m.peers[node].cut = node != m.self }

// Direct says that a node may have no hub that it hears and that hears it: this
// node sends it what is known here, as if it had asked for that.
func (m *Machine[R]) Direct(node int) {
	p := &m.peers[node]
	p.direct = p.direct || node != m.self
}

// Complete says that no more reports are to be expected from any node.
func (m *Machine[R]) Complete() { m.complete = true }

// Settled reports whether this node may leave: nobody needs it any more.
func (m *Machine[R]) Settled() bool {
	hub := m.hub() == m.self
	if !m.complete || !hub && !m.done {
		return false
	}
	for i := range m.peers {
		if p := &m.peers[i]; i != m.self && !p.gone && !p.cut && (hub || p.direct) && m.lacks(i) {
			return false
		}
	}
	return true
}

// Next returns what is to be sent now.
func (m *Machine[R]) Next(now time.Time) []Send[R] {
	hub := m.hub()
	stuck := m.cutOff() || !m.waits.IsZero() && now.Sub(m.waits) >= time.Second+time.Duration(len(m.peers))*stuckAfter
	var out []Send[R]
	send := func(to int, done bool) {
		p := &m.peers[to]
		p.sent, p.fresh, p.owed = now, false, false
		out = append(out, Send[R]{to, Message[R]{Have: m.have(), News: m.lacking(to), Stuck: stuck, Done: done}})
		if to == hub && m.waits.IsZero() {
			m.waits = now
		}
	}
	if m.Settled() && !m.told {
		m.told = true
		for i := range m.peers {
			if p := &m.peers[i]; i != m.self && !p.gone && !p.cut && (hub == m.self || p.direct) {
				send(i, true)
			}
		}
		return out
	}
	for i := range m.peers {
		p := &m.peers[i]
		if i == m.self || p.gone || p.cut || !(hub == m.self || i == hub || stuck || p.direct) {
			continue
		}
		lacks := m.lacks(i)
		// What only one side knows is repeated, and so is the question to the
		// hub whether all is done.
		asks := i == hub && m.complete && !m.done
		switch first := p.fresh && lacks || p.owed; {
		case first && now.Sub(p.sent) >= time.Duration(len(m.peers))*gather:
			p.pause = firstPause
			send(i, false)
		case !first && (lacks || asks) && now.Sub(p.sent) >= p.pause:
			p.pause = min(max(2*p.pause, firstPause), longestPause)
			send(i, false)
		}
	}
	return out
}

func (m *Machine[R]) hub() int {
	for i := range m.peers {
		if p := &m.peers[i]; !p.gone && !p.silent && !p.cut {
			return i
		}
	}
	return m.self
}

// cutOff reports whether the others have a hub that this node does not reach.
func (m *Machine[R]) cutOff() bool {
	hub := m.hub()
	for i := range hub {
		if !m.peers[i].gone {
			return true
		}
	}
	return false
}

func (m *Machine[R]) have() []uint64 {
	h := make([]uint64, len(m.latest))
	for i := range m.latest {
		h[i] = m.latest[i].Seq
	}
	return h
}

// lacks reports whether a node may not have all that is known here.
func (m *Machine[R]) lacks(node int) bool {
	for i, it := range m.latest {
		if i != node && it.Seq > m.peers[node].have[i] {
			return true
		}
	}
	return false
}

func (m *Machine[R]) lacking(node int) []Item[R] {
	var l []Item[R]
	for i, it := range m.latest {
		if i != node && it.Seq > m.peers[node].have[i] {
			l = append(l, it)
		}
	}
	return l
}
