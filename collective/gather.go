package collective

import (
	"context"
	"fmt"

	"vgid/collective/frame"
	"vgid/collective/internal/watch"
	"vgid/collective/schedule"
)

// Gather leaves on the root the parts of all ranks in rank order: in has the same
// length on all ranks, and out n times that. On the root in may be its part of
// out; on other ranks out is not looked at. A rank other than the root returns
// when it has passed its part on.
func (c *Comm) Gather(ctx context.Context, in, out Buf, root int) error {
	return c.now().Gather(ctx, in, out, root).Wait(ctx)
}

// GatherV is Gather with parts of different lengths, which only the root knows
// all of: on other ranks counts is not looked at.
func (c *Comm) GatherV(ctx context.Context, in, out Buf, counts []int, root int) error {
	return c.now().GatherV(ctx, in, out, counts, root).Wait(ctx)
}

// Scatter gives each rank its part of the root's in: in has n times the length of
// out, which is the same on all ranks. On the root out may be its part of in; on
// other ranks in is not looked at.
func (c *Comm) Scatter(ctx context.Context, in, out Buf, root int) error {
	return c.now().Scatter(ctx, in, out, root).Wait(ctx)
}

// ScatterV is Scatter with parts of different lengths, which only the root knows
// all of: on other ranks counts is not looked at.
func (c *Comm) ScatterV(ctx context.Context, in, out Buf, counts []int, root int) error {
	return c.now().ScatterV(ctx, in, out, counts, root).Wait(ctx)
}

// Gather is Comm.Gather.
func (a Async) Gather(ctx context.Context, in, out Buf, root int) *Handle {
	return a.rooted(ctx, CallGather, in, out, nil, root)
}

// GatherV is Comm.GatherV.
func (a Async) GatherV(ctx context.Context, in, out Buf, counts []int, root int) *Handle {
	return a.rooted(ctx, CallGatherV, in, out, counts, root)
}

// Scatter is Comm.Scatter.
func (a Async) Scatter(ctx context.Context, in, out Buf, root int) *Handle {
	return a.rooted(ctx, CallScatter, out, in, nil, root)
}

// ScatterV is Comm.ScatterV.
func (a Async) ScatterV(ctx context.Context, in, out Buf, counts []int, root int) *Handle {
	return a.rooted(ctx, CallScatterV, out, in, counts, root)
}

// rooted starts one of the four: part is what every rank has or gets, whole what
// the root gets or has.
func (a Async) rooted(ctx context.Context, call Call, part, whole Buf, counts []int, root int) *Handle {
	var l layout
	err := a.isRank(root)
	if err == nil && a.c.rank == root {
		if call.Is(frame.Pairs) {
			l, err = givenParts(counts, a.c.size, whole)
		} else if l = equalParts(whole.Len(), a.c.size); whole.Len() != a.c.size*part.Len() {
			err = fmt.Errorf("the buffer of all %d ranks has %d elements, the part of each %d", a.c.size, whole.Len(), part.Len())
		}
		if err == nil {
			err = l.isPart(root, part, whole)
		}
	}
	return a.start(ctx, call, err, func() error {
		t := &rootedTree{x: a.c.exchange, call: call, part: part, whole: whole, l: l, root: root}
		return t.run()
	})
}

// rootedTree moves parts between the root and all ranks, along the binomial tree.
// A rank on the way keeps the parts of those below it in scratch.
type rootedTree struct {
	x           *exchange
	call        Call
	part, whole Buf
	l           layout // of whole, on the root
	root        int
}

func (t *rootedTree) down() bool { return t.call == CallScatter || t.call == CallScatterV }

func (t *rootedTree) run() error {
	x := t.x
	isRoot := x.rank == t.root
	if isRoot {
		own := Buf{t.whole.dtype, t.l.of(t.whole, x.rank)}
		if t.down() {
			copyOver(t.part, own)
		} else {
			copyOver(own, t.part)
		}
	}
	if x.size == 1 {
		return nil
	}
	h := x.begin(Header{Call: t.call, DType: t.part.dtype, Root: uint32(t.root)})
	plan := x.plan(CallGather, schedule.BinomialTree, t.root)
	if t.down() {
		plan = x.plan(CallScatter, schedule.BinomialTree, t.root)
	}
	counts := make([]int, x.size) // of the ranks below
	if t.call.Is(frame.Pairs) {
		var err error
		if counts, err = t.tellCounts(h, plan); err != nil {
			return err
		}
	} else {
		h.Count, h.Chunks = uint64(t.part.Len()), x.frames(t.part)
		for _, r := range schedule.Subtree(x.rank, x.size, t.root).In(x.size) {
			counts[r] = t.part.Len()
		}
	}
	if isRoot {
		return x.run(h, plan, func(i int) []byte { return t.l.of(t.whole, i) })
	}
	counts[x.rank] = 0 // the own part is not in scratch
	below := partsOf(counts)
	between := Buf{t.part.dtype, x.scratch.Take(below.total() * t.part.dtype.Size())}
	return x.run(h, plan, func(i int) []byte {
		if i == x.rank {
			return t.part.raw
		}
		return below.of(between, i)
	})
}

// tellCounts moves the lengths of the parts the way that the parts are to go, and
// compares what the root expects with what the ranks have. It gives those of the
// ranks below.
func (t *rootedTree) tellCounts(h Header, plan schedule.Plan) ([]int, error) {
	x := t.x
	told := make([]int64, x.size)
	if isRoot := x.rank == t.root; isRoot && t.down() {
		for r := range told {
			told[r] = int64(t.l.length(r))
		}
	} else if !t.down() {
		told[x.rank] = int64(t.part.Len())
	}
	all := I64(told)
	// With the same header as the parts, since a rank may be at those already when
	// another compares.
	if err := x.run(h, plan, func(i int) []byte { return all.elements(i, i+1) }); err != nil {
		return nil, err
	}
	differs := func(peer int, has, expects int, err string) error {
		x.fail(peer, fmt.Errorf(err, has, t.part.dtype, x.inJob(x.rank), expects))
		return watch.ErrBroken
	}
	switch isRoot := x.rank == t.root; {
	case isRoot && !t.down():
		for r, n := range told {
			if int(n) != t.l.length(r) {
				return nil, differs(r, int(n), t.l.length(r), "it gives %d %v where root %d expects %d")
			}
		}
	case !isRoot && t.down() && told[x.rank] != int64(t.part.Len()):
		return nil, differs(t.root, int(told[x.rank]), t.part.Len(), "the root has %d %v for rank %d, which expects %d")
	}
	l, err := x.believe(told, t.part.dtype.Size())
	if err != nil {
		return nil, err
	}
	counts := make([]int, x.size)
	for r := range counts {
		counts[r] = l.length(r)
	}
	return counts, nil
}
