package collective

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/schedule"
)

// Options tune a communicator. All ranks use the same values.
type Options struct {
	Job   string // name of the job; frames of another job are refused
	Comm  uint32 // number of the communicator within the job
	Epoch uint64 // generation of the set of ranks
	// Timeout bounds one operation, from its start to its end; 0: 60 s.
	Timeout time.Duration
	// ChunkBytes is the most that one frame carries; 0: 1 MiB.
	ChunkBytes int
	// SmallBytes is the longest buffer that is exchanged in the fewest steps
	// (recursive doubling, a tree) instead of with the fewest bytes (a ring, a
	// chain); 0: 64 KiB, negative: none.
	SmallBytes int
	// Heartbeat is the time between signs of life to the neighbours; 0: 400 ms,
	// or an eighth of Timeout if that is less.
	Heartbeat time.Duration
	// Silence is how long a rank may give no sign of life to any of its neighbours
	// before it counts as frozen; half as long again where others hear it, but one
	// neighbour does not. 0: 3 s, or 6 heartbeats if that is more; negative: for ever.
	Silence time.Duration
	// OnLate, if not nil, is told of ranks that are alive but keep the others
	// waiting in a call: after 5 s, or a quarter of Timeout if that is less, and
	// each time when it has lasted twice as long. Of the ranks that wait the
	// lowest is told. It returns fast.
	OnLate func(Late)
	// OnSlow, if not nil, is told of a rank that keeps the others waiting over
	// many calls: after 20 s, and each time when it has lasted twice as long. Of
	// the others the lowest is told. It returns fast.
	OnSlow func(Slow)
}

// Stats count what a communicator did since it began.
type Stats struct {
	BytesSent     uint64 // headers and payloads
	BytesReceived uint64
	Ops           uint64        // operations that ended well
	TimeInOps     time.Duration // time spent in operations, failed ones too
	Connections   int           // peers that there is a connection to
	// Held is, by rank, the time that operations waited because that rank had
	// not come to them; operations shorter than two heartbeats do not count.
	Held []time.Duration
}

// Comm is one rank's end of a communicator. Its methods may be called from
// several goroutines.
//
// What must always hold:
//   - every rank makes the same calls in the same order; a rank that does not is
//     told so, together with all others, by a *MismatchError;
//   - calls run one after another in the order they were made, and take their
//     numbers from that order;
//   - all ranks end an all-reduce with the same bits, the same in every run;
//   - a call ends: with its result on every rank, or with an error on every rank
//     within Options.Timeout, and then the communicator has ended for good;
//   - when a call has ended, its buffers are the caller's again.
//
// It is put together of a queue (which call runs), an exchange (its frames), a
// watch (the other ranks), and the failure that ends them; progress says to all
// of them where this rank is.
type Comm struct {
	t          Transport // nil when alone
	rank, size int
	opt        Options

	queue    queue
	exchange *exchange
	watch    *watch
	failure  *failure
	progress *progress
	ops      atomic.Uint64

	family   *family // nil when alone
	mu       sync.Mutex
	children []*Comm // split off and not closed; guarded by mu
}

// Solo is the communicator of a job with one rank. Its operations have nothing
// to exchange.
func Solo() *Comm {
	return &Comm{size: 1, failure: &failure{size: 1, broken: make(chan struct{})}, progress: &progress{},
		exchange: &exchange{size: 1, opt: &Options{ChunkBytes: 1 << 20}}, watch: &watch{size: 1}}
}

// New starts a communicator on a transport, which it owns from then on, also
// when it returns an error: Close closes both.
func New(t Transport, opt Options) (*Comm, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.Join(errors.New("collective: this machine is big-endian, which the wire format does not serve"), t.Close())
	}
	setDefault(&opt.Timeout, 60*time.Second)
	setDefault(&opt.ChunkBytes, 1<<20)
	setDefault(&opt.SmallBytes, 64<<10)
	setDefault(&opt.Heartbeat, min(400*time.Millisecond, max(opt.Timeout/8, time.Millisecond)))
	setDefault(&opt.Silence, max(3*time.Second, 6*opt.Heartbeat))
	// A chunk holds whole elements of every type.
	opt.ChunkBytes = min(opt.ChunkBytes, t.MaxPayload()) &^ 7
	if opt.Timeout < 0 || opt.Heartbeat < 0 || opt.ChunkBytes < 8 {
		return nil, errors.Join(fmt.Errorf("collective: timeout %v, heartbeat %v and chunk of %d bytes must be positive",
			opt.Timeout, opt.Heartbeat, opt.ChunkBytes), t.Close())
	}
	opt.SmallBytes = min(opt.SmallBytes, opt.ChunkBytes)
	f := &failure{t: t, rank: t.Rank(), size: t.Size(), broken: make(chan struct{})}
	return assemble(t, opt, f, newFamily(t, &opt)), nil
}

// assemble puts a communicator together; opt is complete.
func assemble(t Transport, opt Options, f *failure, all *family) *Comm {
	c := &Comm{t: t, rank: t.Rank(), size: t.Size(), opt: opt, progress: &progress{}, failure: f, family: all}
	c.progress.waiting.Store(-1)
	c.watch = &watch{t: t, rank: c.rank, size: c.size, opt: &c.opt, failure: c.failure, progress: c.progress}
	if f.shared == nil {
		c.watch.family = all
	}
	c.exchange = &exchange{
		lane: t.Lane(2 * opt.Comm), rank: c.rank, size: c.size, job: hashJob(opt.Job), opt: &c.opt, failure: c.failure, progress: c.progress, watch: c.watch,
		inflight: NewInflight(), plans: map[planKey]schedule.Plan{},
	}
	c.queue.run = c.execute
	c.watch.begin()
	return c
}

func setDefault[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Rank is the number of this rank, 0 … Size-1.
func (c *Comm) Rank() int { return c.rank }

// Size is the number of ranks.
func (c *Comm) Size() int { return c.size }

// Stats may be called at any time.
func (c *Comm) Stats() Stats {
	s := Stats{
		BytesSent: c.exchange.sent.Load(), BytesReceived: c.exchange.received.Load(),
		Ops: c.ops.Load(), TimeInOps: time.Duration(c.progress.nanos.Load()), Held: make([]time.Duration, len(c.watch.held)),
	}
	if c.t != nil {
		s.Connections = c.t.Connections()
	}
	for i := range s.Held {
		s.Held[i] = time.Duration(c.watch.held[i].Load())
	}
	return s
}

// PeerLost ends the communicator because a peer is known to be lost, by other
// ways than this one: calls return a *RankError that names it. A peer that has
// said goodbye is not missed.
func (c *Comm) PeerLost(peer int, err error) {
	if c.size > 1 && !c.watch.hasLeft(peer) {
		c.failure.end(&RankError{Rank: c.rank, Peer: peer, Err: err}, true)
	}
}

// Close waits for the calls already made, tells the peers, gives them a few
// seconds to end their last call, and closes the transport. It returns nil
// also after a failure, which the failed call has reported; only that ranks
// disagreed is returned here if no call has.
func (c *Comm) Close() error {
	if !c.queue.close() || c.t == nil {
		return nil
	}
	early := c.closeChildren()
	c.watch.leave()
	c.watch.end()
	c.watch.stopped.Wait()
	err := c.t.Close()
	return errors.Join(early, err, c.failure.unreported())
}
