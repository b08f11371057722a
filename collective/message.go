package collective

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/frame"
	"vgid/collective/internal/watch"
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
		head := m.header(b.dtype, 0)
		head.Count, head.Root, head.Chunks = uint64(b.Len()), uint32(tag), a.c.exchange.frames(b)
		before, after := m.out[to].turn(sending{h, head})
		h.awaited.Store(a.wait)
		if run := func() { m.send(h, b, to, before, after) }; a.wait {
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
	h := a.handle(ctx, call, peer)
	h.began = watch.Now()
	h.moved.Store(int64(h.began))
	return h
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
	opened  frame.Lane

	sent, received atomic.Uint64 // bytes, with headers
}

// outbox is the order of what goes to a peer.
type outbox struct {
	mu   sync.Mutex
	last chan struct{} // closed when the message made last has been sent
	// sending are the messages that have not been sent, the first in its turn.
	sending []sending
	n       uint64 // messages so far, of the goroutine whose turn it is
}

// sending is a message that has not been sent yet.
type sending struct {
	h    *Handle
	head Header // of its frames; has its number when its turn has come
}

func newMessenger(c *Comm) *messenger {
	return &messenger{c: c, out: make([]outbox, c.size), in: make([]inbox, c.size)}
}

// lane is opened when there is a first message.
func (m *messenger) lane() frame.Lane {
	m.opening.Do(func() { m.opened = groupLane{m.c.t.Lane(2*m.c.opt.Comm + 1), m.c.progress.Ranks} })
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
func (o *outbox) turn(s sending) (before <-chan struct{}, after chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, after = o.last, make(chan struct{})
	o.last = after
	o.sending = append(o.sending, s)
	return before, after
}

// begin numbers the message whose turn it is, and gives the header of its frames.
func (o *outbox) begin() Header {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	o.sending[0].head.Seq = o.n
	return o.sending[0].head
}

// end takes it off the list.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending = slices.Delete(o.sending, 0, 1)
}

func (m *messenger) send(h *Handle, b Buf, to int, before <-chan struct{}, after chan struct{}) {
	defer m.running.Done()
	defer close(h.done)
	defer close(after)
	x := m.c.exchange
	stop := m.c.limit(h.ctx, func() (int, string) { return m.c.watch.BlameFor(h.peer, "it does not take the message") })
	defer stop()
	if before != nil {
		<-before // ends in time, as this one does
	}
	o := &m.out[to]
	head := o.begin()
	defer o.end()
	if to == m.c.rank {
		m.c.noteMessage(h, &head, len(b.raw))
		m.deliver(to, letter{head, slices.Clone(b.raw)})
		return
	}
	sent, ok := frame.NewInflight(), true
	for j := range x.chunks(len(b.raw)) {
		part := x.chunk(b.raw, j)
		head.Chunk, head.Length = uint32(j), uint32(len(part))
		own := head // the transport may keep it
		sent.Add()
		if err := m.lane().Send(to, &own, part, sent); err != nil {
			x.trouble(to, err)
			ok = false
			break
		}
		m.sent.Add(uint64(frame.HeaderSize + len(part)))
		h.moved.Store(int64(watch.Now()))
	}
	if ok = sent.Wait(m.c.failure.Broken()) && ok; !ok {
		h.err = m.c.failure.InWordsOf(CallSend, head.Seq)
		freeMemory(sent)
		return
	}
	m.c.noteMessage(h, &head, len(b.raw))
}

// expects adds the messages that somebody waits for, whose other end is another rank.
func (m *messenger) expects(now time.Duration, all []watch.Expect) []watch.Expect {
	add := func(h *Handle) {
		if h.awaited.Load() && h.peer != m.c.inJob() {
			all = append(all, watch.Expect{Call: h.call, Peer: h.peer, Age: (now - time.Duration(h.moved.Load())).Truncate(time.Millisecond)})
		}
	}
	for p := range m.in {
		in := &m.in[p]
		in.mu.Lock()
		for _, r := range in.waiting {
			add(r.h)
		}
		in.mu.Unlock()
		o := &m.out[p]
		o.mu.Lock()
		for _, s := range o.sending {
			add(s.h)
		}
		o.mu.Unlock()
	}
	return all
}

// header is that of a message's frames, but for what they hold.
func (m *messenger) header(dt DType, n uint64) Header {
	x := m.c.exchange
	return Header{Call: CallSend, DType: dt, Job: x.job, Comm: x.opt.Comm, Epoch: x.opt.Epoch, Seq: n}
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
