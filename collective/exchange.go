package collective

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"vgid/collective/schedule"
)

// errBroken stands for the communicator's cause inside a running operation.
var errBroken = errors.New("communicator has failed")

// noteGrace is how long a broken stream waits for the note that explains it: a
// peer that gives up sends its reason and only then drops its streams.
const noteGrace = 500 * time.Millisecond

// exchange runs the operations: it sends and receives the frames of the call
// that runs, by the schedules of package schedule. The queue lets one run at a time.
//
// What must always hold: every frame that is sent or taken carries the header
// of the running call, and a frame of any other call ends the communicator; the
// ranks that take part, and their order, are the same for every buffer of the
// same length, which makes the sums the same bits everywhere and every time;
// and a buffer belongs to the caller again only when inflight is zero, since
// the transport reads from it after Send has returned.
type exchange struct {
	lane       Lane
	rank, size int
	job        uint64
	opt        *Options
	failure    *failure
	progress   *progress
	watch      *watch

	reduction []schedule.Step
	gathering []schedule.Step
	doubling  []schedule.Exchange
	inflight  *Inflight
	scratch   []byte // of the doubling's steps

	sent, received atomic.Uint64 // bytes, with headers
}

// begin numbers a call and gives the header of its frames.
func (x *exchange) begin(h Header) Header {
	h.Job, h.Comm, h.Epoch, h.Seq = x.job, x.opt.Comm, x.opt.Epoch, x.progress.current.Add(1)
	return h
}

func (x *exchange) send(to int, h Header, chunk int, payload []byte) error {
	h.Chunk, h.Length = uint32(chunk), uint32(len(payload))
	x.inflight.Add()
	if err := x.lane.Send(to, &h, payload, x.inflight); err != nil {
		x.trouble(to, err)
		return errBroken
	}
	x.sent.Add(uint64(HeaderSize + len(payload)))
	return nil
}

// receive waits for the frame that is due from a peer and refuses any other.
func (x *exchange) receive(from int, want *Header, chunk, length int) (*Frame, error) {
	x.progress.waiting.Store(int64(from))
	f, err := x.lane.Recv(from)
	x.progress.waiting.Store(-1)
	if err != nil {
		x.trouble(from, err)
		return nil, errBroken
	}
	got := 0
	for _, p := range f.Pieces {
		got += len(p)
	}
	x.received.Add(uint64(HeaderSize + got))
	switch {
	case !f.Header.sameCall(want):
		local := *want
		x.failure.end(&MismatchError{Rank: x.rank, Peer: from, Local: local, Remote: f.Header}, true)
	case int(f.Header.Chunk) != chunk || int(f.Header.Length) != length || got != length:
		x.failure.end(&RankError{Rank: x.rank, Peer: from, Err: fmt.Errorf(
			"frame %d with %d of its %d bytes arrived where frame %d with %d bytes was due",
			f.Header.Chunk, got, f.Header.Length, chunk, length)}, true)
	default:
		return f, nil
	}
	f.Release()
	return nil, errBroken
}

// chunks is how many frames carry a part of so many bytes: at least one, since
// headers are compared even when there is nothing to carry.
func (x *exchange) chunks(bytes int) int {
	return max(1, (bytes+x.opt.ChunkBytes-1)/x.opt.ChunkBytes)
}

// chunk is the j-th piece of a part.
func (x *exchange) chunk(part []byte, j int) []byte {
	lo := min(j*x.opt.ChunkBytes, len(part))
	hi := min(lo+x.opt.ChunkBytes, len(part))
	return part[lo:hi]
}

// trouble turns an error of the transport into the communicator's failure.
func (x *exchange) trouble(peer int, err error) {
	t := time.NewTimer(min(noteGrace, x.opt.Timeout/4))
	defer t.Stop()
	select {
	case <-x.failure.broken:
	case <-t.C:
		x.failure.end(&RankError{Rank: x.rank, Peer: peer, Err: err}, true)
	}
}
