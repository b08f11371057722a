package wire

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"vgid/collective/frame"
)

const (
	// window lets both directions run without waiting for credit.
	window   = 16 << 20
	ioBuffer = 1 << 20
	maxFrame = maxPayload + frame.HeaderSize
)

// stock is the endpoint of grpc-go.
type stock struct {
	t      *transport
	server *grpc.Server
}

// newStock answers callers from now on.
func newStock(t *transport, door *gate) endpoint {
	// Static windows: gRPC would begin with 64 KiB and grow them by what it measures.
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(codec{}), experimental.BufferPool(receivePool),
		grpc.MaxRecvMsgSize(maxFrame), grpc.MaxSendMsgSize(maxFrame),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.ReadBufferSize(ioBuffer), grpc.WriteBufferSize(ioBuffer),
		grpc.WaitForHandlers(true),
		grpc.Creds(t.listening()), grpc.ConnectionTimeout(proveWithin),
	)
	// Described by hand: the streams carry bytes of ours and no protobuf, so that there
	// is nothing to generate.
	service := &grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil)}
	for name, handle := range t.handlers() {
		service.Streams = append(service.Streams, grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, s grpc.ServerStream) error {
				return handle(&stockIncoming{stockStream{grpcStream: s}, s})
			}})
	}
	s.RegisterService(service, t)
	t.tasks.Go(func() { _ = s.Serve(door) }) // its error is the end of the streams
	return &stock{t, s}
}

// stop lets gRPC drain.
func (k *stock) stop(grace context.Context) {
	stop := context.AfterFunc(grace, k.server.Stop)
	k.server.GracefulStop()
	stop()
}

// dial gives a connection with windows, buffers and limits as newStock's, or one
// direction would be slower than the other.
func (k *stock) dial(peer int) (caller, error) {
	t := k.t
	refused, refuse := context.WithCancelCause(context.Background())
	conn, err := grpc.NewClient("passthrough:///"+t.cfg.Peers[peer],
		grpc.WithTransportCredentials(t.calling(peer, refuse)), experimental.WithBufferPool(receivePool),
		grpc.WithNoProxy(), // HTTPS_PROXY of the cluster is not meant for ranks
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithReadBufferSize(ioBuffer), grpc.WithWriteBufferSize(ioBuffer),
		// Peers start at different times: ask again soon.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: askFirst, Multiplier: 1.5, Jitter: 0.2, MaxDelay: askMost},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(codec{}), grpc.WaitForReady(true),
			grpc.MaxCallRecvMsgSize(maxFrame), grpc.MaxCallSendMsgSize(maxFrame),
			// Kept for a retry, messages up to 256 KiB would not be released
			// until the server answers.
			grpc.MaxRetryRPCBufferSize(0),
		))
	if err != nil {
		return nil, err
	}
	return &stockCaller{t, conn, refused}, nil
}

type stockCaller struct {
	t       *transport
	conn    *grpc.ClientConn
	refused context.Context // done when the two ends cannot meet, which gRPC tries again
}

func (c *stockCaller) close(context.Context) error { return c.conn.Close() }

func (c *stockCaller) open(ctx, life context.Context, name string, md metadata.MD) (stream, metadata.MD, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(c.refused, func() { end(context.Cause(c.refused)) })()
	own, cancel := context.WithCancel(metadata.NewOutgoingContext(life, md))
	giveUp := context.AfterFunc(ctx, cancel)
	s, err := c.conn.NewStream(own, &grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true}, methodPath(name))
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
	if !giveUp() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		if ctx.Err() != nil {
			err = cause(ctx, stateWords(c.conn.GetState()))
		}
		return nil, nil, err
	}
	return &stockStream{grpcStream: s, cancel: cancel, client: s, tasks: &c.t.tasks}, answer, nil
}

// grpcStream is what both ends of a gRPC stream have in common.
type grpcStream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// stockStream is a stream of grpc-go; client and what follows are nil at the accepting
// end, where a stream ends when its handler returns.
type stockStream struct {
	grpcStream
	client grpc.ClientStream
	cancel context.CancelFunc
	tasks  *sync.WaitGroup
}

// send returns when gRPC has taken the frame, which is before it has left.
func (s *stockStream) send(h *frame.Header, payload []byte, sent *frame.Inflight) error {
	m := &outFrame{header: h, payload: payload, sent: sent}
	err := s.SendMsg(m)
	if err != nil && !m.taken {
		sent.Done()
	}
	return err
}

func (s *stockStream) recv() (*frame.Frame, error) {
	var m inFrame
	err := s.RecvMsg(&m)
	return &m.frame, err
}

func (s *stockStream) sendNote(n note) error { return s.SendMsg(&n) }

func (s *stockStream) recvNote() (n note, err error) { return n, s.RecvMsg(&n) }

func (s *stockStream) closeSend() {
	if s.client != nil {
		_ = s.client.CloseSend() // never fails; errors show in RecvMsg
	}
}

// leave has to read until the peer ends the stream as well, or gRPC keeps it.
func (s *stockStream) leave() {
	if s.client == nil {
		return
	}
	s.closeSend()
	s.tasks.Go(func() {
		for {
			f, err := s.recv()
			if err != nil {
				return
			}
			f.Release()
		}
	})
}

func (s *stockStream) reset() {
	if s.cancel != nil {
		s.cancel()
	}
}

type stockIncoming struct {
	stockStream
	server grpc.ServerStream
}

func (s *stockIncoming) asked() metadata.MD {
	md, _ := metadata.FromIncomingContext(s.server.Context())
	return md
}

func (s *stockIncoming) certificate() *x509.Certificate {
	p, _ := peer.FromContext(s.server.Context()) // every stream has one
	return p.AuthInfo.(proven).certificate
}

func (s *stockIncoming) answer(md metadata.MD) error { return s.server.SendHeader(md) }
func (s *stockIncoming) gone() <-chan struct{}       { return s.server.Context().Done() }
