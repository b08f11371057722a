// Package view decides who has which rank. It holds the immutable View a job
// runs on and the state machine by which agents agree on it. There are no
// clocks, sockets or random numbers here: everything enters as an event and
// leaves as an effect, so that every history can be replayed in a test.
package view

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Member is one incarnation of a node agent, as it announces itself. It never
// changes while the incarnation lives.
type Member struct {
	ID    string   `json:"id"`    // unique per incarnation: a restarted agent is another member
	Node  string   `json:"node"`  // name of the node for people
	Index int      `json:"index"` // wish for the order of nodes; equal wishes are ordered by ID
	Nodes int      `json:"nodes"` // number of nodes it expects in the job
	Addrs []string `json:"addrs"` // host:port of its workers by local rank
}

// Compare orders members: the order of ranks, and the lowest is coordinator.
func Compare(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.ID, b.ID))
}

func (m Member) equal(o Member) bool {
	return m.ID == o.ID && m.Node == o.Node && m.Index == o.Index && m.Nodes == o.Nodes && slices.Equal(m.Addrs, o.Addrs)
}

// View is what a job runs on. It never changes: another membership is another
// view with a higher epoch.
type View struct {
	Epoch   uint64   `json:"epoch"`
	Job     string   `json:"job"`
	Token   string   `json:"token"`   // secret of the launch
	Members []Member `json:"members"` // by node rank
}

// Rank is the place of one worker.
type Rank struct {
	Rank      int
	NodeRank  int
	Node      string
	LocalRank int
	Addr      string
}

// Ranks lists the workers in rank order: node by node, then by local rank.
func (v View) Ranks() []Rank {
	var rs []Rank
	for n, m := range v.Members {
		for l, a := range m.Addrs {
			rs = append(rs, Rank{len(rs), n, m.Node, l, a})
		}
	}
	return rs
}

// WorldSize is the number of ranks.
func (v View) WorldSize() int {
	n := 0
	for _, m := range v.Members {
		n += len(m.Addrs)
	}
	return n
}

// NodeRank is the place of a member in the view, -1 for strangers.
func (v View) NodeRank(id string) int {
	return slices.IndexFunc(v.Members, func(m Member) bool { return m.ID == id })
}

// Digest names the view: equal digests mean equal views, token included.
func (v View) Digest() string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers only
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// String describes the view for a log, without its secret.
func (v View) String() string {
	return fmt.Sprintf("epoch %d, %d ranks on %d nodes, view %.8s", v.Epoch, v.WorldSize(), len(v.Members), v.Digest())
}
