package collective

import (
	"fmt"
	"slices"
	"sync"

	"vgid/collective/frame"
)

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

// post has a receipt take a letter, or wait for one.
func (m *messenger) post(r *receipt, from int) {
	r.stop = m.c.limit(r.h.ctx, func() (int, string) { return m.c.watch.BlameFor(r.h.peer, "no such message came of it") })
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
		m.c.noteMessage(r.h, h, r.h.count*h.DType.Size())
	} else {
		seq := uint64(0)
		if h != nil {
			seq = h.Seq
		}
		r.h.err = m.c.failure.InWordsOf(CallRecv, seq)
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
		case <-m.c.failure.Broken():
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
		m.c.failure.End(&MismatchError{Rank: m.c.inJob(), Peer: x.inJob(from), Local: want, Remote: h}, true)
		return false
	}
	r := in.claim(&h)
	var to []byte // of a message that nobody waits for it grows as that comes
	size := uint64(h.DType.Size())
	switch {
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
	}
	to, ok := m.fill(f, to, int(h.Count*size), from)
	switch {
	case r != nil:
		m.finish(r, &h, ok)
	case ok:
		m.deliver(from, letter{h, to}) // who waits since may want it
	}
	return ok
}

// fill stores a message of n bytes, whose first frame is there. Where to has no room for it, it
// takes memory as frames come: what a header says of those to come is a peer's word.
func (m *messenger) fill(f *frame.Frame, to []byte, n, from int) ([]byte, bool) {
	x := m.c.exchange
	head := f.Header
	for j := range x.chunks(n) {
		lo := min(j*x.opt.ChunkBytes, n)
		hi := min(lo+x.opt.ChunkBytes, n)
		if j > 0 {
			var err error
			if f, err = m.lane().Recv(from); err != nil {
				x.trouble(from, err)
				return nil, false
			}
		}
		got := f.Len()
		m.received.Add(uint64(frame.HeaderSize + got))
		want := head
		want.Chunk, want.Length = uint32(j), uint32(hi-lo)
		if f.Header != want || got != hi-lo {
			x.fail(from, fmt.Errorf("frame %d with %d of its %d bytes of message %d arrived where frame %d with %d bytes was due",
				f.Header.Chunk, got, f.Header.Length, f.Header.Seq, j, hi-lo))
			f.Release()
			return nil, false
		}
		if hi > len(to) {
			to = slices.Grow(to, hi-len(to))[:hi]
		}
		err := f.Into(to[lo:hi])
		f.Release()
		if err != nil {
			x.trouble(from, err)
			return nil, false
		}
	}
	return to, true
}
