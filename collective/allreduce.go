package collective

import (
	"vgid/collective/reduce"
	"vgid/collective/schedule"
)

// allReduce takes the doubling, of fewest steps, for what is short, and the
// ring, of fewest bytes, for the rest: the time of a step is most of the one,
// the time of the bytes most of the other.
func (x *exchange) allReduce(call Call, b Buf, op Op) error {
	h := x.begin(Header{Call: call, Reduce: op, DType: b.dtype, Count: uint64(b.Len())})
	if len(b.raw) <= x.opt.SmallBytes {
		return x.doublingReduce(h, b, op)
	}
	return x.ringPass(h, x.reduction, func(i int) []byte {
		lo, hi := schedule.Segment(b.Len(), x.size, i)
		return b.elements(lo, hi)
	}, b.dtype, op)
}

// ringPass is one run of a ring's steps, chunk by chunk: what is received in
// one step is sent in the next as soon as it came in.
type ringPass struct {
	x      *exchange
	h      Header
	steps  []schedule.Step
	part   func(i int) []byte // of the buffer
	chunks int                // of a part
	ready  chan struct{}      // chunks received and not yet sent on
}

func (x *exchange) ringPass(h Header, steps []schedule.Step, part func(i int) []byte, dt DType, op Op) error {
	longest := 0
	for i := range x.size {
		longest = max(longest, len(part(i)))
	}
	m := x.chunks(longest)
	h.Chunks = uint32(m * len(steps))
	if err := x.watch.announce(&h); err != nil {
		return err
	}
	// Room for all, so that receiving never waits for sending: were both to wait,
	// so would the whole ring.
	p := &ringPass{x: x, h: h, steps: steps, part: part, chunks: m, ready: make(chan struct{}, m*len(steps))}
	sender := make(chan error, 1)
	go func() { sender <- p.send() }()
	err := p.receive(dt, op)
	if serr := <-sender; err == nil {
		err = serr
	}
	return err
}

func (p *ringPass) send() error {
	to := schedule.Next(p.x.rank, p.x.size)
	for s, st := range p.steps {
		for j := range p.chunks {
			if s > 0 {
				select {
				case <-p.ready:
				case <-p.x.failure.broken:
					return errBroken
				}
			}
			if err := p.x.send(to, p.h, s*p.chunks+j, p.x.chunk(p.part(st.Send), j)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *ringPass) receive(dt DType, op Op) error {
	from := schedule.Prev(p.x.rank, p.x.size)
	for s, st := range p.steps {
		for j := range p.chunks {
			dst := p.x.chunk(p.part(st.Recv), j)
			f, err := p.x.receive(from, &p.h, s*p.chunks+j, len(dst))
			if err != nil {
				return err
			}
			if st.Reduce {
				reduce.Combine(dt, op, dst, f.Pieces)
			} else {
				reduce.Place(dst, f.Pieces)
			}
			f.Release()
			if st.Final && op == Avg {
				reduce.Divide(dt, dst, p.x.size)
			}
			p.ready <- struct{}{}
		}
	}
	return nil
}

// doublingReduce is the all-reduce of few steps. Every step leaves its result
// in fresh scratch, because the transport may still read the one before.
func (x *exchange) doublingReduce(h Header, b Buf, op Op) error {
	h.Chunks = uint32(len(x.doubling))
	if x.size&(x.size-1) != 0 {
		// Ranks that fold have other numbers of exchanges; the headers of one
		// call are the same on all ranks.
		h.Chunks = 0
	}
	if err := x.watch.announce(&h); err != nil {
		return err
	}
	size := len(b.raw)
	if need := size * len(x.doubling); len(x.scratch) < need {
		x.scratch = make([]byte, need)
	}
	cur := b.raw
	for i, e := range x.doubling {
		if e.Action == schedule.Swap || e.Action == schedule.Give {
			if err := x.send(e.Peer, h, 0, cur); err != nil {
				return err
			}
		}
		if e.Action == schedule.Give {
			continue
		}
		f, err := x.receive(e.Peer, &h, 0, size)
		if err != nil {
			return err
		}
		next := x.scratch[i*size : (i+1)*size]
		switch {
		case e.Action == schedule.Take:
			reduce.Place(next, f.Pieces)
		case e.Peer < x.rank:
			reduce.Place(next, f.Pieces)
			reduce.Combine(b.dtype, op, next, [][]byte{cur})
		default:
			copy(next, cur)
			reduce.Combine(b.dtype, op, next, f.Pieces)
		}
		f.Release()
		cur = next
	}
	if size == 0 {
		return nil
	}
	if !x.inflight.Wait(x.failure.broken) {
		return errBroken
	}
	copy(b.raw, cur)
	if op == Avg {
		reduce.Divide(b.dtype, b.raw, x.size)
	}
	return nil
}
