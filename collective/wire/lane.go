package wire

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"vgid/collective/frame"
)

// lane implements frame.Lane: to every peer memory that the two share, or a gRPC stream
// of its own on the peer's connection, with a window of its own, opened when it is first
// used.
type lane struct {
	t      *transport
	id     uint32
	ends   []atomic.Pointer[laneEnd] // by rank; nil until used
	closed atomic.Bool
}

var (
	errBroken     = errors.New("the transport is broken")
	errLost       = errors.New("the connection is closed")
	errLaneClosed = errors.New("this end has closed the lane")
)

// Lane implements frame.Transport.
func (t *transport) Lane(id uint32) frame.Lane { return t.lane(id) }

func (t *transport) lane(id uint32) *lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[id]
	if l == nil {
		l = &lane{t: t, id: id, ends: make([]atomic.Pointer[laneEnd], t.size)}
		t.lanes[id] = l
	}
	return l
}

// end gives this rank's end of the lane to a peer, once it is open.
func (l *lane) end(peer int) (*laneEnd, error) {
	if e := l.ends[peer].Load(); e != nil {
		return e, nil
	}
	e := l.t.link(peer).lane(l.id)
	if err := e.await(); err != nil {
		return nil, err
	}
	l.ends[peer].Store(e)
	return e, nil
}

// Send implements frame.Lane.
func (l *lane) Send(to int, h *frame.Header, payload []byte, sent *frame.Inflight) error {
	e, err := l.end(to)
	if err != nil {
		sent.Done()
	} else if err = e.s.send(h, payload, sent); err == nil {
		return nil
	}
	return fmt.Errorf("send to rank %d: %w", to, plain(err))
}

// Recv implements frame.Lane.
func (l *lane) Recv(from int) (*frame.Frame, error) {
	e, err := l.end(from)
	if err == nil {
		var f *frame.Frame
		if f, err = e.s.recv(); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("receive from rank %d: %w", from, plain(err))
}

// Close implements frame.Lane.
func (l *lane) Close() error {
	l.closed.Store(true)
	for p := range l.ends {
		if e := l.ends[p].Load(); e != nil {
			e.close()
		}
	}
	return nil
}

// laneEnd is this rank's end of one lane to one peer.
//
// What must always hold: the higher rank of a pair opens it, as memory or as a stream, once,
// whichever of the two uses the lane first; s is set before opened closes; and
// the stream ends with Break, with the link, or when this end has closed it and
// what it sent is on its way.
type laneEnd struct {
	l       *link
	id      uint32
	opening sync.Once
	opened  chan struct{} // closed when s or err is set
	s       frames
	err     error
	closing sync.Once
	closed  chan struct{} // closed when this end uses the lane no more
}

// lane gives the end of a lane, which may not be open yet.
func (l *link) lane(id uint32) *laneEnd {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.lanes[id]
	if e == nil {
		e = &laneEnd{l: l, id: id, opened: make(chan struct{}), closed: make(chan struct{})}
		l.lanes[id] = e
	}
	return e
}

// await opens the stream, or asks the peer to and waits for it.
func (e *laneEnd) await() error {
	t := e.l.t
	if err := e.l.await(); err != nil {
		return err
	}
	if e.l.peer < t.cfg.Rank {
		e.open()
	} else {
		select {
		case <-e.opened:
		default:
			e.l.ask(e.id)
		}
	}
	select {
	case <-e.opened:
		return e.err
	case <-e.closed:
		return errLaneClosed
	case <-t.dataCtx.Done():
		return errBroken
	case <-e.l.closedByPeer:
		return errLost
	}
}

// open is the calling end's part; it returns when the stream is open or has
// failed.
func (e *laneEnd) open() {
	e.opening.Do(func() {
		defer close(e.opened)
		t := e.l.t
		if near := e.l.nearby(); near != nil {
			if m, err := near.Open(t.dataCtx, e.id); err == nil {
				e.s = memoryLane{m}
				return
			} // the peer has no room for a mapping, or says below why it wants none
		}
		s, _, err := t.open(t.dataCtx, t.dataCtx, e.l, e.l.conn, laneName, laneKey, strconv.FormatUint(uint64(e.id), 10))
		if err != nil {
			e.err = err
			return
		}
		e.s = s
	})
}

// close ends this end of the stream behind what it has sent.
func (e *laneEnd) close() {
	e.closing.Do(func() {
		close(e.closed)
		e.s.leave()
	})
}

// acceptLane is the handler of a lane's stream: a stream of a server ends when
// its handler returns.
func (t *transport) acceptLane(s incoming) error {
	l, err := t.admit(s)
	if err != nil {
		t.refuse(err)
		return err
	}
	md := s.asked()
	id, err := strconv.ParseUint(one(md, laneKey), 10, 32)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "rank %d opens lane %q, which is no number", l.peer, one(md, laneKey))
	}
	if t.lane(uint32(id)).closed.Load() {
		return status.Errorf(codes.FailedPrecondition, "rank %d has closed lane %d", t.cfg.Rank, id)
	}
	e := l.lane(uint32(id))
	first := false
	e.opening.Do(func() {
		e.s, first = s, true
		close(e.opened)
	})
	if !first {
		return status.Errorf(codes.AlreadyExists, "rank %d has opened lane %d already", l.peer, id)
	}
	select {
	case <-e.closed:
	case <-s.gone():
	case <-t.dataCtx.Done():
	}
	return nil
}
