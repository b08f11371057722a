package discovery

import (
	"bytes"

	"github.com/hashicorp/memberlist"

	"vgid/launch/option"
)

// The methods below are memberlist's delegates. They must not block.

// NodeMeta announces the job, a zero byte, and Config.Meta.
func (n *Node) NodeMeta(int) []byte {
	return append(append([]byte(n.cfg.Job), 0), n.cfg.Meta...)
}

// splitMeta is NodeMeta taken apart; false of agents of other programs.
func splitMeta(b []byte) (job string, meta []byte, ok bool) {
	j, m, ok := bytes.Cut(b, []byte{0})
	return string(j), bytes.Clone(m), ok
}

// NotifyAlive turns agents of other jobs away before they are members.
func (n *Node) NotifyAlive(p *memberlist.Node) error {
	job, _, ok := splitMeta(p.Meta)
	if ok && job == n.cfg.Job {
		return nil
	}
	err := option.Errorf("the agent at %s belongs to job %q, this one to %q; give both the same %v", p.Address(), job, n.cfg.Job, option.Job)
	n.refuse(err)
	return err
}

// NotifyJoin reports an agent.
func (n *Node) NotifyJoin(p *memberlist.Node) {
	if p.Name == n.cfg.ID {
		return
	}
	_, meta, _ := splitMeta(p.Meta)
	n.post(Event{Kind: Up, ID: p.Name, Addr: p.Address(), Meta: meta})
}

// NotifyLeave reports that an agent died or left; memberlist does not tell which.
func (n *Node) NotifyLeave(p *memberlist.Node) {
	if p.Name != n.cfg.ID {
		n.post(Event{Kind: Down, ID: p.Name, Addr: p.Address()})
	}
}

// NotifyUpdate is not of interest: announcements never change.
func (n *Node) NotifyUpdate(*memberlist.Node) {}

// NotifyMsg reports what another agent said: length of its ID, ID, message.
func (n *Node) NotifyMsg(b []byte) {
	if len(b) < 1 || len(b) > MaxMessage || len(b) < 1+int(b[0]) {
		return
	}
	k := 1 + int(b[0])
	n.post(Event{Kind: Said, ID: string(b[1:k]), Msg: bytes.Clone(b[k:])})
}

// GetBroadcasts has nothing to add to the gossip.
func (n *Node) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState has nothing to add to push/pull.
func (n *Node) LocalState(bool) []byte { return nil }

// MergeRemoteState takes nothing from push/pull.
func (n *Node) MergeRemoteState([]byte, bool) {}
