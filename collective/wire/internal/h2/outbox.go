package h2

import (
	"net"
	"slices"
	"sync"
	"time"
)

// maxQueued bounds what a peer can make this end answer (SETTINGS, PING) while it reads
// nothing.
const maxQueued = 64 << 10

// outbox is the sending half of a connection. Senders write their frames themselves.
// Short frames, which come from those who must not wait, are queued: the next sender
// takes them along, or run writes them.
//
// What must always hold: frames leave whole and in order, also where their sender gave
// up in the middle of one, the rest of which is then a copy of ours (tail).
type outbox struct {
	sink   *sink
	socket bool
	pace   pace

	turn sync.Mutex // of who writes
	tail []byte     // what goes first

	mu      sync.Mutex
	queued  []byte // short frames that wait
	spare   []byte // memory for the next ones
	copied  int    // bytes of queued that are senders'
	drained *sync.Cond
	poked   bool // the socket's deadline was set to end a write
	ending  bool
	stopped bool
	flushed chan struct{}
	kick    chan struct{}
}

var errFlood = violation(codeFlood, "it asks for more answers than it takes")

func newOutbox(c net.Conn, full func()) *outbox {
	o := &outbox{sink: newSink(c, full), kick: make(chan struct{}, 1), flushed: make(chan struct{})}
	o.socket = o.sink.raw != nil
	o.drained = sync.NewCond(&o.mu)
	o.pace.init()
	return o
}

// queue takes short frames, which it copies, and never waits.
func (o *outbox) queue(frames []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queued = append(o.queued, frames...)
	o.wake()
}

// answer queues what a frame of the peer asks for. There is a bound to it, for the peer
// decides how many those are.
func (o *outbox) answer(frames []byte) error {
	o.mu.Lock()
	full := len(o.queued)-o.copied > maxQueued
	o.mu.Unlock()
	if full {
		return errFlood
	}
	o.queue(frames)
	return nil
}

func (o *outbox) wake() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

// run writes what is queued, until stop.
func (o *outbox) run() error {
	for range o.kick {
		if err := o.write(nil, nil); err != nil {
			return err
		}
		o.mu.Lock()
		end := o.stopped
		if o.ending && len(o.queued) == 0 {
			close(o.flushed)
			end = true
		}
		o.mu.Unlock()
		if end {
			return nil
		}
	}
	return nil
}

// finish lets run end when all is written; the channel is closed then.
func (o *outbox) finish() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending = true
	o.wake()
	return o.flushed
}

// stop ends run and those who wait in send.
func (o *outbox) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
	o.drained.Broadcast()
	o.wake()
}

// send sends frames of a stream. When the stream is given up it returns at once.
func (o *outbox) send(s *Stream, vec [][]byte) error {
	if o.socket {
		return o.write(s, vec)
	}
	// Writes to other connections cannot be interrupted: a copy is left to run.
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.copied > 2*o.pace.get() && !s.dead.Load() && !o.stopped {
		o.drained.Wait()
	}
	if s.dead.Load() {
		return errReset
	}
	if o.stopped {
		return errClosed
	}
	for _, p := range vec {
		o.queued = append(o.queued, p...)
		o.copied += len(p)
	}
	o.wake()
	return nil
}

// write writes what waits, then vec.
func (o *outbox) write(s *Stream, vec [][]byte) error {
	o.turn.Lock()
	defer o.turn.Unlock()
	if s != nil && s.dead.Load() {
		return errReset
	}
	short := o.collect()
	if len(short) > 0 {
		vec = slices.Insert(vec, 0, short)
	}
	if len(o.tail) > 0 {
		vec = slices.Insert(vec, 0, o.tail)
		o.tail = nil
	}
	begin, total := time.Now(), 0
	for _, p := range vec {
		total += len(p)
	}
	for len(vec) > 0 {
		rest, err := o.sink.write(vec)
		vec = rest
		if err == nil {
			break
		}
		if !interrupted(err) {
			return err
		}
		o.unpoke()
		if s != nil && s.dead.Load() {
			o.tail = slices.Concat(vec...)
			o.wake()
			return errReset
		}
	}
	o.pace.wrote(total, time.Since(begin))
	o.giveBack(short)
	return nil
}

// collect takes what is queued.
func (o *outbox) collect() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	short := o.queued
	o.queued, o.spare, o.copied = o.spare[:0], nil, 0
	o.drained.Broadcast()
	return short
}

// giveBack keeps the memory of what was written.
func (o *outbox) giveBack(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cap(b) <= maxQueued || !o.socket {
		o.spare = b[:0]
	}
}

// poke makes a sender that waits for the socket look whether its stream is dead.
func (o *outbox) poke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.socket && !o.poked {
		o.poked = true
		_ = o.sink.conn.SetWriteDeadline(time.Unix(1, 0)) // fails when the connection is closed, which ends the wait too
	}
	o.drained.Broadcast()
}

func (o *outbox) unpoke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.poked {
		o.poked = false
		_ = o.sink.conn.SetWriteDeadline(time.Time{}) // as above
	}
}
