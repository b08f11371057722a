package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"vgid/collective"
	"vgid/collective/frame"
	"vgid/collective/mtls"
	"vgid/collective/reduce"
)

// host is a rank 0 of two whose job goes on while strangers call it.
type host struct {
	addr string
	id   *mtls.Identity
	// ends lets the true rank 1 come, which works with it and leaves; it gives the errors of both.
	ends func() error
}

func hosts(t *testing.T, stock bool, id *mtls.Identity) *host {
	t.Helper()
	ls, addrs := listen(t, 2)
	work := func(r int) error {
		tr, err := Connect(context.Background(), Config{Job: "prey", Epoch: 3, Token: "secret", Rank: r, Peers: addrs, Listener: ls[r], Stock: stock, TLS: id, Timeout: 5 * time.Minute})
		if err != nil {
			return err
		}
		c, err := collective.New(tr, collective.Options{Job: "prey", Epoch: 3})
		if err != nil {
			return err
		}
		return errors.Join(c.Barrier(context.Background()), c.Close())
	}
	first := make(chan error, 1)
	go func() { first <- work(0) }()
	h := &host{addr: addrs[0], id: id}
	h.ends = sync.OnceValue(func() error { return errors.Join(work(1), <-first) })
	t.Cleanup(func() { _ = h.ends() })
	return h
}

// each way of a listening rank.
func eachHost(t *testing.T, f func(t *testing.T, h *host)) {
	id := granted(t, ca(t), mtls.Grant{})
	for name, id := range map[string]*mtls.Identity{"grpc": nil, "grpc-stock": nil, "grpc over TLS": id, "grpc-stock over TLS": id} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, hosts(t, strings.HasPrefix(name, "grpc-stock"), id))
		})
	}
}

// Strangers, who do not know the token, are sent away whatever they say, get nothing but a nonce and a
// proof that is worth nothing to them, and neither end the job nor are in its way.
func TestStrangers(t *testing.T) {
	first := append([]byte(mark), make([]byte, helloSize)...) // a hello that offers plain text
	secure := bytes.Clone(first)
	secure[len(mark)] = offersTLS
	strange := bytes.Clone(first)
	strange[len(mark)] = 99
	old := bytes.Clone(first)
	old[len(mark)-1]--
	for name, tc := range map[string]struct {
		say []byte
		get int // bytes
	}{
		"nothing":                       {nil, 0},
		"half a mark":                   {first[:4], 0},
		"another version":               {old, 0},
		"half a hello":                  {first[:20], 0},
		"HTTP/2 at once":                {[]byte(http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"), 0},
		"HTTP/1":                        {[]byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 0},
		"a megabyte of zeros":           {make([]byte, 1<<20), 0},
		"a hello and no proof":          {first, helloSize + 32},
		"a hello and another proof":     {append(bytes.Clone(first), make([]byte, 32)...), helloSize + 32},
		"TLS, and another proof":        {append(bytes.Clone(secure), make([]byte, 32)...), helloSize + 32},
		"an offer that nobody makes":    {append(bytes.Clone(strange), make([]byte, 32)...), helloSize + 32},
		"HTTP/2 in place of the proof":  {append(bytes.Clone(first), http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"...), helloSize + 32},
		"a hello and a megabyte of 255": {append(bytes.Clone(first), bytes.Repeat([]byte{255}, 1<<20)...), helloSize + 32},
	} {
		t.Run(name, func(t *testing.T) {
			eachHost(t, func(t *testing.T, h *host) {
				call := func() int {
					c, err := net.Dial("tcp", h.addr)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					_, _ = c.Write(tc.say)                         // it may be refused before the end
					_ = c.(*net.TCPConn).CloseWrite()              // so may this
					got, _ := io.ReadAll(io.LimitReader(c, 4<<10)) // reset where it had more to say
					return len(got)
				}
				// A busy machine may take longer to answer than a stranger is given.
				got := call()
				for range 20 {
					if got != tc.get {
						got = call()
					}
				}
				if got != tc.get {
					t.Errorf("it gets %d bytes, want %d", got, tc.get)
				}
				if err := h.ends(); err != nil {
					t.Errorf("the job ends: %v", err)
				}
			})
		})
	}
}

// A TLS client is a stranger as any other: TLS is for who knows the token.
func TestStrangerWithTLS(t *testing.T) {
	eachHost(t, func(t *testing.T, h *host) {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conf := granted(t, ca(t), mtls.Grant{}).Client()
		if h.id != nil {
			conf = h.id.Client() // a certificate that is good
		}
		if err := tls.Client(c, conf).HandshakeContext(context.Background()); err == nil {
			t.Error("a TLS connection without the token")
		}
		if err := h.ends(); err != nil {
			t.Errorf("the job ends: %v", err)
		}
	})
}

// What a rank said to prove the token is of no use to who recorded it: not in another connection, nor of
// this rank to itself.
func TestRecordedProof(t *testing.T) {
	eachHost(t, func(t *testing.T, h *host) {
		// The rank itself, recorded on its way.
		record := func() (said []byte, err error) {
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				return nil, err
			}
			defer c.Close()
			g := guard{token: []byte("secret"), tls: h.id}
			err = g.call(tap{c, func(b []byte) []byte { return b }, new(sync.Mutex), &said})
			return said, err
		}
		replay := func(said []byte) (more []byte, err error) {
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				return nil, err
			}
			defer c.Close()
			n := len(mark) + helloSize
			if _, err := c.Write(said[:n]); err != nil {
				return nil, err
			}
			answer := make([]byte, helloSize+32)
			if _, err := io.ReadFull(c, answer); err != nil {
				return nil, err
			}
			if bytes.Contains(answer, said[n:]) {
				t.Error("a proof comes twice")
			}
			_, _ = c.Write(append(bytes.Clone(said[n:]), http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"...)) // it may be refused by then
			more, _ = io.ReadAll(c)
			return more, nil
		}
		var said, more []byte
		var err error
		for range 20 { // a busy machine may take longer to answer than a caller is given
			if said, err = record(); err == nil {
				if more, err = replay(said); err == nil {
					break
				}
			}
		}
		if err != nil || len(more) > 0 {
			t.Errorf("%d bytes for a proof of another connection, %v", len(more), err)
		}
		if err := h.ends(); err != nil {
			t.Errorf("the job ends: %v", err)
		}
	})
}

// Who knows the token but says that it is of another job, epoch or world, or another rank than it can be, is
// refused in one line, before a frame is read, and the rank waits on for the true one.
func TestHostileHello(t *testing.T) {
	lane := func(fields []string) []string { return append(fields, laneKey, "0") }
	for name, tc := range map[string]struct {
		stream string
		fields []string
		want   string
	}{
		"another job":         {controlName, hello("other", 2, 3, 1, 0), `job differs: rank 0 has "prey", rank 1 has "other"`},
		"another world":       {controlName, hello("prey", 3, 3, 1, 0), `size differs: rank 0 has "2", rank 1 has "3"`},
		"another epoch":       {controlName, hello("prey", 2, 4, 1, 0), `epoch differs: rank 0 has "3", rank 1 has "4"`},
		"nothing":             {controlName, nil, `version differs: rank 0 has "2", rank "" has ""`},
		"this rank":           {controlName, hello("prey", 2, 3, 0, 0), `rank "0" calls rank "0", this is rank 0 of 2: check the list of peers`},
		"a rank beyond":       {controlName, hello("prey", 2, 3, 2, 0), `rank "2" calls rank "0", this is rank 0 of 2: check the list of peers`},
		"a negative rank":     {controlName, hello("prey", 2, 3, -1, 0), `rank "-1" calls rank "0", this is rank 0 of 2: check the list of peers`},
		"to another rank":     {controlName, hello("prey", 2, 3, 1, 1), `rank "1" calls rank "1", this is rank 0 of 2: check the list of peers`},
		"a lane of no number": {laneName, append(hello("prey", 2, 3, 1, 0), laneKey, "x"), `rank 1 opens lane "x", which is no number`},
		"a lane too high":     {laneName, append(hello("prey", 2, 3, 1, 0), laneKey, "4294967296"), `rank 1 opens lane "4294967296", which is no number`},
		"a lane of a rank":    {laneName, lane(hello("prey", 2, 3, 0, 0)), `rank "0" calls rank "0", this is rank 0 of 2: check the list of peers`},
		"a lane of an epoch":  {laneName, lane(hello("prey", 2, 2, 1, 0)), `epoch differs: rank 0 has "3", rank 1 has "2"`},
		"a knock from above":  {knockName, hello("prey", 2, 3, 1, 0), `rank "1" asks rank "0" to call, this is rank 0 of 2: check the list of peers`},
	} {
		t.Run(name, func(t *testing.T) {
			eachHost(t, func(t *testing.T, h *host) {
				r, err := revisit(t, h, func(r *rogue) bool {
					s := r.open(tc.stream, tc.fields...)
					return r.until(func() bool { return r.refusal[s] != "" })
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := r.refusal[1]; got != tc.want {
					t.Errorf("it is told %q, want %q", got, tc.want)
				}
				r.conn.Close()
				if err := h.ends(); err != nil {
					t.Errorf("the job ends: %v", err)
				}
			})
		})
	}
}

// revisit visits a rank until it has been proven, and so is, where that is given.
func revisit(t *testing.T, h *host, so func(*rogue) bool) (r *rogue, err error) {
	for range 20 { // as enter
		if r, err = visit(t, h.addr, "secret", h.id); err == nil && (so == nil || so(r)) {
			return r, nil
		}
	}
	return nil, errors.Join(errors.New("the rank does not do as expected"), err)
}

// floods are what our endpoint bounds of HTTP/2, whoever sends it.
var floods = map[string]struct {
	say  func(r *rogue)
	want string
}{
	"streams opened and given up": {func(r *rogue) {
		for range 10_000 {
			r.say(r.fr.WriteRSTStream(r.open("Nothing"), http2.ErrCodeCancel))
		}
	}, "too many frames that carry nothing"},
	"PING": {func(r *rogue) {
		for range 20_000 {
			r.say(r.fr.WritePing(false, [8]byte{}))
		}
	}, "too many frames that carry nothing"},
	"SETTINGS": {func(r *rogue) {
		for range 20_000 {
			r.say(r.fr.WriteSettings())
		}
	}, "too many frames that carry nothing"},
	"empty DATA": {func(r *rogue) {
		s := r.open(laneName, append(hello("prey", 2, 3, 1, 0), laneKey, "6")...)
		for range 20_000 {
			r.say(r.fr.WriteData(s, false, nil))
		}
	}, "too many frames that carry nothing"},
	"credit of one byte": {func(r *rogue) {
		for range 20_000 {
			r.say(r.fr.WriteWindowUpdate(0, 1))
		}
	}, "too many frames that carry nothing"},
	"CONTINUATION": {func(r *rogue) {
		r.say(r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 101, BlockFragment: []byte{0x82}}))
		for range 100 {
			r.say(r.fr.WriteContinuation(101, false, []byte{0x83}))
		}
	}, "a header block of more than 8192 bytes, 128 fields or 8 frames"},
	"a long header block": {func(r *rogue) { r.open("Nothing", "x", strings.Repeat("y", 7000), "z", strings.Repeat("w", 7000)) },
		"a frame of kind 1 of "},
	"many headers": {func(r *rogue) { r.open("Nothing", slices.Repeat([]string{"x", "y"}, 200)...) }, "a header block of more than 8192 bytes or 128 fields"},
	"a frame of 16 MiB": {func(r *rogue) {
		_, _ = r.conn.Write([]byte{255, 255, 255, 0, 0, 0, 0, 0, 1})
	},
		"a frame of 16777215 bytes, at most 2097152 are taken"},
}

// A flood ends the connection that it comes over, with one line. Where that is a rank's, its loss ends the
// job and is told with the reason; where it is one that whoever knows the token has besides, the job goes on.
func TestFloods(t *testing.T) {
	// PING and SETTINGS are answered: who sends many and is slow to read is given up for that.
	const rules, slow = "the peer breaks HTTP/2's rules: ", "it asks for more answers than it takes"
	var all sync.WaitGroup
	for name, f := range floods {
		all.Go(func() {
			v := prey(t, false, nil, reduceTwice)
			r, lane, err := enter(t, v, nil, "0")
			if err == nil {
				r.heard(lane)
				f.say(r)
				err = <-v.done
			}
			if got := asLost(err); !strings.HasPrefix(got, lost+rules+f.want) && got != lost+rules+slow || strings.Contains(got, "\n") {
				t.Errorf("%s, of a rank: the job ends with %v, want %s", name, err, f.want)
			}
		})
		all.Go(func() {
			h := hosts(t, false, nil)
			if r, err := revisit(t, h, nil); err != nil {
				t.Error(err)
			} else {
				f.say(r)
				r.until(func() bool { return r.over })
				// The reason does not arrive where this end was still sending.
				if r.bye != "" && !strings.HasPrefix(r.bye, f.want) && r.bye != slow {
					t.Errorf("%s, besides: it is told %q, want %q", name, r.bye, f.want)
				}
			}
			if err := h.ends(); err != nil {
				t.Errorf("%s, besides: the job ends with %v", name, err)
			}
		})
	}
	all.Wait()
}

// Lengths that headers only claim take no memory: not of frames, nor of calls, nor of messages that nobody
// waits for.
func TestClaimsTakeNoMemory(t *testing.T) {
	receive := func(ctx context.Context, c *collective.Comm) error {
		_, err := c.Recv(ctx, collective.F32(make([]float32, 16)), 1, 5)
		return err
	}
	message := func(count uint64, chunks ...uint32) func(*rogue, uint32, frame.Header, []byte) {
		h := frame.Header{Call: frame.CallSend, DType: reduce.F32, Job: frame.JobHash("prey"), Epoch: 3, Seq: 1, Root: 6, Length: 64, Count: count, Chunks: uint32(count / 16)}
		return func(r *rogue, lane uint32, _ frame.Header, _ []byte) {
			for _, h.Chunk = range chunks {
				r.message(lane, whole(h, make([]byte, 64)))
			}
		}
	}
	for name, tc := range map[string]struct {
		lane string // of the world's messages, or of its other calls
		hostile
	}{
		"a gRPC message of 4 GiB": {"0", hostileFrames["a message of 4 GiB"]},
		"a gRPC message of 4 MiB, of which one byte comes": {"0", hostile{say: func(r *rogue, lane uint32, _ frame.Header, _ []byte) {
			r.bytes(lane, append(binary.BigEndian.AppendUint32([]byte{0}, maxFrame), 1))
			r.conn.Close()
		}, want: lost}},
		"a frame of 2 GiB": {"0", hostileFrames["a length it does not carry"]},
		"a call of 4 EiB":  {"0", hostileFrames["another count"]},
		"a message of 2 GiB, of which a frame comes": {"1", hostile{say: message(1<<29, 0, 7),
			want: "collective: rank 0: recv #0: peer rank 1: frame 7 with 64 of its 64 bytes of message 1 arrived where frame 1 with 64 bytes was due"}},
		"a message of 4 EiB": {"1", hostile{say: message(1<<60, 0),
			want: "collective: rank 0: recv #0: peer rank 1: it sends 1152921504606846976 f32 that nobody waits for, more than the limit of 4294967296 bytes"}},
	} {
		for _, stock := range []bool{false, true} {
			work := reduceTwice
			if tc.lane == "1" {
				work = receive
			}
			v := prey(t, stock, nil, work)
			r, lane, err := enter(t, v, nil, tc.lane)
			if err != nil {
				t.Fatal(err)
			}
			var h frame.Header
			var p []byte
			if tc.lane == "0" {
				h, p = r.heard(lane)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if tc.change != nil {
				tc.change(&h)
				r.message(lane, whole(h, p))
			} else {
				tc.say(r, lane, h, p)
			}
			err = <-v.done
			runtime.ReadMemStats(&after)
			want := tc.want
			if stock && tc.stock != "" {
				want = tc.stock
			}
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s, stock %t: the job ends with %v, want %s", name, stock, err, want)
			}
			// What is said, and the end of the job, take some; grpc-go makes a buffer when it needs it.
			most := uint64(256 << 10)
			if stock {
				most += 2 * ioBuffer
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("%s, stock %t: %d bytes were allocated", name, stock, took)
			}
		}
	}
}
