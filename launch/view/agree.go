package view

import (
	"slices"
)

// How a member proposes, is bound, and commits. Each function takes a step that
// an input of Machine calls for; settle comes behind all of them.

// onPropose binds this member to the view of a proposer that has the right of
// way, unless its word is given already. A proposal that is not answered is
// repeated, so that silence is enough where the answer may be another later.
func (m *Machine) onPropose(from string, msg Message) {
	v := msg.View
	if v == nil || !m.valid(from, *v) {
		return
	}
	dig := v.Digest()
	switch {
	case m.state == bound && dig == m.dig: // the acknowledgement was lost
		m.send(from, Message{Kind: Ack, Epoch: v.Epoch, Digest: dig})
	case m.state == committed:
		m.answerCommitted(from)
	case m.state == bound || m.state == proposing && !m.defers(v.Members[0]):
		// Not free. The proposer will ask again.
	case v.Epoch <= m.epoch:
		// An epoch is used once: frames of an earlier view of the job must not be
		// taken for those of this one. The proposer tries a higher.
		m.send(from, Message{Kind: Nack, Epoch: m.epoch, Digest: dig})
	default:
		if m.state == proposing {
			m.abort()
		}
		m.enter(bound)
		m.view, m.dig, m.past = *v, dig, View{}
		m.epoch = v.Epoch
		m.send(from, Message{Kind: Ack, Epoch: v.Epoch, Digest: dig})
	}
}

// defers reports whether this proposer yields to another. Of two that propose at
// once the lower goes on: were both to yield, or neither, none would end.
func (m *Machine) defers(other Member) bool { return Compare(other, m.cfg.Self) < 0 }

// valid reports whether a proposal can be meant for this member: of this job,
// with this member in it as it announced itself, and by the lowest of its
// members, who alone may propose.
func (m *Machine) valid(from string, v View) bool {
	n := v.NodeRank(m.cfg.Self.ID)
	return v.Job == m.cfg.Job && v.Epoch > 0 && v.Token != "" && len(v.Members) == m.cfg.Self.Nodes &&
		n > 0 && v.Members[0].ID == from && v.Members[n].equal(m.cfg.Self) && slices.IsSortedFunc(v.Members, Compare)
}

// onAck counts the word of a member; with the last one the view holds. Whoever
// gave its word to something that is no more is freed from it.
func (m *Machine) onAck(from string, msg Message) {
	known := m.view.NodeRank(from) > 0 && msg.Digest == m.dig
	switch {
	case m.state == proposing && known:
		m.acks[from] = true
		if len(m.acks) == len(m.view.Members)-1 {
			m.commit()
		}
	case m.state == committed && known:
		m.answerCommitted(from)
	default: // bound to something that is no more
		m.send(from, Message{Kind: Abort, Epoch: msg.Epoch, Digest: msg.Digest})
		if m.state == committed {
			m.answerCommitted(from)
		}
	}
}

// answerCommitted tells a member that is still looking what holds here.
func (m *Machine) answerCommitted(to string) {
	switch {
	case m.view.NodeRank(to) < 0:
		m.reject(to)
	case m.coordinates():
		m.send(to, Message{Kind: Commit, Epoch: m.view.Epoch, Digest: m.dig})
	}
}

// onNack takes a refusal: of a proposal, which then has to be made anew, or of
// a commit, by a member that was freed and has gone another way meanwhile. That
// one is lost to this job.
func (m *Machine) onNack(from string, msg Message) {
	switch n := m.view.NodeRank(from); {
	case msg.Digest != m.dig || n < 0:
	case m.state == proposing:
		m.abort() // the epoch was raised on receipt; the next proposal has a higher one
	case m.state == committed:
		p := m.view.Members[n]
		delete(m.live, from)
		m.out = append(m.out, Effect{Lost: &p})
	}
}

// onCommit starts the job on the view that this member is bound to. One that was
// freed by mistake, because its proposer seemed to have died, still takes it as
// long as it has given its word to nobody else: the others count on it.
func (m *Machine) onCommit(from string, msg Message) {
	switch {
	case m.state == committed && msg.Digest == m.dig:
	case m.state == bound && msg.Digest == m.dig && from == m.view.Members[0].ID:
		m.commit()
	case (m.state == gathering || m.state == proposing) && m.past.Epoch > 0 && m.past.Digest() == msg.Digest:
		if m.state == proposing {
			m.abort()
		}
		m.enter(bound)
		m.view, m.dig = m.past, msg.Digest
		m.commit()
	default:
		m.send(from, Message{Kind: Nack, Epoch: m.epoch, Digest: msg.Digest})
	}
}

// settle makes a proposal when it is this member's turn and hands out effects.
func (m *Machine) settle() []Effect {
	if m.state == proposing && m.sorted()[0].ID != m.cfg.Self.ID {
		m.abort() // a lower member appeared: its turn
	}
	if m.state == gathering {
		if all := m.sorted(); len(all) >= m.cfg.Self.Nodes && all[0].ID == m.cfg.Self.ID {
			m.propose(all[:m.cfg.Self.Nodes])
		}
	}
	out := m.out
	m.out = nil
	return out
}

// propose asks all members whether this view may hold. A member alone needs
// nobody's word.
func (m *Machine) propose(members []Member) {
	m.epoch++
	m.enter(proposing)
	m.view = View{Epoch: m.epoch, Job: m.cfg.Job, Token: m.cfg.Token, Members: members}
	m.dig = m.view.Digest()
	m.acks = map[string]bool{}
	for _, p := range members[1:] {
		m.sendProposal(p.ID)
	}
	if len(members) == 1 {
		m.commit()
	}
}

// commit makes the view hold here, for good. Members that seemed to die while it
// was agreed on are in it all the same: it cannot change, so they are told of as
// doubted and the job deals with them.
func (m *Machine) commit() {
	m.enter(committed)
	v := m.view
	if m.coordinates() {
		for _, p := range v.Members[1:] {
			m.send(p.ID, Message{Kind: Commit, Epoch: v.Epoch, Digest: m.dig})
		}
		m.rejectStrangers()
	}
	m.out = append(m.out, Effect{Committed: &v})
	for _, p := range v.Members {
		if m.down[p.ID] { // it seemed to die while the commit was under way
			m.out = append(m.out, Effect{Doubted: &p})
		} else { // discovery may lag behind the proposal
			m.live[p.ID] = p
		}
	}
}

// rejectStrangers tells agents that came too late that there is no place, again
// and again: each gives up at the first word of it.
func (m *Machine) rejectStrangers() {
	for _, p := range m.sorted() {
		if m.view.NodeRank(p.ID) < 0 {
			m.reject(p.ID)
		}
	}
}

// abort takes a proposal back. Its members are told, or they would stay bound
// until gossip calls this one dead.
func (m *Machine) abort() {
	for _, p := range m.view.Members[1:] {
		m.send(p.ID, Message{Kind: Abort, Epoch: m.view.Epoch, Digest: m.dig})
	}
	m.release()
}

func (m *Machine) enter(s state) { m.state, m.ticks = s, 0 }

// release goes back to gathering, and keeps the view that was given up: see
// onCommit.
func (m *Machine) release() {
	if m.state == bound {
		m.past = m.view
	}
	m.enter(gathering)
	m.view, m.dig, m.acks = View{}, "", nil
}

func (m *Machine) reject(id string) {
	m.send(id, Message{Kind: Reject, Epoch: m.view.Epoch, Nodes: len(m.view.Members)})
}

// fail is the end of this member's part, and frees those that it has bound.
func (m *Machine) fail(why error) {
	if m.state == proposing {
		m.abort()
	}
	m.enter(failed)
	m.out = append(m.out, Effect{Failed: why})
}

func (m *Machine) coordinates() bool { return m.view.Members[0].ID == m.cfg.Self.ID }

func (m *Machine) sendProposal(to string) {
	v := m.view // the message outlives the proposal
	m.send(to, Message{Kind: Propose, Epoch: v.Epoch, Digest: m.dig, View: &v})
}

func (m *Machine) send(to string, msg Message) {
	m.out = append(m.out, Effect{Send: &Send{to, msg}})
}

func (m *Machine) sorted() []Member {
	all := make([]Member, 0, len(m.live))
	for _, p := range m.live {
		all = append(all, p)
	}
	slices.SortFunc(all, Compare)
	return all
}
