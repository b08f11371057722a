package collective

import "context"

// Barrier returns when every rank has called it.
func (c *Comm) Barrier(ctx context.Context) error { return c.now().Barrier(ctx).Wait(ctx) }

// Barrier is Comm.Barrier.
func (a Async) Barrier(ctx context.Context) *Handle {
	return a.start(ctx, CallBarrier, nil, func() error {
		x := a.c.exchange
		if x.size == 1 {
			return nil
		}
		h := x.begin(Header{Call: CallBarrier, DType: TypeBytes, Chunks: 1})
		return x.run(h, x.plan(CallBarrier, x.choose(CallBarrier, Buf{}), 0), nil)
	})
}
