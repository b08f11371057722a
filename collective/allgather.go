package collective

import (
	"context"
	"fmt"

	"vgid/collective/internal/watch"
)

// AllGather gives every rank the parts of all ranks in rank order: out is cut
// into n nearly equal parts, as schedule.Segment does, and in is the one of the
// rank's number. in may be that part of out.
func (c *Comm) AllGather(ctx context.Context, in, out Buf) error {
	return c.now().AllGather(ctx, in, out).Wait(ctx)
}

// AllGatherV is AllGather with parts of given lengths, which are the same on all
// ranks.
func (c *Comm) AllGatherV(ctx context.Context, in, out Buf, counts []int) error {
	return c.now().AllGatherV(ctx, in, out, counts).Wait(ctx)
}

// AllGatherBytes gives every rank the bytes of all ranks, in rank order.
// Lengths may differ. The results are fresh memory.
func (c *Comm) AllGatherBytes(ctx context.Context, mine []byte) ([][]byte, error) {
	var all [][]byte
	h := c.now().start(ctx, CallAllGather, nil, func() (err error) { all, err = c.exchange.allGatherBytes(mine); return err })
	if err := h.Wait(ctx); err != nil {
		return nil, err
	}
	return all, nil
}

// AllGather is Comm.AllGather.
func (a Async) AllGather(ctx context.Context, in, out Buf) *Handle {
	l := equalParts(out.Len(), a.c.size)
	return a.start(ctx, CallAllGather, l.isPart(a.c.rank, in, out), func() error { return a.c.exchange.allGather(CallAllGather, in, out, l) })
}

// AllGatherV is Comm.AllGatherV.
func (a Async) AllGatherV(ctx context.Context, in, out Buf, counts []int) *Handle {
	l, err := givenParts(counts, a.c.size, out)
	if err == nil {
		err = l.isPart(a.c.rank, in, out)
	}
	return a.start(ctx, CallAllGatherV, err, func() error { return a.c.exchange.allGather(CallAllGatherV, in, out, l) })
}

// allGather moves the same bytes in few steps or in many. The ring sends on what
// came in before all of it has; so it is as good for much, and has two links.
func (x *exchange) allGather(call Call, in, out Buf, l layout) error {
	if own := l.of(out, x.rank); !same(own, in.raw) {
		copy(own, in.raw)
	}
	if x.size == 1 {
		return nil
	}
	h := x.begin(Header{Call: call, DType: out.dtype, Count: uint64(out.Len()), Root: l.checksum, Chunks: x.frames(out)})
	plan := x.plan(CallAllGather, x.choose(call, out), 0)
	return x.run(h, plan, func(i int) []byte { return l.of(out, plan.Part(i)) })
}

// maxGather bounds what is collected where a rank learns the lengths from others,
// so that a damaged length cannot ask for all memory.
const maxGather = 4 << 30

// allGatherBytes first tells all ranks all lengths, then passes the bytes around.
func (x *exchange) allGatherBytes(mine []byte) ([][]byte, error) {
	lengths := make([]int64, x.size)
	lengths[x.rank] = int64(len(mine))
	all := I64(lengths)
	if err := x.allGather(CallAllGather, Buf{TypeI64, all.elements(x.rank, x.rank+1)}, all, equalParts(x.size, x.size)); err != nil {
		return nil, err
	}
	counts, err := x.believe(lengths, 1)
	if err != nil {
		return nil, err
	}
	out := Bytes(make([]byte, counts.total()))
	if err := x.allGather(CallAllGather, Bytes(mine), out, counts); err != nil {
		return nil, err
	}
	parts := make([][]byte, x.size)
	for r := range parts {
		p := counts.of(out, r)
		parts[r] = p[:len(p):len(p)]
	}
	return parts, nil
}

// believe makes a layout of lengths that other ranks sent, of elements of so many
// bytes, or fails.
func (x *exchange) believe(lengths []int64, size int) (layout, error) {
	counts, all := make([]int, len(lengths)), int64(0)
	for r, n := range lengths {
		if n < 0 || n > maxGather/int64(size) || all+n > maxGather/int64(size) {
			x.fail(r, fmt.Errorf("it gathers %d bytes, more than the limit of %d in all", n*int64(size), int64(maxGather)))
			return layout{}, watch.ErrBroken
		}
		counts[r], all = int(n), all+n
	}
	return partsOf(counts), nil
}
