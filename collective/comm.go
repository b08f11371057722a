package collective

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/ring"
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
	// SmallBytes is the longest buffer that takes the way of fewest steps
	// instead of the way of fewest bytes; 0: 64 KiB, negative: none.
	SmallBytes int
	// Heartbeat is the time between signs of life to every peer; 0: 1 s, or a
	// quarter of Timeout if that is less.
	Heartbeat time.Duration
	// Silence is how long a peer may give no sign of life before it counts as
	// frozen; 0: 15 s, negative: for ever.
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
	// Held is, by rank, the time that operations waited because that rank had
	// not come to them; operations shorter than two heartbeats do not count.
	Held []time.Duration
}

// Comm is one rank's end of a communicator. Its methods may be called from
// several goroutines, but every rank must make the same calls in the same
// order; calls run one after another in the order they were made.
type Comm struct {
	t          Transport // nil when alone
	rank, size int
	opt        Options
	job        uint64
	reduction  []ring.Step
	gathering  []ring.Step
	doubling   []ring.Exchange

	mu      sync.Mutex // guards what follows
	queue   []*Handle
	running bool
	closed  bool
	idle    chan struct{} // non-nil while Close waits for the runner

	failing  sync.Once
	cause    error                  // set before broken closes
	broken   chan struct{}          // closed on the first failure
	told     atomic.Bool            // the peers were told the cause
	reported atomic.Bool            // a call returned the cause
	waiting  atomic.Int64           // the peer a receive waits for, or -1
	current  atomic.Uint64          // number of the call that runs, or ran last
	header   atomic.Pointer[Header] // of the call that runs, nil between calls
	began    atomic.Int64           // when that call began, nanoseconds since start
	entered  atomic.Int64           // when the running operation, of one call or two, began
	peers    []peer
	alarm    alarm  // of the heartbeat's goroutine
	shares   shares // the same

	stop     chan struct{} // ends the heartbeat
	stopped  sync.WaitGroup
	inflight *Inflight
	scratch  []byte

	sent, received, ops, nanos atomic.Uint64
}

// peer is what is known of another rank.
type peer struct {
	heard  atomic.Int64 // time of the last sign of life, nanoseconds since start
	seen   atomic.Pointer[sighting]
	held   atomic.Int64 // nanoseconds that this rank waited for it to come
	left   atomic.Uint64
	leftIs atomic.Bool   // the peer closed; left is its last call
	gone   chan struct{} // closed when the peer closed or was lost
	once   sync.Once
}

var start = time.Now()

// Solo is the communicator of a job with one rank. Its operations have nothing
// to exchange.
func Solo() *Comm {
	return &Comm{size: 1, broken: make(chan struct{})}
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
	setDefault(&opt.Heartbeat, min(time.Second, max(opt.Timeout/4, time.Millisecond)))
	setDefault(&opt.Silence, 15*time.Second)
	// A chunk holds whole elements of every type.
	opt.ChunkBytes = min(opt.ChunkBytes, t.MaxPayload()) &^ 7
	if opt.Timeout < 0 || opt.Heartbeat < 0 || opt.ChunkBytes < 8 {
		return nil, errors.Join(fmt.Errorf("collective: timeout %v, heartbeat %v and chunk of %d bytes must be positive",
			opt.Timeout, opt.Heartbeat, opt.ChunkBytes), t.Close())
	}
	opt.SmallBytes = min(opt.SmallBytes, opt.ChunkBytes)
	rank, size := t.Rank(), t.Size()
	c := &Comm{
		t: t, rank: rank, size: size, opt: opt, job: hashJob(opt.Job),
		reduction: ring.AllReduce(rank, size), gathering: ring.AllGather(rank, size), doubling: ring.Doubling(rank, size),
		broken: make(chan struct{}), stop: make(chan struct{}), inflight: NewInflight(), peers: make([]peer, size),
	}
	c.waiting.Store(-1)
	c.alarm.after = min(5*time.Second, opt.Timeout/4)
	c.shares = shares{window: slowWindow, slow: -1}
	now := int64(time.Since(start))
	for i := range c.peers {
		c.peers[i].gone = make(chan struct{})
		c.peers[i].heard.Store(now)
	}
	t.Watch(c.hear, c.lose)
	if size > 1 {
		c.stopped.Go(c.beat)
	}
	return c, nil
}

// slowWindow is the time over which ranks are compared.
const slowWindow = 20 * time.Second

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
	s := Stats{c.sent.Load(), c.received.Load(), c.ops.Load(), time.Duration(c.nanos.Load()), make([]time.Duration, len(c.peers))}
	for i := range c.peers {
		s.Held[i] = time.Duration(c.peers[i].held.Load())
	}
	return s
}

// Close waits for the calls already made, tells the peers, gives them a few
// seconds to end their last call, and closes the transport. It returns nil
// also after a failure, which the failed call has reported; only that ranks
// disagreed is returned here if no call has.
func (c *Comm) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	var idle chan struct{}
	if c.running {
		c.idle = make(chan struct{})
		idle = c.idle
	}
	c.mu.Unlock()
	if idle != nil {
		<-idle
	}
	if c.t == nil {
		return nil
	}
	c.leave()
	close(c.stop)
	err := c.t.Close()
	c.stopped.Wait()
	return errors.Join(err, c.unreported())
}

// closeGrace is how long Close waits for peers that still work on their last
// call.
const closeGrace = 5 * time.Second

// leave says goodbye and waits until every peer did the same. A peer that is
// still in the last call needs the frames that this end has yet to deliver.
func (c *Comm) leave() {
	if c.size == 1 {
		return
	}
	select {
	case <-c.broken:
		if !c.told.Swap(true) {
			c.tellCause()
		}
		return
	default:
	}
	bye := binary.LittleEndian.AppendUint64([]byte{noticeBye}, c.current.Load())
	for p := range c.peers {
		if p != c.rank {
			_ = c.t.Notify(p, bye) // a peer that cannot be told is lost to it anyway
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	for p := range c.peers {
		if p == c.rank {
			continue
		}
		select {
		case <-c.peers[p].gone:
		case <-c.broken:
			return
		case <-ctx.Done():
			return
		}
	}
}
