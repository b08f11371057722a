package wire

import (
	"context"
	"crypto/x509"

	"google.golang.org/grpc/metadata"

	"vgid/collective/frame"
)

// endpoint speaks gRPC for a transport. There are two: of package h2, which is as fast as
// the socket, and grpc-go's own, which is what the other is measured and tested
// against. On the wire they are one protocol, and ranks may use either. What the
// transport says over its streams, and when, is the same for both.
type endpoint interface {
	// dial prepares the connection to a peer. The first stream opens it.
	dial(peer int) (caller, error)
	// stop ends the connections that callers have opened, when their streams have
	// ended, at the latest when grace is over.
	stop(grace context.Context)
}

// caller is the calling end of a connection.
type caller interface {
	// open begins a stream, waiting for the peer to be there, and gives what it answers.
	// ctx bounds the wait; the stream ends with life.
	open(ctx, life context.Context, name string, md metadata.MD) (stream, metadata.MD, error)
	// close ends the connection: what was sent arrives, unless grace ends first.
	close(grace context.Context) error
}

// frames is one end of a lane to a peer, a stream or memory. One goroutine sends and one
// receives.
type frames interface {
	// send does what frame.Lane's Send promises.
	send(h *frame.Header, payload []byte, sent *frame.Inflight) error
	// recv gives the next frame, which is valid until it is released.
	recv() (*frame.Frame, error)
	// leave says that this end uses the lane no more: what it sent arrives, what
	// comes is dropped.
	leave()
}

// stream is one end of a gRPC stream, of frames or of notes. One goroutine sends and
// one receives.
type stream interface {
	frames
	sendNote(n note) error
	recvNote() (note, error)
	// closeSend says that this end sends no more.
	closeSend()
	// reset ends the stream at once.
	reset()
}

// incoming is a stream that a peer has opened. Its handler returns when this end is done
// with it, with a reason if it refuses the stream.
type incoming interface {
	stream
	asked() metadata.MD
	certificate() *x509.Certificate // that the peer shows; nil without TLS
	answer(md metadata.MD) error
	gone() <-chan struct{} // closed when nothing more can come
}

// handler is what serves the streams of a name.
type handler func(incoming) error

// handlers serve the streams that peers open here.
func (t *transport) handlers() map[string]handler {
	return map[string]handler{laneName: t.acceptLane, controlName: t.acceptControl, knockName: t.acceptKnock}
}

func methodPath(name string) string { return "/" + serviceName + "/" + name }
