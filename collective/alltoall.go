package collective

import (
	"context"
	"errors"
	"fmt"

	"vgid/collective/schedule"
)

// AllToAll gives each rank a part of every rank: part j of rank i's in becomes
// part i of rank j's out. Both have the same length on all ranks, n times that of
// a part. out may be in.
func (c *Comm) AllToAll(ctx context.Context, in, out Buf) error {
	return c.now().AllToAll(ctx, in, out).Wait(ctx)
}

// AllToAllV is AllToAll with parts of different lengths: send names those of in,
// receive those of out, by rank. What a rank sends another is as long as that one
// expects of it. The buffers do not overlap.
func (c *Comm) AllToAllV(ctx context.Context, in Buf, send []int, out Buf, receive []int) error {
	return c.now().AllToAllV(ctx, in, send, out, receive).Wait(ctx)
}

// AllToAll is Comm.AllToAll.
func (a Async) AllToAll(ctx context.Context, in, out Buf) *Handle {
	var err error
	if n := a.c.size; in.Len()%n != 0 {
		err = fmt.Errorf("%d elements cannot be cut into equal parts for %d ranks", in.Len(), n)
	}
	return a.start(ctx, CallAllToAll, first(fits(in, out), err), func() error { return a.c.exchange.allToAll(in, out) })
}

// AllToAllV is Comm.AllToAllV.
func (a Async) AllToAllV(ctx context.Context, in Buf, send []int, out Buf, receive []int) *Handle {
	from, err := givenParts(send, a.c.size, in)
	to, err2 := givenParts(receive, a.c.size, out)
	switch rank := a.c.rank; {
	case err != nil:
	case err2 != nil:
		err = err2
	case in.dtype != out.dtype:
		err = fmt.Errorf("elements of %v go in and of %v come out", in.dtype, out.dtype)
	case overlap(in.raw, out.raw):
		err = errors.New("the buffers of what goes in and what comes out overlap")
	case from.length(rank) != to.length(rank):
		err = fmt.Errorf("rank %d sends itself %d elements and expects %d", rank, from.length(rank), to.length(rank))
	}
	return a.start(ctx, CallAllToAllV, err, func() error {
		x := a.c.exchange
		h := Header{Call: CallAllToAllV, DType: in.dtype}
		return x.pairwise(h, in, from, out, to)
	})
}

// allToAll takes Bruck's way for what is short: fewer messages, though each part
// travels several times.
func (x *exchange) allToAll(in, out Buf) error {
	if x.size == 1 {
		copyOver(out, in)
		return nil
	}
	l := equalParts(in.Len(), x.size)
	h := Header{Call: CallAllToAll, DType: in.dtype, Count: uint64(in.Len()), Chunks: x.frames(in)}
	if same(in.raw, out.raw) {
		in.raw = x.scratch.Take(len(out.raw))
		copy(in.raw, out.raw)
	}
	if x.choose(CallAllToAll, in) == schedule.Pairwise {
		return x.pairwise(h, in, l, out, l)
	}
	block := func(i int) []byte { return l.of(out, (x.rank-i+x.size)%x.size) }
	for i := range x.size {
		copy(block(i), l.of(in, (x.rank+i)%x.size))
	}
	return x.run(x.begin(h), x.plan(CallAllToAll, schedule.Bruck, 0), block)
}

// pairwise sends every part straight to its rank.
func (x *exchange) pairwise(h Header, in Buf, from layout, out Buf, to layout) error {
	copy(to.of(out, x.rank), from.of(in, x.rank))
	if x.size == 1 {
		return nil
	}
	return x.run(x.begin(h), x.plan(CallAllToAll, schedule.Pairwise, 0), func(i int) []byte {
		if i < x.size {
			return from.of(in, i)
		}
		return to.of(out, i-x.size)
	})
}
