package collective

import (
	"fmt"

	"vgid/collective/reduce"
	"vgid/collective/schedule"
)

// broadcast passes chunks down a tree, of fewest steps, where there is little to
// pass, or down a chain, in which every rank sends as much as it receives.
func (x *exchange) broadcast(b Buf, root int) error {
	m := x.chunks(len(b.raw))
	h := x.begin(Header{Call: CallBroadcast, DType: b.dtype, Count: uint64(b.Len()), Root: uint32(root), Chunks: uint32(m)})
	if err := x.watch.announce(&h); err != nil {
		return err
	}
	shape := schedule.Chain
	if len(b.raw) <= x.opt.SmallBytes {
		shape = schedule.Tree
	}
	parent, children := shape(x.rank, x.size, root)
	for j := range m {
		part := x.chunk(b.raw, j)
		if parent >= 0 {
			f, err := x.receive(parent, &h, j, len(part))
			if err != nil {
				return err
			}
			reduce.Place(part, f.Pieces)
			f.Release()
		}
		for _, child := range children {
			if err := x.send(child, h, j, part); err != nil {
				return err
			}
		}
	}
	// Back to the root, without content: all have it.
	for _, child := range children {
		f, err := x.receive(child, &h, m, 0)
		if err != nil {
			return err
		}
		f.Release()
	}
	if parent >= 0 {
		return x.send(parent, h, m, nil)
	}
	return nil
}

// maxGather bounds what AllGatherBytes collects, so that a damaged length
// cannot ask for all memory.
const maxGather = 4 << 30

// allGather first tells all ranks all lengths, then passes the bytes around.
func (x *exchange) allGather(mine []byte) ([][]byte, error) {
	lengths := make([]int64, x.size)
	lengths[x.rank] = int64(len(mine))
	if err := x.allReduce(CallAllGather, I64(lengths), Sum); err != nil {
		return nil, err
	}
	total := int64(0)
	for r, n := range lengths {
		if n < 0 || n > maxGather || total+n > maxGather {
			x.failure.end(&RankError{Rank: x.rank, Peer: r, Err: fmt.Errorf("it gathers %d bytes, more than the limit of %d in all", n, int64(maxGather))}, true)
			return nil, errBroken
		}
		total += n
	}
	all := make([][]byte, x.size)
	buf := make([]byte, total)
	for r, n := range lengths {
		all[r], buf = buf[:n:n], buf[n:]
	}
	copy(all[x.rank], mine)
	h := x.begin(Header{Call: CallAllGather, DType: TypeBytes, Count: uint64(total)})
	return all, x.ringPass(h, x.gathering, func(i int) []byte { return all[i] }, TypeBytes, Sum)
}
