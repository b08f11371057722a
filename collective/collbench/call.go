package collbench

import (
	"context"
	"fmt"

	"vgid/collective"
)

// call is a collective as the bench makes it. Its size is that of the longest
// buffer of a rank, as nccl-tests have it; its root is rank 0.
type call struct {
	name string
	kind kind
	// varying says that the parts of the ranks differ in length: that of rank r is
	// r+1 of n(n+1)/2. Else they are equal.
	varying bool
}

// kind is what happens to the data of a call.
type kind int

const (
	allReduce kind = iota
	reduceScatter
	allGather
	broadcast
	reduceTo
	gather
	scatter
	allToAll
	sendRecv // each rank sends to the next one and receives from the one before
	barrier
	split // into one communicator of all ranks, which is closed again
)

// calls are all that can be measured, in the order of "all".
var calls = []call{
	{"all-reduce", allReduce, false}, {"reduce-scatter", reduceScatter, false}, {"reduce-scatter-v", reduceScatter, true},
	{"all-gather", allGather, false}, {"all-gather-v", allGather, true}, {"broadcast", broadcast, false}, {"reduce", reduceTo, false},
	{"gather", gather, false}, {"gather-v", gather, true}, {"scatter", scatter, false}, {"scatter-v", scatter, true},
	{"all-to-all", allToAll, false}, {"all-to-all-v", allToAll, true}, {"send-recv", sendRecv, false}, {"barrier", barrier, false},
	{"split", split, false},
}

// moves reports whether the call moves data, and so has sizes.
func (c call) moves() bool { return c.kind != barrier && c.kind != split }

// inPlace reports whether what goes in and what comes out are one buffer.
func (c call) inPlace() bool { return c.kind == allReduce || c.kind == broadcast }

// traffic is what nccl-tests (doc/PERFORMANCE.md) multiply the bandwidth of a call
// by: what each link has to carry of each byte, so that the product does not depend
// on the number of ranks when the links are the limit. wire is what all ranks
// together have to send of each byte. Parts that differ count as equal ones.
func (c call) traffic(n int) (bus, wire float64) {
	others := float64(n - 1)
	part := others / float64(n)
	switch c.kind {
	case allReduce:
		return 2 * part, 2 * others
	case reduceScatter, allGather, allToAll:
		return part, others
	case broadcast, reduceTo:
		return 1, others
	case gather, scatter:
		return part, part
	case sendRecv:
		return 1, float64(n)
	}
	return 0, 0
}

// parts are where the parts of all ranks begin in a buffer of so many elements, and its end.
func (c call) parts(count, n int) []int {
	at := make([]int, n+1)
	for r := range at {
		at[r] = r * (count / n)
		if c.varying {
			at[r] = count * (r * (r + 1) / 2) / (n * (n + 1) / 2)
		}
	}
	at[n] = count
	return at
}

// whole is the greatest number of elements up to count that has equal parts.
func (c call) whole(count, n int) int {
	switch c.kind {
	case reduceScatter, allGather, gather, scatter, allToAll:
		if !c.varying {
			return count / n * n
		}
	}
	return count
}

// all is the source of elements that are the sum over all ranks.
const all = -1

// piece is elements that come out of a call: a run of those that a rank put in, or that
// all put in.
type piece struct{ from, start, count int }

// shape is a call as one rank makes it.
type shape struct {
	in, out     int   // elements of the buffers, which are one where they are in place
	counts      []int // of the parts of the ranks; what a rank sends each rank in all-to-all
	root        bool
	left, right int
	comesOut    []piece
}

// shape says what a rank of n does in a call of so many elements.
func (c call) shape(count, rank, n int) shape {
	at := c.parts(count, n)
	s := shape{root: rank == 0, left: (rank + n - 1) % n, right: (rank + 1) % n}
	for r := range n {
		s.counts = append(s.counts, at[r+1]-at[r])
	}
	own := s.counts[rank]
	// gathered are the parts of all ranks, each of which has only its own.
	gathered := func() (p []piece) {
		for r, k := range s.counts {
			p = append(p, piece{r, 0, k})
		}
		return p
	}
	switch c.kind {
	case allReduce:
		s.in, s.out, s.comesOut = count, count, []piece{{all, 0, count}}
	case broadcast:
		s.in, s.out, s.comesOut = count, count, []piece{{0, 0, count}}
	case reduceTo:
		if s.in = count; s.root {
			s.out, s.comesOut = count, []piece{{all, 0, count}}
		}
	case reduceScatter:
		s.in, s.out, s.comesOut = count, own, []piece{{all, at[rank], own}}
	case allGather:
		s.in, s.out, s.comesOut = own, count, gathered()
	case gather:
		if s.in = own; s.root {
			s.out, s.comesOut = count, gathered()
		}
	case scatter:
		if s.out, s.comesOut = own, []piece{{0, at[rank], own}}; s.root {
			s.in = count
		}
	case allToAll:
		s.in, s.out = count, count
		lengths := s.counts
		// Of ranks i and j each sends the other the part (i+j) mod n, so that all send as much as
		// they receive.
		between := func(i, j int) int { return lengths[(i+j)%n] }
		s.counts = make([]int, n)
		for q := range n {
			s.counts[q] = between(rank, q)
			start := 0
			for j := range rank {
				start += between(q, j)
			}
			s.comesOut = append(s.comesOut, piece{q, start, between(q, rank)})
		}
	case sendRecv:
		s.in, s.out, s.comesOut = count, count, []piece{{s.left, 0, count}}
	}
	return s
}

// do makes the call.
func (c call) do(ctx context.Context, comm *collective.Comm, s shape, in, out collective.Buf) error {
	const root, tag = 0, 0
	switch c.kind {
	case allReduce:
		return comm.AllReduce(ctx, in, collective.Sum)
	case broadcast:
		return comm.Broadcast(ctx, in, root)
	case reduceTo:
		return comm.Reduce(ctx, in, out, collective.Sum, root)
	case barrier:
		return comm.Barrier(ctx)
	case sendRecv:
		h := comm.Async().Recv(ctx, out, s.left, tag)
		if err := comm.Send(ctx, in, s.right, tag); err != nil {
			return err
		}
		return h.Wait(ctx)
	case split:
		child, err := comm.Split(ctx, 0, comm.Rank())
		if err != nil {
			return err
		}
		return child.Close()
	}
	if c.varying {
		return c.doVarying(ctx, comm, s, in, out)
	}
	switch c.kind {
	case reduceScatter:
		return comm.ReduceScatter(ctx, in, out, collective.Sum)
	case allGather:
		return comm.AllGather(ctx, in, out)
	case gather:
		return comm.Gather(ctx, in, out, root)
	case scatter:
		return comm.Scatter(ctx, in, out, root)
	case allToAll:
		return comm.AllToAll(ctx, in, out)
	}
	return fmt.Errorf("there is no way to make the call %s", c.name)
}

// doVarying makes a call whose parts differ.
func (c call) doVarying(ctx context.Context, comm *collective.Comm, s shape, in, out collective.Buf) error {
	const root = 0
	switch c.kind {
	case reduceScatter:
		return comm.ReduceScatterV(ctx, in, out, s.counts, collective.Sum)
	case allGather:
		return comm.AllGatherV(ctx, in, out, s.counts)
	case gather:
		return comm.GatherV(ctx, in, out, s.counts, root)
	case scatter:
		return comm.ScatterV(ctx, in, out, s.counts, root)
	case allToAll:
		return comm.AllToAllV(ctx, in, s.counts, out, s.counts)
	}
	return fmt.Errorf("there is no way to make the call %s", c.name)
}
