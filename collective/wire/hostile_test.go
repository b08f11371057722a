package wire

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"vgid/collective/frame"
	"vgid/collective/mtls"
	"vgid/collective/reduce"
	"vgid/collective/schedule"
)

// hostile is what a rank that has proven the token says in place of its first frame of an
// all-reduce of 64 float32 in frames of 64 bytes, and the line in which the job of the other ends.
type hostile struct {
	change func(h *frame.Header)                                 // of the header
	say    func(r *rogue, lane uint32, h frame.Header, p []byte) // nil: the frame
	want   string
	stock  string // over grpc-go, where that says it; empty: the same
}

// asLost is the text of an error. That a connection is lost is told by who waits for a frame where, on
// a busy machine, the news of the loss comes late; the reason is the same.
func asLost(err error) string { return strings.Replace(fmt.Sprint(err), receives, lost, 1) }

func whole(h frame.Header, p []byte) []byte { return append(h.AppendTo(nil), p...) }

// raw says bytes made of the frame as a message.
func raw(f func(b []byte) []byte) func(*rogue, uint32, frame.Header, []byte) {
	return func(r *rogue, lane uint32, h frame.Header, p []byte) { r.message(lane, f(whole(h, p))) }
}

// The lines begin so.
const (
	receives  = "collective: rank 0: all-reduce #1: peer rank 1: receive from rank 1: "
	arrives   = "collective: rank 0: all-reduce #1: peer rank 1: frame "
	lost      = "collective: rank 0: all-reduce #1: peer rank 1: connection lost: "
	disagree  = "collective: ranks disagree: rank 0 calls all-reduce #1 sum of 64 f32 (epoch 3, communicator 0, ring, 4 chunks), rank 1 calls "
	disagrees = "; every rank must make the same calls in the same order"
)

var hostileFrames = map[string]hostile{
	"another epoch": {change: func(h *frame.Header) { h.Epoch = 4 },
		want: disagree + "all-reduce #1 sum of 64 f32 (epoch 4, communicator 0, ring, 4 chunks)" + disagrees},
	"another job": {change: func(h *frame.Header) { h.Job++ },
		want: disagree + "all-reduce #1 sum of 64 f32 (epoch 3, communicator 0, ring, 4 chunks) of another job" + disagrees},
	"another communicator": {change: func(h *frame.Header) { h.Comm = 9 },
		want: disagree + "all-reduce #1 sum of 64 f32 (epoch 3, communicator 9, ring, 4 chunks)" + disagrees},
	"another call": {change: func(h *frame.Header) { h.Call, h.Root = frame.CallBroadcast, 1 },
		want: disagree + "broadcast #1 of 64 f32 from root 1 (epoch 3, communicator 0, ring, 4 chunks)" + disagrees},
	"another operation": {change: func(h *frame.Header) { h.Reduce = reduce.Max },
		want: disagree + "all-reduce #1 max of 64 f32 (epoch 3, communicator 0, ring, 4 chunks)" + disagrees},
	"another count": {change: func(h *frame.Header) { h.Count = 1 << 60 },
		want: disagree + "all-reduce #1 sum of 1152921504606846976 f32 (epoch 3, communicator 0, ring, 4 chunks)" + disagrees},
	"another algorithm": {change: func(h *frame.Header) { h.Algorithm = schedule.Doubling },
		want: disagree + "all-reduce #1 sum of 64 f32 (epoch 3, communicator 0, doubling, 4 chunks)" + disagrees},
	"a call to come": {change: func(h *frame.Header) { h.Seq = 1 << 63 },
		want: disagree + "all-reduce #9223372036854775808 sum of 64 f32 (epoch 3, communicator 0, ring, 4 chunks)" + disagrees},
	"no such call": {change: func(h *frame.Header) { h.Call = 200 },
		want: receives + "collective: frame header names call(200) sum f32 ring, which this program does not know"},
	"no such type": {change: func(h *frame.Header) { h.DType = 15 },
		want: receives + "collective: frame header names all-reduce sum dtype(15) ring, which this program does not know"},
	"no such operation": {change: func(h *frame.Header) { h.Reduce = 15 },
		want: receives + "collective: frame header names all-reduce op(15) f32 ring, which this program does not know"},
	"no such algorithm": {change: func(h *frame.Header) { h.Algorithm = 255 },
		want: receives + "collective: frame header names all-reduce sum f32 algorithm(255), which this program does not know"},
	"a chunk out of range": {change: func(h *frame.Header) { h.Chunk = 1 << 31 },
		want: arrives + "2147483648 with 64 of its 64 bytes arrived where frame 0 with 64 bytes was due"},
	"a length it does not carry": {change: func(h *frame.Header) { h.Length = 1 << 31 },
		want: receives + "wire: frame carries 64 bytes, its header says 2147483648"},
	"more than its length": {change: func(h *frame.Header) { h.Length = 8 },
		want: receives + "wire: frame carries 64 bytes, its header says 8"},
	"a short chunk": {say: func(r *rogue, lane uint32, h frame.Header, p []byte) {
		h.Length = 60
		r.message(lane, whole(h, p[:60]))
	},
		want: arrives + "0 with 60 of its 60 bytes arrived where frame 0 with 64 bytes was due"},
	"half a header": {say: raw(func(b []byte) []byte { return b[:32] }),
		want: receives + "collective: frame of 32 bytes is shorter than its 72-byte header"},
	"nothing": {say: raw(func([]byte) []byte { return nil }),
		want: receives + "collective: frame of 0 bytes is shorter than its 72-byte header"},
	"a damaged header": {say: raw(func(b []byte) []byte { b[30] ^= 4; return b }),
		want: receives + "collective: frame header is damaged: checksum 0x9636db8c, want 0x9de42dfd"},
	"another magic": {say: raw(func(b []byte) []byte { b[0] = 'X'; return b }),
		want: receives + "collective: frame starts with 0x44494758, not with the magic 0x44494756"},
	"another version": {say: raw(func(b []byte) []byte { b[4] = 9; return b }),
		want: receives + "collective: frame of version 9, this program speaks 3: run one version on all ranks"},
	"a chunk twice": {say: func(r *rogue, lane uint32, h frame.Header, p []byte) {
		r.message(lane, whole(h, p))
		r.message(lane, whole(h, p))
	}, want: arrives + "0 with 64 of its 64 bytes arrived where frame 1 with 64 bytes was due"},
	"a frame of the call before": {say: func(r *rogue, lane uint32, h frame.Header, p []byte) {
		for h.Chunk = range h.Chunks {
			r.message(lane, whole(h, p))
		}
		h.Chunk = 0
		r.message(lane, whole(h, p))
	}, want: "collective: ranks disagree: rank 0 calls all-reduce #2 sum of 64 f32 (epoch 3, communicator 0, ring, 4 chunks), rank 1 calls " +
		"all-reduce #1 sum of 64 f32 (epoch 3, communicator 0, ring, 4 chunks)" + disagrees},
	"a message of 4 GiB": {say: func(r *rogue, lane uint32, _ frame.Header, _ []byte) { r.bytes(lane, []byte{0, 255, 255, 255, 255, 1}) },
		want:  receives + "a message of 4294967295 bytes, at most 4194376 are taken",
		stock: receives + "grpc: received message larger than max (4294967295 vs. 4194376)"},
	"a compressed message": {say: func(r *rogue, lane uint32, _ frame.Header, _ []byte) { r.bytes(lane, []byte{1, 0, 0, 0, 1, 1}) },
		want:  receives + "a message that is compressed, or not gRPC's (first byte 1)",
		stock: receives + "grpc: compressed flag set with identity or empty encoding"},
	"half a frame, and gone": {say: func(r *rogue, lane uint32, h frame.Header, p []byte) {
		b := whole(h, p)
		r.bytes(lane, slices.Concat([]byte{0, 0, 0, 0, byte(len(b))}, b[:90]))
		r.conn.Close()
	}, want: lost + "the peer has closed the connection", stock: lost + "the stream ended"},
	"one frame, and gone": {say: func(r *rogue, lane uint32, h frame.Header, p []byte) {
		r.message(lane, whole(h, p))
		r.conn.Close()
	}, want: lost + "the peer has closed the connection", stock: lost + "the stream ended"},
}

// play has a rogue do it, and gives how the job of the other ended.
func (tc hostile) play(t *testing.T, stock bool, id *mtls.Identity) error {
	v := prey(t, stock, id, reduceTwice)
	r, lane, err := enter(t, v, id, "0")
	if err != nil {
		return err
	}
	h, p := r.heard(lane)
	if tc.change != nil {
		tc.change(&h)
	}
	if tc.say != nil {
		tc.say(r, lane, h, p)
	} else {
		r.message(lane, whole(h, p))
	}
	return <-v.done
}

// A rank that knows the token and breaks the rules of frames ends the job of the other at once, in one
// line that says what it did; over TLS as in plain text.
func TestHostileFrames(t *testing.T) {
	id := granted(t, ca(t), mtls.Grant{})
	type run struct {
		name, want string
		got        error
	}
	var runs []*run
	var all sync.WaitGroup
	room := make(chan struct{}, 16) // most of it is waiting
	for name, tc := range hostileFrames {
		for way, id := range map[string]*mtls.Identity{"grpc": nil, "grpc-stock": nil, "grpc over TLS": id, "grpc-stock over TLS": id} {
			stock := strings.HasPrefix(way, "grpc-stock")
			r := &run{name: name + ", " + way, want: tc.want}
			if stock && tc.stock != "" {
				r.want = tc.stock
			}
			runs = append(runs, r)
			all.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				r.got = tc.play(t, stock, id)
			})
		}
	}
	all.Wait()
	for _, r := range runs {
		got := fmt.Sprint(r.got)
		if strings.HasPrefix(r.want, lost) {
			got = asLost(r.got)
		}
		if got != r.want {
			t.Errorf("%s: the job ends with\n%v, want\n%s", r.name, r.got, r.want)
		}
	}
}
