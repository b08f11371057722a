// Package calltest tests the operations of communicators, over whatever
// transport: it makes calls with inputs that are known, and compares what comes
// out with what a few lines of arithmetic say.
package calltest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"vgid/collective"
)

// Job is one call that all ranks make.
type Job struct {
	Call  collective.Call
	DType collective.DType
	Op    collective.Op
	Root  int
	// Count is the elements of the longest buffer of the call, but for gather,
	// scatter and all-to-all those of a part.
	Count int
	// Counts are the elements of the part of each rank, in calls that end with V;
	// AllToAllV sends Counts[(from+to) % n] elements.
	Counts  []int
	InPlace bool // where the call can be
	Async   bool
}

// length is how many elements rank from has for rank to.
func (j Job) length(from, to int) int {
	if j.Call == collective.CallAllToAllV {
		return j.Counts[(from+to)%len(j.Counts)]
	}
	return j.Count
}

// starts are where the parts of all ranks begin in a buffer that holds them, and
// its end.
func (j Job) starts(n int) []int {
	out := make([]int, n+1)
	for r := range n {
		size := j.Count / n
		if r < j.Count%n {
			size++
		}
		switch j.Call {
		case collective.CallGather, collective.CallScatter:
			size = j.Count
		case collective.CallGatherV, collective.CallScatterV, collective.CallAllGatherV, collective.CallReduceScatterV:
			size = j.Counts[r]
		}
		out[r+1] = out[r] + size
	}
	return out
}

// lengths are the elements that a rank sends all ranks, or gets of them.
func (j Job) lengths(n int, of func(peer int) int) (counts []int, total int) {
	for r := range n {
		counts = append(counts, of(r))
		total += of(r)
	}
	return counts, total
}

// Do makes the call and gives what came out on this rank, nil where nothing does.
// An input that was changed is an error.
func (j Job) Do(ctx context.Context, c *collective.Comm) ([]byte, error) {
	n, rank := c.Size(), c.Rank()
	a := c.Async()
	wait := func(h *collective.Handle) error { return h.Wait(ctx) }
	starts := j.starts(n)
	part := func(raw []byte) []byte {
		size := j.DType.Size()
		return raw[starts[rank]*size : starts[rank+1]*size]
	}
	in := j.input(rank, j.inputs(n, rank))
	kept := slices.Clone(in)
	out := j.empty(j.outputs(n, rank))
	if j.InPlace {
		switch j.Call {
		case collective.CallReduceScatter, collective.CallReduceScatterV:
			out = part(in)
		case collective.CallAllGather, collective.CallAllGatherV:
			copy(part(out), in)
			in = part(out)
		case collective.CallGather, collective.CallGatherV:
			if rank == j.Root {
				copy(part(out), in)
				in = part(out)
			}
		case collective.CallScatter, collective.CallScatterV:
			if rank == j.Root {
				out = part(in)
			}
		default:
			out = in
		}
	}
	from, to := j.buf(in), j.buf(out)
	var err error
	switch j.Call {
	case collective.CallAllReduce:
		switch {
		case j.InPlace && j.Async:
			err = wait(a.AllReduce(ctx, to, j.Op))
		case j.InPlace:
			err = c.AllReduce(ctx, to, j.Op)
		case j.Async:
			err = wait(a.AllReduceTo(ctx, from, to, j.Op))
		default:
			err = c.AllReduceTo(ctx, from, to, j.Op)
		}
	case collective.CallBroadcast:
		copy(out, in)
		if j.Async {
			err = wait(a.Broadcast(ctx, to, j.Root))
		} else {
			err = c.Broadcast(ctx, to, j.Root)
		}
	case collective.CallReduce:
		if j.Async {
			err = wait(a.Reduce(ctx, from, to, j.Op, j.Root))
		} else {
			err = c.Reduce(ctx, from, to, j.Op, j.Root)
		}
	case collective.CallReduceScatter:
		err = c.ReduceScatter(ctx, from, to, j.Op)
	case collective.CallReduceScatterV:
		err = c.ReduceScatterV(ctx, from, to, j.Counts, j.Op)
	case collective.CallAllGather:
		err = c.AllGather(ctx, from, to)
	case collective.CallAllGatherV:
		err = c.AllGatherV(ctx, from, to, j.Counts)
	case collective.CallGather:
		err = c.Gather(ctx, from, to, j.Root)
	case collective.CallGatherV:
		err = c.GatherV(ctx, from, to, j.Counts, j.Root)
	case collective.CallScatter:
		err = c.Scatter(ctx, from, to, j.Root)
	case collective.CallScatterV:
		err = c.ScatterV(ctx, from, to, j.Counts, j.Root)
	case collective.CallAllToAll:
		err = c.AllToAll(ctx, from, to)
	case collective.CallAllToAllV:
		send, _ := j.lengths(n, func(peer int) int { return j.length(rank, peer) })
		receive, _ := j.lengths(n, func(peer int) int { return j.length(peer, rank) })
		err = c.AllToAllV(ctx, from, send, to, receive)
	case collective.CallBarrier:
		err = c.Barrier(ctx)
	default:
		err = fmt.Errorf("calltest: no way to make the call %v", j.Call)
	}
	if err == nil && !j.InPlace && !bytes.Equal(in, kept) {
		err = fmt.Errorf("the input of rank %d was changed", rank)
	}
	return out, err
}

// inputs and outputs are how many elements go in and come out on a rank.
func (j Job) inputs(n, rank int) int {
	switch j.Call {
	case collective.CallAllReduce, collective.CallBroadcast, collective.CallReduce, collective.CallReduceScatter:
		return j.Count
	case collective.CallScatter, collective.CallScatterV:
		if rank != j.Root {
			return 0
		}
		return j.starts(n)[n]
	case collective.CallReduceScatterV:
		return j.starts(n)[n]
	case collective.CallAllToAll, collective.CallAllToAllV:
		_, total := j.lengths(n, func(peer int) int { return j.length(rank, peer) })
		return total
	case collective.CallBarrier:
		return 0
	}
	s := j.starts(n) // the ways of gathering
	return s[rank+1] - s[rank]
}

func (j Job) outputs(n, rank int) int {
	s := j.starts(n)
	switch j.Call {
	case collective.CallAllReduce, collective.CallBroadcast:
		return j.Count
	case collective.CallReduce:
		if rank == j.Root {
			return j.Count
		}
		return 0
	case collective.CallAllGather, collective.CallAllGatherV:
		return s[n]
	case collective.CallGather, collective.CallGatherV:
		if rank == j.Root {
			return s[n]
		}
		return 0
	case collective.CallAllToAll, collective.CallAllToAllV:
		_, total := j.lengths(n, func(peer int) int { return j.length(peer, rank) })
		return total
	case collective.CallBarrier:
		return 0
	}
	return s[rank+1] - s[rank] // the ways of scattering
}
