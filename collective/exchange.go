package collective

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"vgid/collective/frame"
	"vgid/collective/internal/watch"
	"vgid/collective/schedule"
	"vgid/collective/spans"
)

// noteGrace is how long a broken stream waits for the note that explains it: a
// peer that gives up sends its reason and only then drops its streams.
const noteGrace = 500 * time.Millisecond

// exchange runs the operations: it sends and receives the frames of the call
// that runs, by the plans of package schedule. The queue lets one run at a time.
//
// What must always hold: every frame that is sent or taken carries the header
// of the running call, and a frame of any other call ends the communicator; the
// ranks that take part, and their order, are the same for every buffer of the
// same length, which makes the sums the same bits everywhere and every time;
// and what was sent is written again only when inflight is zero, since the
// transport reads from it after Send has returned.
type exchange struct {
	lane       frame.Lane
	open       func(peer int) // begins to open a connection
	rank, size int
	job        uint64
	opt        *Options
	failure    *watch.Failure
	progress   *watch.Progress
	watch      *watch.Watch
	hosts      schedule.Hosts
	hostsSum   uint32

	inflight *frame.Inflight
	scratch  spans.Scratch
	plans    map[planKey]schedule.Plan // those made so far

	sent, received atomic.Uint64 // bytes, with headers
}

// begin numbers a call and gives the header of its frames.
func (x *exchange) begin(h Header) Header {
	h.Job, h.Comm, h.Epoch, h.Hosts, h.Seq = x.job, x.opt.Comm, x.opt.Epoch, x.hostsSum, x.progress.Next()
	return h
}

// send sends a frame; sent counts its payload, until the transport has read it.
func (x *exchange) send(to int, h Header, chunk int, payload []byte, sent *frame.Inflight) error {
	h.Chunk, h.Length = uint32(chunk), uint32(len(payload))
	sent.Add()
	if err := x.lane.Send(to, &h, payload, sent); err != nil {
		x.trouble(to, err)
		return watch.ErrBroken
	}
	x.sent.Add(uint64(frame.HeaderSize + len(payload)))
	return nil
}

// receive waits for the frame that is due from a peer and refuses any other.
func (x *exchange) receive(from int, want *Header, chunk, length int) (*frame.Frame, error) {
	x.progress.WaitFor(x.inJob(from))
	f, err := x.lane.Recv(from)
	x.progress.WaitFor(-1)
	if err != nil {
		x.trouble(from, err)
		return nil, watch.ErrBroken
	}
	got := f.Len()
	x.received.Add(uint64(frame.HeaderSize + got))
	switch {
	case !f.Header.SameCall(want):
		local := *want
		x.failure.End(&MismatchError{Rank: x.inJob(x.rank), Peer: x.inJob(from), Local: local, Remote: f.Header}, true)
	case want.Call.Is(frame.Pairs) && f.Header.Count != want.Count:
		x.fail(from, fmt.Errorf("it sends %d %v where rank %d expects %d", f.Header.Count, want.DType, x.inJob(x.rank), want.Count))
	case int(f.Header.Chunk) != chunk || int(f.Header.Length) != length || got != length:
		x.fail(from, fmt.Errorf("frame %d with %d of its %d bytes arrived where frame %d with %d bytes was due",
			f.Header.Chunk, got, f.Header.Length, chunk, length))
	default:
		return f, nil
	}
	f.Release()
	return nil, watch.ErrBroken
}

// inJob is the number in the job of a rank of the communicator, which errors name.
func (x *exchange) inJob(rank int) int { return x.progress.Ranks[rank] }

// fail ends the communicators of the job by the fault of a rank.
func (x *exchange) fail(peer int, err error) {
	x.failure.End(&RankError{Rank: x.inJob(x.rank), Peer: x.inJob(peer), Err: err}, true)
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
	var bad *frame.BadFrameError
	if errors.As(err, &bad) {
		x.fail(peer, err)
		return
	}
	t := time.NewTimer(min(noteGrace, x.opt.Timeout/4))
	defer t.Stop()
	select {
	case <-x.failure.Broken():
	case <-t.C:
		x.fail(peer, err)
	}
}

// planKey tells plans apart: a call may be done in several ways, from several
// roots.
type planKey struct {
	call Call
	way  schedule.Algorithm
	root int
}

// plan gives the plan of a call, made when it is first needed.
func (x *exchange) plan(call Call, way schedule.Algorithm, root int) schedule.Plan {
	key := planKey{call, way, root}
	p, ok := x.plans[key]
	if !ok {
		p = PlanOf(call, way, x.rank, root, x.hosts)
		x.plans[key] = p
		// All at once: one after another, a rank that waits to be called would hold up
		// those that wait for it.
		for _, s := range p.Steps {
			for _, peer := range [2]int{s.To, s.From} {
				if peer != schedule.None {
					x.open(peer)
				}
			}
		}
	}
	return p
}

// choose is the algorithm of a call on a buffer.
func (x *exchange) choose(call Call, b Buf) schedule.Algorithm {
	return x.opt.choose(call, len(b.raw), &x.hosts)
}

// asBF16 reports whether a reduction of a buffer has its elements travel as BF16. It does not
// depend on the call, so that a reduce-scatter has the bits of an all-reduce.
func (x *exchange) asBF16(b Buf, op Op) bool {
	return x.opt.Wire == TypeBF16 && b.dtype == TypeF32 && (op == Sum || op == Avg) &&
		!x.short(b) && x.opt.way(len(b.raw), &x.hosts) != Doubling
}

// short reports whether the time of the steps is most of a call on a buffer.
func (x *exchange) short(b Buf) bool { return len(b.raw) <= x.opt.SmallBytes }

// frames is how many frames carry a buffer: it goes into headers, so that ranks
// that cut differently learn of it.
func (x *exchange) frames(b Buf) uint32 { return uint32(x.chunks(len(b.raw))) }
