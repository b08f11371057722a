package frame

import (
	"sync/atomic"
)

// Transport moves ordered frames between the ranks of one job. Its contract is
// all that communicators need; package mem implements it in memory and package
// wire over gRPC, and package transporttest tests any of them.
//
// Send, Recv and opening a lane have no context, because a call that is given
// up ends the communicators of the job: Break ends all of them.
type Transport interface {
	Rank() int
	Size() int
	// MaxPayload is the longest payload of a frame in bytes.
	MaxPayload() int
	// Lane gives the lane of that number: made when it is first asked for, the
	// same afterwards. Both ends of a pair may first use it in either order.
	Lane(id uint32) Lane
	// Notify sends a short message to a peer, past any frames that wait, if there
	// is a connection to it: those of schedule.Links are there from the start, others
	// are opened when a frame is first sent or received, or by Open.
	Notify(to int, msg []byte) error
	// Open begins to open a connection that there is not, and does not wait for it,
	// where both ends do so.
	Open(peer int)
	// Connections is the number of peers that there is a connection to, and of those
	// among them whose frames go through memory that the two ranks share.
	Connections() (all, shared int)
	// Watch names the functions told of every message that a peer notified
	// and, once per peer, of the loss of a connection. They are called by goroutines
	// of the transport and return fast. Events before Watch are kept for it.
	Watch(heard func(from int, msg []byte), lost func(peer int, err error))
	// Break makes every Send and Recv of all lanes, running or later, return
	// promptly. Messages still reach the peers.
	Break()
	// Close ends the transport and waits for all its goroutines.
	Close() error
}

// Lane is an independent stream of frames between each pair of ranks.
//
// What must always hold: the frames of a lane from one rank to another arrive
// whole, once, and in the order they were sent; and a lane whose frames nobody
// takes holds up no other lane. Of each lane, Send to one peer is called by one
// goroutine at a time, and so is Recv from one peer.
type Lane interface {
	// Send queues one frame for a peer and may return before the bytes left. It
	// waits while the peer takes no more, or has not opened its end. The payload
	// must stay as it is until sent is told; the transport tells it once for every
	// call, also when Send fails.
	Send(to int, h *Header, payload []byte, sent *Inflight) error
	// Recv waits for the next frame of a peer. The caller releases it.
	Recv(from int) (*Frame, error)
	// Close says that this end uses the lane no more. What it sent still arrives;
	// what others send to it is lost.
	Close() error
}

// Inflight counts payloads that a transport still reads from.
type Inflight struct {
	n    atomic.Int64
	wake chan struct{}
}

// NewInflight returns a counter at zero.
func NewInflight() *Inflight { return &Inflight{wake: make(chan struct{}, 1)} }

// Add counts one payload handed over.
func (f *Inflight) Add() { f.n.Add(1) }

// Done counts one payload that may be reused.
func (f *Inflight) Done() {
	if f.n.Add(-1) == 0 {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// Idle reports whether no payload is read any more.
func (f *Inflight) Idle() bool { return f.n.Load() == 0 }

// Wait returns true when no payload is read any more, or false when stop
// closes first.
func (f *Inflight) Wait(stop <-chan struct{}) bool {
	for f.n.Load() != 0 {
		select {
		case <-f.wake:
		case <-stop:
			return f.n.Load() == 0
		}
	}
	return true
}
