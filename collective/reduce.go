package collective

import (
	"context"

	"vgid/collective/reduce"
)

// Reduce leaves the reduction of all ranks' in on the root, in out, which may be
// in. On other ranks out is not looked at, and in stays as it is. A rank other
// than the root returns when it has passed its part on.
func (c *Comm) Reduce(ctx context.Context, in, out Buf, op Op, root int) error {
	return c.now().Reduce(ctx, in, out, op, root).Wait(ctx)
}

// Reduce is Comm.Reduce.
func (a Async) Reduce(ctx context.Context, in, out Buf, op Op, root int) *Handle {
	err := first(a.isRank(root), reducible(in, op))
	if a.c.rank == root {
		err = first(err, fits(in, out))
	}
	return a.start(ctx, CallReduce, err, func() error { return a.c.exchange.reduce(in, out, op, root) })
}

// reduce goes up the trees that a broadcast goes down. Ranks with others below
// them add to a copy, since in is the caller's.
func (x *exchange) reduce(in, out Buf, op Op, root int) error {
	if x.rank == root {
		copyOver(out, in)
	}
	if x.size == 1 {
		return nil
	}
	h := x.begin(Header{Call: CallReduce, Reduce: op, DType: in.dtype, Count: uint64(in.Len()), Root: uint32(root), Chunks: x.frames(in)})
	plan := x.plan(CallReduce, x.choose(CallReduce, in), root)
	part := in.raw
	switch {
	case x.rank == root:
		part = out.raw
	case len(plan.Steps) > 1:
		part = x.scratch.Take(len(in.raw))
		copy(part, in.raw)
	}
	if err := x.run(h, plan, func(int) []byte { return part }); err != nil {
		return err
	}
	if x.rank == root && op == Avg {
		reduce.Divide(out.dtype, out.raw, x.size)
	}
	return nil
}
