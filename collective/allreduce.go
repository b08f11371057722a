package collective

import (
	"context"
	"fmt"

	"vgid/collective/ring"
)

// AllReduce replaces b on every rank by the reduction over all ranks. All
// ranks end with the same bits, and with the same bits in every run.
func (c *Comm) AllReduce(ctx context.Context, b Buf, op Op) error {
	return c.startReduce(ctx, b, op, true).Wait(ctx)
}

// IAllReduce queues an AllReduce and returns at once. Queued operations run in
// the order they were queued, together with all other calls.
func (c *Comm) IAllReduce(ctx context.Context, b Buf, op Op) *Handle {
	return c.startReduce(ctx, b, op, false)
}

func (c *Comm) startReduce(ctx context.Context, b Buf, op Op, wait bool) *Handle {
	h := &Handle{ctx: ctx, call: CallAllReduce, run: func() error { return c.allReduce(CallAllReduce, b, op) }}
	if b.dtype == TypeBytes || b.dtype >= endDType || op >= endOp {
		return c.refused(h, fmt.Errorf("cannot reduce %v by %v", b.dtype, op))
	}
	return c.start(h, wait)
}

// Barrier returns when every rank has called it.
func (c *Comm) Barrier(ctx context.Context) error {
	h := &Handle{ctx: ctx, call: CallBarrier, run: func() error { return c.allReduce(CallBarrier, Buf{dtype: TypeBytes}, Sum) }}
	return c.start(h, true).Wait(ctx)
}

// refused gives the handle of a call that is wrong on its own.
func (c *Comm) refused(h *Handle, err error) *Handle {
	h.c, h.done, h.err = c, make(chan struct{}), &RankError{Rank: c.rank, Peer: -1, Op: h.call, Err: err}
	close(h.done)
	return h
}

// start submits a call; with one rank there is nothing to exchange.
func (c *Comm) start(h *Handle, wait bool) *Handle {
	if c.size > 1 {
		c.submit(h, wait)
		return h
	}
	if err := h.ctx.Err(); err != nil {
		return c.refused(h, err)
	}
	c.ops.Add(1)
	h.c, h.done = c, make(chan struct{})
	close(h.done)
	return h
}

func (c *Comm) allReduce(call Call, b Buf, op Op) error {
	h := c.begin(Header{Call: call, Reduce: op, DType: b.dtype, Count: uint64(b.Len())})
	if len(b.raw) <= c.opt.SmallBytes {
		return c.doublingReduce(h, b, op)
	}
	return c.ringPass(h, c.reduction, func(i int) []byte {
		lo, hi := ring.Segment(b.Len(), c.size, i)
		return b.elements(lo, hi)
	}, b.dtype, op)
}

// ringPass runs the steps of a ring, chunk by chunk: what is received in one
// step is sent in the next as soon as it came in.
func (c *Comm) ringPass(h Header, steps []ring.Step, part func(i int) []byte, dt DType, op Op) error {
	longest := 0
	for i := range c.size {
		longest = max(longest, len(part(i)))
	}
	m := c.chunks(longest)
	h.Chunks = uint32(m * len(steps))
	if err := c.announce(&h); err != nil {
		return err
	}
	ready := make(chan struct{}, m*len(steps)) // chunks received and not yet sent on
	to, from := ring.Next(c.rank, c.size), ring.Prev(c.rank, c.size)

	sender := make(chan error, 1)
	go func() {
		for s, st := range steps {
			for j := range m {
				if s > 0 {
					select {
					case <-ready:
					case <-c.broken:
						sender <- errBroken
						return
					}
				}
				if err := c.send(to, h, s*m+j, c.chunk(part(st.Send), j)); err != nil {
					sender <- err
					return
				}
			}
		}
		sender <- nil
	}()
	err := func() error {
		for s, st := range steps {
			for j := range m {
				dst := c.chunk(part(st.Recv), j)
				f, err := c.receive(from, &h, s*m+j, len(dst))
				if err != nil {
					return err
				}
				if st.Reduce {
					combine(dt, op, dst, f.Pieces)
				} else {
					place(dst, f.Pieces)
				}
				f.Release()
				if st.Final && op == Avg {
					divide(dt, dst, c.size)
				}
				ready <- struct{}{}
			}
		}
		return nil
	}()
	if serr := <-sender; err == nil {
		err = serr
	}
	return err
}

// doublingReduce is the all-reduce of few steps. Every step leaves its result
// in fresh scratch, because the transport may still read the one before.
func (c *Comm) doublingReduce(h Header, b Buf, op Op) error {
	h.Chunks = uint32(len(c.doubling))
	if c.size&(c.size-1) != 0 {
		// Ranks that fold have other numbers of exchanges; the headers of one
		// call are the same on all ranks.
		h.Chunks = 0
	}
	if err := c.announce(&h); err != nil {
		return err
	}
	size := len(b.raw)
	if need := size * len(c.doubling); len(c.scratch) < need {
		c.scratch = make([]byte, need)
	}
	cur := b.raw
	for i, x := range c.doubling {
		if x.Action == ring.Swap || x.Action == ring.Give {
			if err := c.send(x.Peer, h, 0, cur); err != nil {
				return err
			}
		}
		if x.Action == ring.Give {
			continue
		}
		f, err := c.receive(x.Peer, &h, 0, size)
		if err != nil {
			return err
		}
		next := c.scratch[i*size : (i+1)*size]
		switch {
		case x.Action == ring.Take:
			place(next, f.Pieces)
		case x.Peer < c.rank:
			place(next, f.Pieces)
			combine(b.dtype, op, next, [][]byte{cur})
		default:
			copy(next, cur)
			combine(b.dtype, op, next, f.Pieces)
		}
		f.Release()
		cur = next
	}
	if size == 0 {
		return nil
	}
	if !c.inflight.Wait(c.broken) {
		return errBroken
	}
	copy(b.raw, cur)
	if op == Avg {
		divide(b.dtype, b.raw, c.size)
	}
	return nil
}
