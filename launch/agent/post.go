//go:build unix

package agent

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"vgid/launch/discovery"
	"vgid/launch/job"
)

// post delivers the messages of an agent in the background. A send to a node
// that does not answer blocks for seconds, and the loop must not.
//
// What must always hold: no send outlives close; and messages to nodes that are
// heard are not kept from arriving by those to nodes that are not.
type post struct {
	node    *discovery.Node
	sent    chan delivery
	ctx     context.Context
	sending sync.WaitGroup // messages on their way
	silent  sync.WaitGroup // the same, to those who are not heard
}

// delivery says what became of a message that tells something about its
// receiver.
type delivery struct {
	to      string
	refused bool // its machine answers, but nobody listens; else it was received
}

func newPost(ctx context.Context, node *discovery.Node) *post {
	return &post{node: node, sent: make(chan delivery, 16), ctx: ctx}
}

// send delivers in the background; what gets lost is repeated by who needs it.
func (p *post) send(s job.Send) {
	b := encode(s.Msg)
	if s.Packet {
		_ = p.node.Show(s.To, s.Addr, b) // what was not sent is not heard of
		return
	}
	on := &p.sending
	if s.Silent {
		on = &p.silent
	}
	on.Go(func() {
		err := p.node.Send(s.To, s.Addr, b)
		if refused := errors.Is(err, syscall.ECONNREFUSED); refused || err == nil && s.Msg.Ping {
			select {
			case p.sent <- delivery{s.To, refused}:
			case <-p.ctx.Done():
			}
		}
	})
}

// close ends the post when what is on its way has arrived, or a moment later.
// complete says that nobody waits for this agent any more; else the others hear
// that it leaves.
func (p *post) close(complete bool) {
	if !complete {
		_ = p.node.Leave() // unsaid, they find out
	}
	arrived := make(chan struct{})
	go func() {
		p.sending.Wait()
		close(arrived)
	}()
	select {
	case <-arrived:
	case <-time.After(flushFor):
	}
	_ = p.node.Close() // ends what is still on its way
	p.sending.Wait()
	p.silent.Wait()
}
