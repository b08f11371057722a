package collective

import "context"

// Broadcast replaces b on every rank by the root's. The root returns when every
// rank has it, so that ranks which name different roots learn of it here.
func (c *Comm) Broadcast(ctx context.Context, b Buf, root int) error {
	return c.now().Broadcast(ctx, b, root).Wait(ctx)
}

// Broadcast is Comm.Broadcast.
func (a Async) Broadcast(ctx context.Context, b Buf, root int) *Handle {
	return a.start(ctx, CallBroadcast, a.isRank(root), func() error { return a.c.exchange.broadcast(b, root) })
}

// broadcast passes chunks down a tree, of fewest steps, where there is little to
// pass, or down a chain, in which every rank sends as much as it receives.
func (x *exchange) broadcast(b Buf, root int) error {
	if x.size == 1 {
		return nil
	}
	h := x.begin(Header{Call: CallBroadcast, DType: b.dtype, Count: uint64(b.Len()), Root: uint32(root), Chunks: x.frames(b)})
	return x.run(h, x.plan(CallBroadcast, x.choose(CallBroadcast, b), root), func(int) []byte { return b.raw })
}
