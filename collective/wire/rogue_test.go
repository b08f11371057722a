package wire

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"vgid/collective"
	"vgid/collective/frame"
	"vgid/collective/mtls"
)

// rogue plays a rank over a socket, by HTTP/2 frames of its own, so that it can say what no rank says.
type rogue struct {
	t    testing.TB
	conn net.Conn
	fr   *http2.Framer
	enc  *hpack.Encoder
	head bytes.Buffer
	next uint32 // stream

	mu      sync.Mutex
	data    map[uint32][]byte // that came, by stream
	refusal map[uint32]string // grpc-message, by stream
	bye     string            // of GOAWAY
	changed *sync.Cond
	over    bool
}

// visit calls a rank, proves the token, and begins HTTP/2. When the other end leaves, so does the
// rogue: others would have to wait for it.
func visit(t testing.TB, addr, token string, id *mtls.Identity) (*rogue, error) {
	socket, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { socket.Close() })
	g := guard{token: []byte(token), tls: id, suits: func(*x509.Certificate) error { return nil }, refused: func(error) {}, differs: func(error) {}}
	c, _, err := g.ClientHandshake(context.Background(), "", socket)
	if err != nil {
		return nil, err
	}
	r := &rogue{t: t, conn: c, fr: http2.NewFramer(c, c), next: 1, data: map[uint32][]byte{}, refusal: map[uint32]string{}}
	r.changed = sync.NewCond(&r.mu)
	r.enc = hpack.NewEncoder(&r.head)
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	r.say(r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 16 << 20}))
	r.say(r.fr.WriteWindowUpdate(0, 1<<30))
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.listen()
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return r, nil
}

// enter visits a rank as rank 1, and opens a lane when the rank has said something on that or of
// itself. On a busy machine the two seconds may be over in which a caller has to have proven itself:
// as ranks do, it calls again.
func enter(t testing.TB, v *victim, id *mtls.Identity, number string) (r *rogue, lane uint32, err error) {
	for range 20 {
		if r, err = visit(t, v.addr, "secret", id); err != nil {
			continue
		}
		control := r.open(controlName, hello("prey", 2, 3, 1, 0)...)
		lane = r.open(laneName, append(hello("prey", 2, 3, 1, 0), laneKey, number)...)
		if r.until(func() bool { return len(r.data[control]) > 0 }) {
			return r, lane, nil
		}
		err = fmt.Errorf("the rank has left: %v, %q", r.refusal, r.bye)
	}
	return nil, 0, err
}

// say ignores that the other end has left: what it thinks of this one is what is asked.
func (r *rogue) say(error) {}

// listen keeps what the other end says.
func (r *rogue) listen() {
	fr := http2.NewFramer(nil, r.conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.SetMaxReadFrameSize(4 << 20)
	for {
		f, err := fr.ReadFrame()
		r.mu.Lock()
		switch f := f.(type) {
		case *http2.DataFrame:
			r.data[f.StreamID] = append(r.data[f.StreamID], f.Data()...)
		case *http2.MetaHeadersFrame:
			for _, x := range f.RegularFields() {
				if x.Name == "grpc-message" {
					r.refusal[f.StreamID] = x.Value
				}
			}
			if f.StreamEnded() {
				r.leave(f.StreamID)
			}
		case *http2.GoAwayFrame:
			r.bye = string(f.DebugData())
			r.conn.Close()
		case *http2.RSTStreamFrame:
			r.leave(f.StreamID)
		}
		r.over = err != nil
		r.changed.Broadcast()
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// leave ends the connection when the other end has ended the first stream, of control messages,
// because its job has ended.
func (r *rogue) leave(stream uint32) {
	if stream == 1 {
		r.conn.Close()
	}
}

// until waits for something to be so, or the end of the connection.
func (r *rogue) until(so func() bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	stop := time.AfterFunc(5*time.Minute, func() { r.conn.Close() })
	defer stop.Stop()
	for !so() && !r.over {
		r.changed.Wait()
	}
	return so()
}

// open begins a stream.
func (r *rogue) open(name string, fields ...string) uint32 {
	id := r.next
	r.next += 2
	r.head.Reset()
	fields = append([]string{":method", "POST", ":scheme", "http", ":path", methodPath(name), ":authority", "x", "content-type", "application/grpc", "te", "trailers"}, fields...)
	for i := 0; i < len(fields); i += 2 {
		r.say(r.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	r.say(r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.head.Bytes(), EndHeaders: true}))
	return id
}

// hello is what a rank says of itself.
func hello(job string, size int, epoch uint64, rank, to int) []string {
	return []string{"vgid-version", version, "vgid-job", job, "vgid-size", strconv.Itoa(size), "vgid-epoch", strconv.FormatUint(epoch, 10),
		"vgid-rank", strconv.Itoa(rank), "vgid-to", strconv.Itoa(to)}
}

// message sends a gRPC message.
func (r *rogue) message(stream uint32, b []byte) {
	r.bytes(stream, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...))
}

// bytes sends bytes of a stream.
func (r *rogue) bytes(stream uint32, b []byte) {
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		r.say(r.fr.WriteData(stream, false, b[:n]))
		b = b[n:]
	}
}

// heard gives the header and the payload of the first frame that came of a stream.
func (r *rogue) heard(stream uint32) (h frame.Header, payload []byte) {
	whole := func() bool {
		b := r.data[stream]
		return len(b) >= 5+frame.HeaderSize && len(b) >= 5+int(binary.BigEndian.Uint32(b[1:]))
	}
	if !r.until(whole) {
		r.t.Errorf("no frame came; refused: %v, %q", r.refusal, r.bye)
		return frame.Header{Call: frame.CallBarrier, Length: 64}, make([]byte, 64)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.data[stream]
	h, err := frame.DecodeHeader(b[5:])
	if err != nil {
		r.t.Error(err)
	}
	return h, b[5+frame.HeaderSize:][:h.Length]
}

// victim is rank 0 of two, whose rank 1 is a rogue.
type victim struct {
	addr string
	done chan error // how its job ended
}

// prey starts rank 0, which all-reduces 64 values, in frames of 64 bytes, twice, as soon as a rank 1 has
// come, or for ever waits for a message where it is told to receive.
func prey(t testing.TB, stock bool, id *mtls.Identity, work func(ctx context.Context, c *collective.Comm) error) *victim {
	t.Helper()
	ls, addrs := listen(t, 1)
	v := &victim{addr: addrs[0], done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		v.done <- func() error {
			tr, err := Connect(ctx, Config{Job: "prey", Epoch: 3, Token: "secret", Rank: 0, Peers: []string{addrs[0], "127.0.0.1:1"}, Listener: ls[0], Stock: stock, TLS: id, Timeout: 5 * time.Minute})
			if err != nil {
				return err
			}
			c, err := collective.New(tr, collective.Options{Job: "prey", Epoch: 3, ChunkBytes: 64, Timeout: 5 * time.Minute, Silence: 5 * time.Minute})
			if err != nil {
				return err
			}
			err = work(ctx, c)
			return errors.Join(err, c.Close())
		}()
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return v
}

// reduceTwice is the work of most.
func reduceTwice(ctx context.Context, c *collective.Comm) error {
	v := make([]float32, 64)
	for range 2 {
		if err := c.AllReduce(ctx, collective.F32(v), collective.Sum); err != nil {
			return err
		}
	}
	return nil
}
