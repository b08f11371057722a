package collective

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/frame"
	"vgid/collective/internal/watch"
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
	// MiddleBytes is the longest buffer for which Auto takes Rabenseifner's algorithm
	// rather than the ring, if it is not short; 0: 1 MiB, negative: none.
	MiddleBytes int
	// Algorithm forces the algorithms of all calls; "" is Auto.
	Algorithm Algorithm
	// Hosts are the numbers of the ranks' hosts: ranks with equal ones share a host, and
	// then calls send as little as they can between hosts. nil: all share one.
	Hosts []int
	// Wire is how TypeF32 travels where it is summed, by AllReduce and the ReduceScatters of
	// buffers that are not short, but by Doubling: TypeBF16 has partial results
	// rounded to half the bytes before they are sent, and the result as well, so that all
	// ranks have the same. They are added in float32. The zero value, TypeF32, rounds nothing.
	Wire DType
	// Heartbeat is the time between signs of life to the neighbours; 0: 400 ms,
	// or an eighth of Timeout if that is less.
	Heartbeat time.Duration
	// Silence is how long a rank may give no sign of life to any of its neighbours
	// before it counts as frozen; a heartbeat longer where others hear it, but one
	// rank does not; five times as long for its first one. 0: 4.2 s, or 6
	// heartbeats if that is more: a network that is gone for 3 s is no reason to end
	// a job, and 5 s are the most that a frozen rank may cost. Negative: for ever.
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
	// OnFailure, if not nil, is told what this rank's last calls were when the
	// communicators fail, or Stuck asks for it: once, on every rank that learns of it,
	// by a goroutine that Close waits for.
	OnFailure func(Record)
}

// Stats count what a communicator did since it began.
type Stats struct {
	BytesSent     uint64 // headers and payloads
	BytesReceived uint64
	Ops           uint64        // operations that ended well
	TimeInOps     time.Duration // time spent in operations, failed ones too
	Connections   int           // peers that there is a connection to
	SharedMemory  int           // those of them to which frames go through memory of the two ranks
	// Waited is, by rank, the time that operations waited for its frames to begin to
	// come in, each wait counted; of a wait that goes on nothing. In a ring a rank
	// waits for its neighbour, whoever is late: who that is, Held says.
	Waited []time.Duration
	// Held is, by rank, the time that operations waited because that rank had
	// not come to them; operations shorter than two heartbeats do not count.
	Held []time.Duration
}

// job is what the communicators of one transport have in common: one watch over
// the ranks, and one failure, which ends them all.
type job struct {
	t        Transport // nil when alone
	rank     int       // in the job
	opt      Options
	failure  *watch.Failure
	watch    *watch.Watch
	world    *watch.Progress // of the communicator of the whole job
	whole    *Comm           // that communicator
	recorder *recorder

	tasks sync.WaitGroup // goroutines that end with the transport

	mu       sync.Mutex // guards what follows
	tickets  uint32     // communicators that this rank has numbered
	children []*Comm    // that Split made
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
	*job
	rank, size int // in the communicator
	opt        Options

	queue    queue
	lane     frame.Lane
	exchange *exchange
	messages *messenger
	progress *watch.Progress
	ops      atomic.Uint64
}

// Solo is the communicator of a job with one rank. Its operations have nothing
// to exchange.
func Solo() *Comm {
	opt := Options{ChunkBytes: 1 << 20, Timeout: time.Minute}
	j := &job{opt: opt, failure: watch.NewFailure(nil, 0, 1), watch: watch.New(nil, 0, 1, watch.Options{}, nil), recorder: &recorder{}}
	return j.communicator(opt, nil, []int{0})
}

// New starts a communicator on a transport, which it owns from then on, also
// when it returns an error: Close closes both.
func New(t Transport, opt Options) (*Comm, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.Join(errors.New("collective: this machine is big-endian, which the wire format does not serve"), t.Close())
	}
	setDefault(&opt.Timeout, 60*time.Second)
	setDefault(&opt.ChunkBytes, 1<<20)
	opt.limits()
	setDefault(&opt.Heartbeat, min(400*time.Millisecond, max(opt.Timeout/8, time.Millisecond)))
	setDefault(&opt.Silence, max(4200*time.Millisecond, 6*opt.Heartbeat))
	// A chunk holds whole elements of every type.
	opt.ChunkBytes = min(opt.ChunkBytes, t.MaxPayload()) &^ 7
	if opt.Timeout < 0 || opt.Heartbeat < 0 || opt.ChunkBytes < 8 {
		return nil, errors.Join(fmt.Errorf("collective: timeout %v, heartbeat %v and chunk of %d bytes must be positive",
			opt.Timeout, opt.Heartbeat, opt.ChunkBytes), t.Close())
	}
	if err := opt.check(t.Size()); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	opt.SmallBytes = min(opt.SmallBytes, opt.ChunkBytes)
	ranks := make([]int, t.Size())
	for r := range ranks {
		ranks[r] = r
	}
	j := &job{t: t, rank: t.Rank(), opt: opt, recorder: &recorder{tell: opt.OnFailure}}
	j.failure = watch.NewFailure(t, j.rank, len(ranks))
	j.failure.OnEnd = j.failed
	j.watch = watch.New(t, j.rank, len(ranks), watch.Options{Heartbeat: opt.Heartbeat, Silence: opt.Silence, OnLate: opt.OnLate, OnSlow: opt.OnSlow, Expects: j.expects, OnAsked: func(why string) { j.failed(errors.New(why)) }}, j.failure)
	c := j.communicator(opt, t.Lane(2*opt.Comm), ranks)
	j.world, j.whole = c.progress, c
	j.watch.Begin(c.progress)
	return c, nil
}

// communicator makes one of those ranks of the job.
func (j *job) communicator(opt Options, l frame.Lane, ranks []int) *Comm {
	c := &Comm{job: j, rank: slices.Index(ranks, j.rank), size: len(ranks), opt: opt, lane: l,
		progress: watch.NewProgress(opt.Comm, ranks, min(5*time.Second, opt.Timeout/4))}
	c.exchange = &exchange{
		lane: l, rank: c.rank, size: c.size, job: frame.JobHash(opt.Job), opt: &c.opt, failure: j.failure, progress: c.progress, watch: j.watch,
		inflight: frame.NewInflight(), plans: map[planKey]schedule.Plan{}, open: func(peer int) { j.t.Open(ranks[peer]) },
		hosts: hostsOf(ranks, j.opt.Hosts),
	}
	c.exchange.hostsSum = checksumOf(c.exchange.hosts)
	c.queue.run, c.messages = (*Handle).execute, newMessenger(c)
	return c
}

// hostsOf groups ranks of the job by the hosts that the options name.
func hostsOf(ranks, numbers []int) schedule.Hosts {
	of := make([]int, len(ranks))
	for i, r := range ranks {
		if numbers != nil {
			of[i] = numbers[r]
		}
	}
	return schedule.NewHosts(of)
}

// checksumOf is what headers say of the hosts.
func checksumOf(h schedule.Hosts) uint32 {
	if h.Count() == 1 {
		return 0
	}
	var b []byte
	for r := range h.Ranks() {
		b = binary.LittleEndian.AppendUint32(b, uint32(h.Of(r)))
	}
	return frame.Checksum(b)
}

func setDefault[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Rank is the number of this rank, 0 … Size-1.
func (c *Comm) Rank() int { return c.rank }

// inJob is the number of this rank in the job, which errors name.
func (j *job) inJob() int { return j.rank }

// Size is the number of ranks.
func (c *Comm) Size() int { return c.size }

// Stats may be called at any time.
func (c *Comm) Stats() Stats {
	s := Stats{
		BytesSent: c.exchange.sent.Load() + c.messages.sent.Load(), BytesReceived: c.exchange.received.Load() + c.messages.received.Load(),
		Ops: c.ops.Load(), TimeInOps: c.progress.InOperations(),
		Waited: make([]time.Duration, c.size), Held: make([]time.Duration, c.size),
	}
	if c.t != nil {
		s.Connections, s.SharedMemory = c.t.Connections()
	}
	for i, r := range c.progress.Ranks {
		s.Waited[i], s.Held[i] = c.progress.Waited(r), c.watch.Held(r)
	}
	return s
}

// PeerLost ends the communicators of the job because a peer is known to be lost,
// by other ways than this one: calls return a *RankError that names it. A peer
// that has said goodbye is not missed.
func (c *Comm) PeerLost(peer int, err error) {
	if peer = c.progress.Ranks[peer]; c.t != nil && c.watch.Size() > 1 && !c.watch.HasLeft(peer) {
		c.failure.End(&RankError{Rank: c.inJob(), Peer: peer, Err: err}, true)
	}
}

// Stuck is for who is to end a job that may hang, as by a signal: if a call of this
// rank has waited for as long as OnLate takes to be told, all ranks record their
// calls (Options.OnFailure) as if they had failed. It is no failure: calls go on. A
// later one records nothing more.
func (c *Comm) Stuck(why string) {
	if c.t == nil || c.watch.Size() < 2 {
		return
	}
	if d := c.watch.Waited(); d >= min(5*time.Second, c.job.opt.Timeout/4) {
		c.watch.Ask(fmt.Sprintf("collective: rank %d: %s while a call had waited for %v", c.inJob(), why, d.Round(time.Second/10)))
	}
}

// Close waits for the calls already made and ends the communicator. That of the
// whole job ends those that were split from it as well, tells the peers, gives
// them a few seconds to end their last call, and closes the transport. It returns
// nil also after a failure, which the failed call has reported; only that ranks
// disagreed is returned here if no call has.
func (c *Comm) Close() error {
	if !c.queue.close() {
		return nil
	}
	quiet := c.messages.close()
	switch {
	case c.t == nil:
		c.tasks.Wait()
		return nil
	case !c.isWorld():
		err := c.leave()
		if quiet {
			err = errors.Join(err, c.messages.closeLane())
		}
		return errors.Join(err, c.failure.Unreported())
	}
	c.mu.Lock()
	children := slices.Clone(c.children)
	c.mu.Unlock()
	var err error
	for _, child := range children {
		err = errors.Join(err, child.Close())
	}
	c.watch.LeaveAll()
	err = errors.Join(err, c.t.Close())
	c.tasks.Wait()
	c.recorder.close()
	return errors.Join(err, c.failure.Unreported())
}

// expects are the messages of all communicators that somebody waits for, those of
// the longest waits first.
func (j *job) expects(now time.Duration) (all []watch.Expect) {
	for _, c := range j.communicators() {
		all = c.messages.expects(now, all)
	}
	slices.SortStableFunc(all, func(a, b watch.Expect) int { return cmp.Compare(b.Age, a.Age) })
	return all[:min(len(all), watch.MostExpects)]
}

// communicators are those of this rank that are not closed.
func (j *job) communicators() []*Comm {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.whole == nil {
		return slices.Clone(j.children)
	}
	return append([]*Comm{j.whole}, j.children...)
}

// isWorld reports whether the communicator is that of the whole job.
func (c *Comm) isWorld() bool { return c.progress == c.world }
