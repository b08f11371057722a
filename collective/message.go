package collective

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"vgid/collective/reduce"
)

// AnyTag is the tag of a Recv that takes the next message, whatever its tag.
const AnyTag = -1

// Send gives a message to one rank, which takes it by a Recv with the same tag.
// It returns when b is free again, which may be before the message is taken. Of
// messages with one tag from one rank to another none overtakes another. Messages
// take no place in the order of the other calls, and run beside them.
func (c *Comm) Send(ctx context.Context, b Buf, to, tag int) error {
	return c.now().Send(ctx, b, to, tag).Wait(ctx)
}

// Recv takes the oldest message from a rank with a tag, or with AnyTag the oldest
// of all, and gives the number of its elements. b may be longer than the message,
// but not shorter. Messages with other tags that come first are kept in memory.
func (c *Comm) Recv(ctx context.Context, b Buf, from, tag int) (int, error) {
	h := c.now().Recv(ctx, b, from, tag)
	err := h.Wait(ctx)
	return h.Count(), err
}

// Send is Comm.Send. Messages to one rank leave in the order of the calls.
func (a Async) Send(ctx context.Context, b Buf, to, tag int) *Handle {
	h := a.message(ctx, CallSend, to)
	switch m := a.c.messages; {
	case to < 0 || to >= a.c.size:
		h.refuse(fmt.Errorf("%d is not a rank of 0 … %d", to, a.c.size-1))
	case tag < 0 || tag >= math.MaxUint32:
		h.refuse(fmt.Errorf("tag %d is not one of 0 … %d", tag, uint32(math.MaxUint32-1)))
	case !m.begin():
		h.refuse(ErrClosed)
	default:
		before, after := m.out[to].turn()
		if run := func() { m.send(h, b, to, tag, before, after) }; a.wait {
			run()
		} else {
			go run()
		}
	}
	return h
}

// Recv is Comm.Recv; the handle's Count is the number of elements. Of several that
// the same message fits, the one that was called first takes it.
func (a Async) Recv(ctx context.Context, b Buf, from, tag int) *Handle {
	h := a.message(ctx, CallRecv, from)
	switch m := a.c.messages; {
	case from < 0 || from >= a.c.size:
		h.refuse(fmt.Errorf("%d is not a rank of 0 … %d", from, a.c.size-1))
	case tag != AnyTag && (tag < 0 || tag >= math.MaxUint32):
		h.refuse(fmt.Errorf("tag %d is not one of 0 … %d", tag, uint32(math.MaxUint32-1)))
	case !m.begin():
		h.refuse(ErrClosed)
	default:
		m.post(&receipt{h: h, buf: b, tag: tag}, from)
		m.running.Done()
	}
	return h
}

// message is the handle of a message to or from a rank, if that is one.
func (a Async) message(ctx context.Context, call Call, rank int) *Handle {
	peer := -1
	if rank >= 0 && rank < a.c.size {
		peer = a.c.exchange.inJob(rank)
	}
	return a.handle(ctx, call, peer)
}

// messenger is the messages of a communicator.
//
// What must always hold: to each peer one goroutine sends, in the order of turns,
// and of each at most one receives, while a receipt waits; a message is given to
// the first receipt that fits it, and a receipt takes the first message that fits;
// and each receipt is finished once, by whoever took it off its list.
type messenger struct {
	c       *Comm
	out     []outbox // by peer
	in      []inbox
	mu      sync.Mutex // with closed, that none is begun after it
	closed  atomic.Bool
	running sync.WaitGroup // messages being sent, receipts being made
	opening sync.Once
	opened  Lane
}

// outbox is the order of what goes to a peer.
type outbox struct {
	mu   sync.Mutex
	last chan struct{} // closed when the message made last has been sent
	n    uint64        // messages so far, of the goroutine whose turn it is
}

// inbox is what came of a peer, and who waits for it.
type inbox struct {
	n uint64 // messages so far, of the goroutine that receives

	mu      sync.Mutex    // guards what follows
	letters []letter      // that nobody waited for, the oldest first
	waiting []*receipt    // the oldest first
	reading bool          // a goroutine receives
	idle    chan struct{} // of the rank's own messages: closed when no receipt waits
}

// letter is a message in memory.
type letter struct {
	h   Header
	raw []byte
}

// receipt is a Recv.
type receipt struct {
	h    *Handle
	buf  Buf
	tag  int
	stop func() // ends its time
}

func (r *receipt) fits(h *Header) bool { return r.tag == AnyTag || uint32(r.tag) == h.Root }

func newMessenger(c *Comm) *messenger {
	return &messenger{c: c, out: make([]outbox, c.size), in: make([]inbox, c.size)}
}

// lane is opened when there is a first message.
func (m *messenger) lane() Lane {
	m.opening.Do(func() { m.opened = groupLane{m.c.t.Lane(2*m.c.opt.Comm + 1), m.c.progress.ranks} })
	return m.opened
}

// begin reports whether the communicator takes more messages.
func (m *messenger) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() {
		return false
	}
	m.running.Add(1)
	return true
}

// turn gives the end of the message before, and of this one.
func (o *outbox) turn() (before <-chan struct{}, after chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, after = o.last, make(chan struct{})
	o.last = after
	return before, after
}

func (m *messenger) send(h *Handle, b Buf, to, tag int, before <-chan struct{}, after chan struct{}) {
	defer m.running.Done()
	defer close(h.done)
	defer close(after)
	x := m.c.exchange
	stop := m.c.limit(h.ctx, func() (int, string) { return h.peer, "it does not take the message" })
	defer stop()
	if before != nil {
		<-before // ends in time, as this one does
	}
	o := &m.out[to]
	o.n++
	head := m.header(b.dtype, o.n)
	head.Count, head.Root, head.Chunks = uint64(b.Len()), uint32(tag), x.frames(b)
	if to == m.c.rank {
		m.deliver(to, letter{head, slices.Clone(b.raw)})
		return
	}
	sent, ok := NewInflight(), true
	for j := range x.chunks(len(b.raw)) {
		part := x.chunk(b.raw, j)
		head.Chunk, head.Length = uint32(j), uint32(len(part))
		frame := head
		sent.Add()
		if err := m.lane().Send(to, &frame, part, sent); err != nil {
			x.trouble(to, err)
			ok = false
			break
		}
		x.sent.Add(uint64(HeaderSize + len(part)))
	}
	if ok = sent.Wait(m.c.failure.broken) && ok; !ok {
		h.err = m.c.failure.inWordsOf(CallSend, o.n)
		freeMemory(sent)
	}
}

// header is that of a message's frames, but for what they hold.
func (m *messenger) header(dt DType, n uint64) Header {
	x := m.c.exchange
	return Header{Call: CallSend, DType: dt, Job: x.job, Comm: x.opt.Comm, Epoch: x.opt.Epoch, Seq: n}
}

// post has a receipt take a letter, or wait for one.
func (m *messenger) post(r *receipt, from int) {
	r.stop = m.c.limit(r.h.ctx, func() (int, string) { return r.h.peer, "no such message came of it" })
	in := &m.in[from]
	in.mu.Lock()
	if i := slices.IndexFunc(in.letters, func(l letter) bool { return r.fits(&l.h) }); i >= 0 {
		l := in.letters[i]
		in.letters = slices.Delete(in.letters, i, i+1)
		in.mu.Unlock()
		m.hand(r, l, from)
		return
	}
	in.waiting = append(in.waiting, r)
	if !in.reading {
		idle := make(chan struct{})
		in.reading, in.idle = true, idle
		m.c.tasks.Go(func() { m.read(from, idle) })
	}
	in.mu.Unlock()
}

// claim takes the first receipt that a message fits off the list; nil if none.
func (in *inbox) claim(h *Header) *receipt {
	in.mu.Lock()
	defer in.mu.Unlock()
	i := slices.IndexFunc(in.waiting, func(r *receipt) bool { return r.fits(h) })
	if i < 0 {
		return nil
	}
	r := in.waiting[i]
	in.waiting = slices.Delete(in.waiting, i, i+1)
	return r
}

// deliver gives a letter to who waits for it, or keeps it.
func (m *messenger) deliver(from int, l letter) {
	in := &m.in[from]
	in.mu.Lock()
	i := slices.IndexFunc(in.waiting, func(r *receipt) bool { return r.fits(&l.h) })
	if i < 0 {
		in.letters = append(in.letters, l)
		in.mu.Unlock()
		return
	}
	r := in.waiting[i]
	in.waiting = slices.Delete(in.waiting, i, i+1)
	if from == m.c.rank && len(in.waiting) == 0 {
		close(in.idle)
		in.reading = false
	}
	in.mu.Unlock()
	m.hand(r, l, from)
}

// hand copies a letter to the memory of a receipt.
func (m *messenger) hand(r *receipt, l letter, from int) {
	ok := m.suits(r, &l.h, from)
	if ok {
		copy(r.buf.raw, l.raw)
	}
	m.finish(r, &l.h, ok)
}

// suits checks that a message goes into the memory of a receipt.
func (m *messenger) suits(r *receipt, h *Header, from int) bool {
	if h.DType == r.buf.dtype && h.Count <= uint64(r.buf.Len()) {
		return true
	}
	m.c.exchange.fail(from, fmt.Errorf("it sends %d %v with tag %d where rank %d takes up to %d %v",
		h.Count, h.DType, h.Root, m.c.inJob(), r.buf.Len(), r.buf.dtype))
	return false
}

// finish ends a receipt; h is the message that it took.
func (m *messenger) finish(r *receipt, h *Header, ok bool) {
	r.stop()
	if ok {
		r.h.count = int(h.Count)
	} else {
		seq := uint64(0)
		if h != nil {
			seq = h.Seq
		}
		r.h.err = m.c.failure.inWordsOf(CallRecv, seq)
	}
	close(r.h.done)
}

// read receives from a peer while a receipt waits; of the rank's own messages it
// has only to wait for the end.
func (m *messenger) read(from int, idle <-chan struct{}) {
	in := &m.in[from]
	if from == m.c.rank {
		select {
		case <-idle:
			return
		case <-m.c.failure.broken:
		}
	}
	for from != m.c.rank && m.readOne(from) {
		in.mu.Lock()
		if len(in.waiting) == 0 {
			in.reading = false
			in.mu.Unlock()
			return
		}
		in.mu.Unlock()
	}
	in.mu.Lock()
	in.reading = false
	waiting := in.waiting
	in.waiting = nil
	in.mu.Unlock()
	for _, r := range waiting {
		m.finish(r, nil, false)
	}
}

// readOne receives a message, and reports whether that went well.
func (m *messenger) readOne(from int) bool {
	in, x := &m.in[from], m.c.exchange
	f, err := m.lane().Recv(from)
	if err != nil {
		if !m.closed.Load() {
			x.trouble(from, err)
		}
		return false
	}
	h := f.Header
	in.n++
	if want := m.header(h.DType, in.n); h.Call != want.Call || h.Job != want.Job || h.Comm != want.Comm || h.Epoch != want.Epoch || h.Seq != want.Seq {
		want.Count, want.Root, want.Chunks = h.Count, h.Root, h.Chunks
		f.Release()
		m.c.failure.end(&MismatchError{Rank: m.c.inJob(), Peer: x.inJob(from), Local: want, Remote: h}, true)
		return false
	}
	r := in.claim(&h)
	var to []byte
	switch size := uint64(h.DType.Size()); {
	case r != nil && !m.suits(r, &h, from):
		f.Release()
		m.finish(r, &h, false)
		return false
	case r != nil:
		to = r.buf.raw[:h.Count*size]
	case h.Count > maxGather/size:
		f.Release()
		x.fail(from, fmt.Errorf("it sends %d %v that nobody waits for, more than the limit of %d bytes", h.Count, h.DType, int64(maxGather)))
		return false
	default:
		to = make([]byte, h.Count*size)
	}
	ok := m.fill(f, to, from)
	switch {
	case r != nil:
		m.finish(r, &h, ok)
	case ok:
		m.deliver(from, letter{h, to}) // who waits since may want it
	}
	return ok
}

// fill stores a message whose first frame is there.
func (m *messenger) fill(f *Frame, to []byte, from int) bool {
	x := m.c.exchange
	head := f.Header
	for j := range x.chunks(len(to)) {
		part := x.chunk(to, j)
		if j > 0 {
			var err error
			if f, err = m.lane().Recv(from); err != nil {
				x.trouble(from, err)
				return false
			}
		}
		got := total(f.Pieces)
		x.received.Add(uint64(HeaderSize + got))
		want := head
		want.Chunk, want.Length = uint32(j), uint32(len(part))
		if f.Header != want || got != len(part) {
			x.fail(from, fmt.Errorf("frame %d with %d of its %d bytes of message %d arrived where frame %d with %d bytes was due",
				f.Header.Chunk, got, f.Header.Length, f.Header.Seq, j, len(part)))
			f.Release()
			return false
		}
		reduce.Place(part, f.Pieces)
		f.Release()
	}
	return true
}

// close takes no more messages, waits for those being sent, and ends the receipts
// that wait. It reports whether nothing is being received, so that the lane may be
// closed.
func (m *messenger) close() (quiet bool) {
	m.mu.Lock()
	m.closed.Store(true)
	m.mu.Unlock()
	m.running.Wait()
	quiet = true
	for p := range m.in {
		in := &m.in[p]
		in.mu.Lock()
		waiting := in.waiting
		in.waiting = nil
		if p == m.c.rank && in.reading {
			close(in.idle)
			in.reading = false
		}
		quiet = quiet && !in.reading
		in.mu.Unlock()
		for _, r := range waiting {
			r.stop()
			r.h.err = &RankError{Rank: m.c.inJob(), Peer: -1, Op: CallRecv, Err: ErrClosed}
			close(r.h.done)
		}
	}
	return quiet
}

// closeLane ends the lane, if there is one.
func (m *messenger) closeLane() error {
	if m.opened == nil {
		return nil
	}
	return m.opened.Close()
}
