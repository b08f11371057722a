package wire

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"vgid/collective/wire/internal/shm"
)

const (
	serviceName = "vgid.Collective"
	laneName    = "Lane"
	controlName = "Control"
	laneKey     = "vgid-lane"
	version     = "2"
)

// link is the connection to one peer: a stream of control messages, and a
// stream for every lane in use.
//
// What must always hold: a stream is used only after both ends have proven the
// token and agreed on job, size, epoch and ranks; each stream has one sender
// and one receiver at this end, for gRPC allows no more, and the order of
// frames is the order of sending; control messages pass frames that wait for
// credit; the loss of the control stream is told once, and is the loss of the
// peer; and breaking the lanes leaves the control stream, over which the peer
// learns why.
type link struct {
	t            *transport
	peer         int
	calling      sync.Once     // of the rank that calls
	knocking     sync.Once     // of the other
	opened       chan struct{} // closed when control is set, or err
	err          error         // why calling failed
	conn         caller        // of the calling end; guarded by t.mu, like control
	control      stream
	near         *shm.Conn     // where the two share memory; guarded by t.mu
	ended        chan struct{} // closed to let the accepting end's handler return: a stream of a server ends with its handler
	notes        chan note
	flush        chan struct{} // closed: send what is queued, then stop
	flushed      chan struct{} // closed: all notes were sent
	closedByPeer chan struct{} // closed: the peer's control stream ended

	mu    sync.Mutex
	lanes map[uint32]*laneEnd
}

func newLink(t *transport, peer int) *link {
	return &link{
		t: t, peer: peer, opened: make(chan struct{}), notes: make(chan note, 64),
		ended: make(chan struct{}), lanes: map[uint32]*laneEnd{},
		flush: make(chan struct{}), flushed: make(chan struct{}), closedByPeer: make(chan struct{}),
	}
}

// hello is what an end says of itself. It is compared before the first frame,
// where a disagreement can still be told in words; a frame would only be
// refused.
func (t *transport) hello() metadata.MD {
	door := ""
	if t.door != nil {
		door = t.door.name
	}
	return metadata.Pairs(memoryKey, door, "vgid-version", version, "vgid-job", t.cfg.Job, "vgid-size", strconv.Itoa(t.size),
		"vgid-epoch", strconv.FormatUint(t.cfg.Epoch, 10), "vgid-rank", strconv.Itoa(t.cfg.Rank))
}

// disagreement compares what the peer says of itself with this end.
func (t *transport) disagreement(md metadata.MD) error {
	mine := t.hello()
	for _, k := range []string{"vgid-version", "vgid-job", "vgid-size", "vgid-epoch"} {
		if got, want := one(md, k), mine.Get(k)[0]; got != want {
			return fmt.Errorf("%s differs: rank %d has %q, rank %s has %q", k[len("vgid-"):], t.cfg.Rank, want, calledRank(md), got)
		}
	}
	return nil
}

// calledRank is the rank that the peer calls itself, quoted where it is no number.
func calledRank(md metadata.MD) string {
	said := one(md, "vgid-rank")
	if _, err := strconv.ParseUint(said, 10, 32); err != nil {
		return strconv.Quote(said)
	}
	return said
}

// one is the value of a key that has exactly one.
func one(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) == 1 {
		return v[0]
	}
	return ""
}

// acceptControl is the handler of control streams; it keeps the stream open
// until this end or the peer is done.
func (t *transport) acceptControl(s incoming) error {
	l, err := t.admit(s)
	if err == nil {
		err = l.open(nil, s)
	}
	if err != nil {
		t.refuse(err)
		return err
	}
	select {
	case <-l.ended:
	case <-l.closedByPeer:
	case <-s.gone():
	case <-t.ctx.Done():
	}
	return nil
}

// admit compares a calling rank with this one and gives its link.
func (t *transport) admit(s incoming) (*link, error) {
	md := s.asked()
	if err := t.disagreement(md); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	peer, err := strconv.Atoi(one(md, "vgid-rank"))
	if to := one(md, "vgid-to"); err != nil || peer <= t.cfg.Rank || peer >= t.size || to != strconv.Itoa(t.cfg.Rank) {
		return nil, status.Errorf(codes.FailedPrecondition, "rank %q calls rank %q, this is rank %d of %d: check the list of peers", one(md, "vgid-rank"), to, t.cfg.Rank, t.size)
	}
	if err := t.suits(s.certificate(), peer); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	// The answer goes out at once: until then the caller's gRPC holds back.
	return t.link(peer), s.answer(t.hello())
}

// link is the link to a peer, which may not be open yet.
func (t *transport) link(peer int) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.links[peer] == nil {
		t.links[peer] = newLink(t, peer)
	}
	return t.links[peer]
}

// open takes the control stream, once: a second one of a higher rank means that
// two processes believe to be the same rank, and none of them can be trusted.
func (l *link) open(conn caller, s stream) error {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case l.control != nil:
		return status.Errorf(codes.AlreadyExists, "rank %d is connected already: two processes have one rank", l.peer)
	case t.closing:
		return status.Errorf(codes.Unavailable, "rank %d is leaving", t.cfg.Rank)
	case l.err != nil:
		return status.Errorf(codes.Unavailable, "rank %d has given up the connection: %v", t.cfg.Rank, l.err)
	}
	l.conn, l.control = conn, s
	t.tasks.Go(l.readNotes)
	t.tasks.Go(l.writeNotes)
	close(l.opened)
	return nil
}

// isOpen reports whether there is a connection.
func (l *link) isOpen() bool {
	select {
	case <-l.opened:
		return l.err == nil
	default:
		return false
	}
}

// fail says why there is no link, unless there is one by now.
func (l *link) fail(err error) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	select {
	case <-l.opened:
	default:
		l.err = err
		close(l.opened)
	}
}

// await opens the link, if it is this rank that calls, or has the peer call.
func (l *link) await() error {
	if l.peer < l.t.cfg.Rank {
		l.call(l.t.dataCtx)
	} else if !l.isOpen() {
		l.knocking.Do(func() { l.t.begin(l.knock) })
	}
	select {
	case <-l.opened:
		return l.err
	case <-l.t.dataCtx.Done():
		return errBroken
	}
}

// call opens the link to a lower rank, within ctx.
func (l *link) call(ctx context.Context) {
	l.calling.Do(func() {
		t := l.t
		conn, err := t.ends.dial(l.peer)
		if err == nil {
			var control stream
			var answer metadata.MD
			if control, answer, err = t.open(ctx, t.ctx, l, conn, controlName); err == nil {
				t.meet(ctx, l, answer)
				err = l.open(conn, control)
			}
			if err != nil {
				t.part(conn)
			}
		}
		if err != nil {
			l.fail(fmt.Errorf("wire: rank %d calls rank %d at %s: %w", t.cfg.Rank, l.peer, t.cfg.Peers[l.peer], err))
		}
	})
}

// open starts a stream to a lower rank and compares the two ends. The stream lives as long as
// life; ctx only bounds the wait.
func (t *transport) open(ctx, life context.Context, l *link, conn caller, name string, more ...string) (stream, metadata.MD, error) {
	md := metadata.Join(t.hello(), metadata.Pairs("vgid-to", strconv.Itoa(l.peer)), metadata.Pairs(more...))
	s, answer, err := conn.open(ctx, life, name, md)
	if err != nil {
		return nil, nil, plain(err)
	}
	err = t.disagreement(answer)
	if err == nil && one(answer, "vgid-rank") != strconv.Itoa(l.peer) {
		err = fmt.Errorf("rank %s answers there: check the list of peers", calledRank(answer))
	}
	if err != nil {
		s.reset()
		return nil, nil, err
	}
	return s, answer, nil
}

// readNotes passes control messages to the watcher until the peer is gone.
func (l *link) readNotes() {
	defer close(l.closedByPeer)
	for {
		m, err := l.control.recvNote()
		if err != nil {
			l.t.Lost(l.peer, plain(err))
			return
		}
		if m.kind == noteMessage {
			l.t.Heard(l.peer, m.b)
		} else if id := m.lane(); l.peer < l.t.cfg.Rank {
			l.t.tasks.Go(l.lane(id).open)
		}
	}
}

// ask asks the peer, which is the one that opens streams, to open a lane.
func (l *link) ask(lane uint32) {
	select {
	case l.notes <- askForLane(lane):
	case <-l.t.dataCtx.Done():
	case <-l.closedByPeer:
	}
}

// writeNotes is the only sender on the control stream: gRPC allows one, and
// notices come from the heartbeat, from calls and from Close.
func (l *link) writeNotes() {
	defer close(l.flushed)
	for {
		select {
		case b := <-l.notes:
			if l.control.sendNote(b) != nil {
				return // the reader learns the reason
			}
		case <-l.t.ctx.Done():
			return
		case <-l.flush:
			for {
				select {
				case b := <-l.notes:
					if l.control.sendNote(b) != nil {
						return
					}
				default:
					if l.peer < l.t.cfg.Rank { // the accepting end's stream ends with its handler
						l.control.closeSend()
					}
					return
				}
			}
		}
	}
}

// finish sends what is queued and, until grace closes, waits for the peer's
// end of the control stream.
func (l *link) finish(grace <-chan struct{}) {
	close(l.flush)
	select {
	case <-l.flushed:
	case <-grace:
		return
	}
	close(l.ended)
	select {
	case <-l.closedByPeer:
	case <-grace:
	}
}
