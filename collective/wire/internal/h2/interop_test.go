package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// plain is a codec for messages that are bytes.
type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(slices.Clone(*v.(*[]byte)))}, nil
}

func (plain) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

const stockWindow = 1 << 20

// stockServer is grpc-go with one service: Echo answers each message with itself, Refuse
// with a status.
func stockServer(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(plain{}), grpc.StaticStreamWindowSize(stockWindow), grpc.StaticConnWindowSize(stockWindow),
		grpc.MaxRecvMsgSize(16<<20), grpc.WaitForHandlers(true))
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.S", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		{StreamName: "Echo", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			md, _ := metadata.FromIncomingContext(s.Context())
			if err := s.SendHeader(metadata.Pairs("said", md.Get("say")[0])); err != nil {
				return err
			}
			for {
				var b []byte
				if err := s.RecvMsg(&b); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(&b); err != nil {
					return err
				}
			}
		}},
		{StreamName: "Refuse", ServerStreams: true, ClientStreams: true, Handler: func(any, grpc.ServerStream) error {
			return status.Error(codes.FailedPrecondition, "nicht heute: 5 %")
		}},
	}}, nil)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-served
	})
	return l.Addr().String()
}

var sizes = []int{0, 1, 5, 16379, 16384, 100_000, 1 << 20, 4<<20 + 3, 0, 7}

// This package calls grpc-go.
func TestStockServer(t *testing.T) {
	nc, err := net.Dial("tcp", stockServer(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := Client(ctx, nc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer part(c)
	for range 2 {
		s, err := c.Open("/test.S/Echo", metadata.Pairs("say", "hello"))
		if err != nil {
			t.Fatal(err)
		}
		if md, err := s.Header(ctx); err != nil || !slices.Equal(md.Get("said"), []string{"hello"}) {
			t.Fatalf("%v, %v", md, err)
		}
		say, hear := exchange(s, s, 1, len(sizes), func(k int) int { return sizes[k] })
		if err := together(say, hear); err != nil {
			t.Fatal(err)
		}
		s.CloseSend()
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	s, err := c.Open("/test.S/Refuse", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Header(ctx); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "nicht heute: 5 %" {
		t.Error(err)
	}
	s, err = c.Open("/test.S/Unknown", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	s, err = c.Open("/test.S/Echo", metadata.Pairs("say", ""))
	if err != nil {
		t.Fatal(err)
	}
	s.Reset()
	if _, err := s.Recv(); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}

// grpc-go calls this package.
func TestStockClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	canceled := make(chan error, 1)
	served := make(chan error, 1)
	var server *Conn
	go func() {
		nc, err := l.Accept()
		l.Close()
		if err != nil {
			served <- err
			return
		}
		server, err = Serve(ctx, nc, Options{}, func(s *Stream) {
			if s.Method() == "/test.S/Refuse" {
				s.Refuse(status.Error(codes.FailedPrecondition, "nicht heute: 5 %"))
				return
			}
			md, _ := s.Header(ctx)
			if err := s.SendHeader(metadata.Pairs("said", md.Get("say")[0])); err != nil {
				t.Error(err)
			}
			for k := 0; ; k++ {
				b, err := read(s, k)
				if errors.Is(err, io.EOF) {
					s.CloseSend()
					return
				}
				if err != nil {
					canceled <- err
					return
				}
				if err := s.Send(b[:len(b)/2], b[len(b)/2:]); err != nil {
					t.Error(err)
					return
				}
			}
		})
		served <- err
	}()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(stockWindow), grpc.WithStaticConnWindowSize(stockWindow), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(plain{}), grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	open := func(ctx context.Context, name string) grpc.ClientStream {
		s, err := conn.NewStream(metadata.AppendToOutgoingContext(ctx, "say", "hello"),
			&grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true}, "/test.S/"+name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(ctx, "Echo")
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	defer func() { part(server) }()
	if md, err := s.Header(); err != nil || !slices.Equal(md.Get("said"), []string{"hello"}) {
		t.Fatalf("%v, %v", md, err)
	}
	err = together(func() error {
		for k, n := range sizes {
			b := content(1, k, n)
			if err := s.SendMsg(&b); err != nil {
				return err
			}
		}
		return s.CloseSend()
	}, func() error {
		for k, n := range sizes {
			var b []byte
			if err := s.RecvMsg(&b); err != nil {
				return err
			}
			if !slices.Equal(b, content(1, k, n)) {
				t.Errorf("message %d of %d bytes is another, want %d bytes", k, len(b), n)
			}
		}
		var b []byte
		if err := s.RecvMsg(&b); !errors.Is(err, io.EOF) {
			return errors.Join(errors.New("a message more"), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	if err := open(ctx, "Refuse").RecvMsg(&b); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "nicht heute: 5 %" {
		t.Error(err)
	}
	own, stop := context.WithCancel(ctx)
	if _, err := open(own, "Echo").Header(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-canceled; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}
