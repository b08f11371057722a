package collective

import (
	"context"

	"vgid/collective/reduce"
)

// AllReduce replaces b on every rank by the reduction over all ranks. All
// ranks end with the same bits, and with the same bits in every run.
func (c *Comm) AllReduce(ctx context.Context, b Buf, op Op) error {
	return c.now().AllReduce(ctx, b, op).Wait(ctx)
}

// AllReduceTo is AllReduce with the result in out; in stays as it is.
func (c *Comm) AllReduceTo(ctx context.Context, in, out Buf, op Op) error {
	return c.now().AllReduceTo(ctx, in, out, op).Wait(ctx)
}

// AllReduce is Comm.AllReduce.
func (a Async) AllReduce(ctx context.Context, b Buf, op Op) *Handle {
	return a.start(ctx, CallAllReduce, reducible(b, op), func() error { return a.c.exchange.allReduce(b, op) })
}

// AllReduceTo is Comm.AllReduceTo.
func (a Async) AllReduceTo(ctx context.Context, in, out Buf, op Op) *Handle {
	return a.start(ctx, CallAllReduce, first(reducible(in, op), fits(in, out)), func() error {
		copyOver(out, in)
		return a.c.exchange.allReduce(out, op)
	})
}

// allReduce takes an algorithm of few steps for what is short, and one of few bytes for
// the rest: the time of a step is most of the one, the time of the bytes most of
// the other. The first are over a single block.
func (x *exchange) allReduce(b Buf, op Op) error {
	if x.size == 1 {
		return nil
	}
	h := x.begin(Header{Call: CallAllReduce, Reduce: op, DType: b.dtype, Count: uint64(b.Len()), Chunks: x.frames(b), AsBF16: x.asBF16(b, op)})
	plan := x.plan(CallAllReduce, x.choose(CallAllReduce, b), 0)
	if plan.Blocks > 1 {
		return x.run(h, plan, segments(b, x.size, &plan))
	}
	if err := x.run(h, plan, func(int) []byte { return b.raw }); err != nil {
		return err
	}
	if op == Avg {
		reduce.Divide(b.dtype, b.raw, x.size)
	}
	return nil
}
