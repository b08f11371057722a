package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	serviceName = "vgid.Collective"
	dataName    = "Frames"
	controlName = "Control"
	version     = "1"
)

// stream is what both ends of a gRPC stream have in common.
type stream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// link is the pair of streams to one peer.
//
// What must always hold: a stream is used only after both ends have proven the
// token and agreed on job, size, epoch and ranks; each stream has one sender
// and one receiver at this end, for gRPC allows no more, and the order of
// frames is the order of sending; control messages pass frames that wait for
// credit; the loss of the control stream is told once, and is the loss of the
// peer; and breaking the stream of frames leaves the control stream, over which
// the peer learns why.
type link struct {
	t             *transport
	peer          int
	conn          *grpc.ClientConn // of the calling end
	data, control stream
	ended         chan struct{} // closed to let the accepting end's handlers return: a stream of a server ends with its handler
	dataEnded     chan struct{} // closed to drop the stream of frames
	cancelData    context.CancelFunc
	breaking      sync.Once
	notes         chan []byte
	flush         chan struct{} // closed: send what is queued, then stop
	flushed       chan struct{} // closed: all notes were sent
	closedByPeer  chan struct{} // closed: the peer's control stream ended
}

func newLink(t *transport, peer int) *link {
	return &link{
		t: t, peer: peer, notes: make(chan []byte, 16),
		ended: make(chan struct{}), dataEnded: make(chan struct{}), cancelData: func() {},
		flush: make(chan struct{}), flushed: make(chan struct{}), closedByPeer: make(chan struct{}),
	}
}

// service describes both streams by hand: they carry bytes of ours and no protobuf, so that
// there is nothing to generate.
func (t *transport) service() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		{StreamName: dataName, ServerStreams: true, ClientStreams: true, Handler: t.accept},
		{StreamName: controlName, ServerStreams: true, ClientStreams: true, Handler: t.accept},
	}}
}

// hello is what an end says of itself. It is compared before the first frame,
// where a disagreement can still be told in words; a frame would only be
// refused.
func (t *transport) hello() metadata.MD {
	return metadata.Pairs("vgid-version", version, "vgid-job", t.cfg.Job, "vgid-size", strconv.Itoa(t.size),
		"vgid-epoch", strconv.FormatUint(t.cfg.Epoch, 10), "vgid-rank", strconv.Itoa(t.cfg.Rank))
}

// disagreement compares what the peer says of itself with this end.
func (t *transport) disagreement(md metadata.MD) error {
	mine := t.hello()
	for _, k := range []string{"vgid-version", "vgid-job", "vgid-size", "vgid-epoch"} {
		if got, want := one(md, k), mine.Get(k)[0]; got != want {
			return fmt.Errorf("%s differs: rank %d has %q, rank %s has %q", k[len("vgid-"):], t.cfg.Rank, want, one(md, "vgid-rank"), got)
		}
	}
	return nil
}

// one is the value of a key that has exactly one.
func one(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) == 1 {
		return v[0]
	}
	return ""
}

// accept is the handler of both streams; it keeps the stream open until this
// end or the peer is done.
func (t *transport) accept(_ any, s grpc.ServerStream) error {
	l, err := t.admit(s)
	if err != nil {
		t.refuse(err)
		return err
	}
	select { // wake Connect
	case t.arrived <- struct{}{}:
	default:
	}
	ended, left := l.ended, l.closedByPeer
	if method, _ := grpc.MethodFromServerStream(s); method == methodPath(dataName) {
		ended, left = l.dataEnded, nil
	}
	select {
	case <-ended:
	case <-left:
	case <-s.Context().Done():
	case <-t.ctx.Done():
	}
	return nil
}

// admit takes the stream of a higher rank, once: a second one means that two
// processes believe to be the same rank, and none of them can be trusted.
func (t *transport) admit(s grpc.ServerStream) (*link, error) {
	md, _ := metadata.FromIncomingContext(s.Context())
	if err := t.disagreement(md); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	peer, err := strconv.Atoi(one(md, "vgid-rank"))
	if to := one(md, "vgid-to"); err != nil || peer <= t.cfg.Rank || peer >= t.size || to != strconv.Itoa(t.cfg.Rank) {
		return nil, status.Errorf(codes.FailedPrecondition, "rank %q calls rank %q, this is rank %d of %d: check the list of peers", one(md, "vgid-rank"), to, t.cfg.Rank, t.size)
	}
	l := t.links[peer]
	// The answer goes out at once: until then the caller's gRPC holds back.
	if err := s.SendHeader(t.hello()); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := &l.data
	if method, _ := grpc.MethodFromServerStream(s); method == methodPath(controlName) {
		slot = &l.control
	}
	if *slot != nil {
		return nil, status.Errorf(codes.AlreadyExists, "rank %d is connected already: two processes have one rank", peer)
	}
	*slot = s
	return l, nil
}

// methodPath is how gRPC names a stream of the service.
func methodPath(name string) string { return "/" + serviceName + "/" + name }

// dial opens both streams to a lower rank.
func (t *transport) dial(ctx context.Context, peer int) error {
	fail := func(err error) error {
		return fmt.Errorf("wire: rank %d calls rank %d at %s: %w", t.cfg.Rank, peer, t.cfg.Peers[peer], err)
	}
	conn, err := grpc.NewClient("passthrough:///"+t.cfg.Peers[peer], t.dialOptions()...)
	if err != nil {
		return fail(err)
	}
	l := t.links[peer]
	l.conn = conn
	data, dropData, err := t.open(ctx, conn, peer, dataName)
	if err != nil {
		return fail(err)
	}
	l.cancelData = dropData
	control, _, err := t.open(ctx, conn, peer, controlName)
	if err != nil {
		return fail(err)
	}
	t.mu.Lock()
	l.data, l.control = data, control
	t.mu.Unlock()
	return nil
}

// open starts a stream and compares the two ends. The stream outlives ctx,
// which only bounds the wait.
func (t *transport) open(ctx context.Context, conn *grpc.ClientConn, peer int, name string) (grpc.ClientStream, context.CancelFunc, error) {
	md := t.hello()
	md.Set("vgid-to", strconv.Itoa(peer))
	own, cancel := context.WithCancel(metadata.NewOutgoingContext(t.ctx, md))
	giveUp := context.AfterFunc(ctx, cancel)
	s, err := conn.NewStream(own, &grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true}, methodPath(name))
	var answer metadata.MD
	if err == nil {
		answer, err = s.Header()
		// A refused stream has no header; its reason is the stream's status.
		if err == nil && len(answer.Get("vgid-rank")) == 0 {
			err = s.RecvMsg(&note{})
			if err == nil || errors.Is(err, io.EOF) {
				err = errors.New("the answer names no rank")
			}
		}
	}
	if err == nil {
		err = t.disagreement(answer)
	}
	if err == nil && one(answer, "vgid-rank") != strconv.Itoa(peer) {
		err = fmt.Errorf("rank %s answers there: check the list of peers", one(answer, "vgid-rank"))
	}
	if !giveUp() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), lastTrouble(conn))
		}
		return nil, nil, err
	}
	return s, cancel, nil
}

// lastTrouble says in which state a connection was given up.
func lastTrouble(conn *grpc.ClientConn) error {
	return fmt.Errorf("connection is %v", conn.GetState())
}

// breakData drops the stream of frames, which ends SendMsg and RecvMsg on it.
func (l *link) breakData() {
	l.breaking.Do(func() {
		l.cancelData()
		close(l.dataEnded)
	})
}

// readNotes passes control messages to the watcher until the peer is gone.
func (l *link) readNotes() {
	defer close(l.closedByPeer)
	for {
		var m note
		if err := l.control.RecvMsg(&m); err != nil {
			l.t.event(func() { l.t.lost(l.peer, err) })
			return
		}
		l.t.event(func() { l.t.heard(l.peer, m.b) })
	}
}

// writeNotes is the only sender on the control stream: gRPC allows one, and
// notices come from the heartbeat, from calls and from Close.
func (l *link) writeNotes() {
	defer close(l.flushed)
	for {
		select {
		case b := <-l.notes:
			if l.control.SendMsg(&note{b}) != nil {
				return // the reader learns the reason
			}
		case <-l.t.ctx.Done():
			return
		case <-l.flush:
			for {
				select {
				case b := <-l.notes:
					if l.control.SendMsg(&note{b}) != nil {
						return
					}
				default:
					if c, ok := l.control.(grpc.ClientStream); ok {
						_ = c.CloseSend() // never fails; errors show in RecvMsg
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
