package collective

import (
	"context"
	"fmt"

	"vgid/collective/ring"
)

// Broadcast replaces b on every rank by the root's. The root returns when every
// rank has it, so that ranks which name different roots learn of it here.
func (c *Comm) Broadcast(ctx context.Context, b Buf, root int) error {
	h := &Handle{ctx: ctx, call: CallBroadcast, run: func() error { return c.broadcast(b, root) }}
	if root < 0 || root >= c.size {
		return c.refused(h, fmt.Errorf("root %d is not a rank of 0 … %d", root, c.size-1)).Wait(ctx)
	}
	return c.start(h, true).Wait(ctx)
}

func (c *Comm) broadcast(b Buf, root int) error {
	m := c.chunks(len(b.raw))
	h := c.begin(Header{Call: CallBroadcast, DType: b.dtype, Count: uint64(b.Len()), Root: uint32(root), Chunks: uint32(m)})
	if err := c.announce(&h); err != nil {
		return err
	}
	shape := ring.Chain
	if len(b.raw) <= c.opt.SmallBytes {
		shape = ring.Tree
	}
	parent, children := shape(c.rank, c.size, root)
	for j := range m {
		part := c.chunk(b.raw, j)
		if parent >= 0 {
			f, err := c.receive(parent, &h, j, len(part))
			if err != nil {
				return err
			}
			place(part, f.Pieces)
			f.Release()
		}
		for _, child := range children {
			if err := c.send(child, h, j, part); err != nil {
				return err
			}
		}
	}
	// Back to the root, without content: all have it.
	for _, child := range children {
		f, err := c.receive(child, &h, m, 0)
		if err != nil {
			return err
		}
		f.Release()
	}
	if parent >= 0 {
		return c.send(parent, h, m, nil)
	}
	return nil
}

// maxGather bounds what AllGatherBytes collects, so that a damaged length
// cannot ask for all memory.
const maxGather = 4 << 30

// AllGatherBytes gives every rank the bytes of all ranks, in rank order.
// Lengths may differ. The results are fresh memory.
func (c *Comm) AllGatherBytes(ctx context.Context, mine []byte) ([][]byte, error) {
	all := [][]byte{append([]byte{}, mine...)}
	h := &Handle{ctx: ctx, call: CallAllGather, run: func() (err error) { all, err = c.allGather(mine); return err }}
	if err := c.start(h, true).Wait(ctx); err != nil {
		return nil, err
	}
	return all, nil
}

// allGather first tells all ranks all lengths, then passes the bytes around.
func (c *Comm) allGather(mine []byte) ([][]byte, error) {
	lengths := make([]int64, c.size)
	lengths[c.rank] = int64(len(mine))
	if err := c.allReduce(CallAllGather, I64(lengths), Sum); err != nil {
		return nil, err
	}
	total := int64(0)
	for r, n := range lengths {
		if n < 0 || n > maxGather || total+n > maxGather {
			c.fail(&RankError{Rank: c.rank, Peer: r, Err: fmt.Errorf("it gathers %d bytes, more than the limit of %d in all", n, int64(maxGather))}, true)
			return nil, errBroken
		}
		total += n
	}
	all := make([][]byte, c.size)
	buf := make([]byte, total)
	for r, n := range lengths {
		all[r], buf = buf[:n:n], buf[n:]
	}
	copy(all[c.rank], mine)
	h := c.begin(Header{Call: CallAllGather, DType: TypeBytes, Count: uint64(total)})
	return all, c.ringPass(h, c.gathering, func(i int) []byte { return all[i] }, TypeBytes, Sum)
}
