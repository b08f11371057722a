package collective

import (
	"context"

	"vgid/collective/reduce"
)

// ReduceScatter leaves on each rank its part of the reduction of all ranks' in:
// of n nearly equal parts, as schedule.Segment cuts them, the one of its number.
// out may be that part of in, and then the other parts of in are lost; else in
// stays as it is. The bits are those that AllReduce gives the part.
func (c *Comm) ReduceScatter(ctx context.Context, in, out Buf, op Op) error {
	return c.now().ReduceScatter(ctx, in, out, op).Wait(ctx)
}

// ReduceScatterV is ReduceScatter with parts of given lengths, which are the same
// on all ranks.
func (c *Comm) ReduceScatterV(ctx context.Context, in, out Buf, counts []int, op Op) error {
	return c.now().ReduceScatterV(ctx, in, out, counts, op).Wait(ctx)
}

// ReduceScatter is Comm.ReduceScatter.
func (a Async) ReduceScatter(ctx context.Context, in, out Buf, op Op) *Handle {
	l := equalParts(in.Len(), a.c.size)
	return a.start(ctx, CallReduceScatter, first(reducible(in, op), l.isPart(a.c.rank, out, in)), func() error {
		return a.c.exchange.reduceScatter(CallReduceScatter, in, out, l, op)
	})
}

// ReduceScatterV is Comm.ReduceScatterV.
func (a Async) ReduceScatterV(ctx context.Context, in, out Buf, counts []int, op Op) *Handle {
	l, err := givenParts(counts, a.c.size, in)
	err = first(err, reducible(in, op))
	if err == nil {
		err = l.isPart(a.c.rank, out, in)
	}
	return a.start(ctx, CallReduceScatterV, err, func() error {
		return a.c.exchange.reduceScatter(CallReduceScatterV, in, out, l, op)
	})
}

// reduceScatter takes the first half of an all-reduce by the same algorithm; by those
// over a single block, which reduce more than it needs but in few steps, the whole.
// All of them work on memory that holds partial results.
func (x *exchange) reduceScatter(call Call, in, out Buf, l layout, op Op) error {
	if x.size == 1 {
		copyOver(out, in)
		return nil
	}
	work := in
	// An empty part says nothing of whether the caller gives in away.
	if own := l.of(in, x.rank); len(own) == 0 || !same(own, out.raw) {
		work = Buf{in.dtype, x.scratch.Take(len(in.raw))}
		copy(work.raw, in.raw)
	}
	own := l.of(work, x.rank)
	h := x.begin(Header{Call: call, Reduce: op, DType: in.dtype, Count: uint64(in.Len()), Root: l.checksum, Chunks: x.frames(in), AsBF16: x.asBF16(in, op)})
	plan := x.plan(CallReduceScatter, x.choose(call, in), 0)
	block := func(i int) []byte { return l.of(work, plan.Part(i)) }
	if plan.Blocks == 1 {
		block = func(int) []byte { return work.raw }
	}
	if err := x.run(h, plan, block); err != nil {
		return err
	}
	if plan.Blocks == 1 && op == Avg { // the others divide as they finish
		reduce.Divide(in.dtype, own, x.size)
	}
	copyOver(out, Buf{in.dtype, own})
	return nil
}
