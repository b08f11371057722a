package collective

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Split makes communicators of the ranks that name the same color, ordered by
// key and, where that is the same, by rank. A rank with a negative color is in
// none of them and gets nil (MPI_UNDEFINED).
//
// The new communicator runs at the same time as this one and its others, over the
// same connections. What ends one of them ends them all, and errors name the ranks
// of the job. It has to be closed by all its ranks; closing this one closes it too.
func (c *Comm) Split(ctx context.Context, color, key int) (*Comm, error) {
	var child *Comm
	err := c.now().start(ctx, CallSplit, nil, func() (err error) { child, err = c.split(color, key); return err }).Wait(ctx)
	if err != nil || child == nil {
		return nil, err
	}
	// Where ranks are connected that hear each other's signs of life, the new
	// communicator is ready.
	err = child.now().start(ctx, CallSplit, nil, func() error {
		x := child.exchange
		if x.size == 1 {
			return nil
		}
		h := x.begin(Header{Call: CallSplit, DType: TypeBytes, Chunks: 1})
		return x.run(h, x.plan(CallSplit, 0, 0), nil)
	}).Wait(ctx)
	if err != nil {
		return nil, errors.Join(err, child.Close())
	}
	return child, nil
}

// split agrees on the ranks and the number of the new communicators. Those of
// different colors share no rank, and have the same number.
func (c *Comm) split(color, key int) (*Comm, error) {
	if c.t == nil {
		if color < 0 {
			return nil, nil
		}
		return Solo(), nil
	}
	x := c.exchange
	mine := [2]int64{int64(color), int64(key)}
	all := make([]int64, 2*x.size)
	if err := x.tell(mine[:], all); err != nil {
		return nil, err
	}
	var group []int
	for r := range x.size {
		if color >= 0 && all[2*r] == int64(color) {
			group = append(group, r)
		}
	}
	slices.SortStableFunc(group, func(a, b int) int { return cmp.Compare(all[2*a+1], all[2*b+1]) })
	number, err := c.agreeOnNumber(color >= 0)
	if err != nil || color < 0 {
		return nil, err
	}
	jobRanks := make([]int, len(group))
	for i, r := range group {
		jobRanks[i] = c.failure.inJob(r)
	}
	return c.child(number, jobRanks, slices.Index(group, c.rank)), nil
}

// agreeOnNumber finds a number that is free on all ranks. Other communicators may
// be split at the same time, among some of the same ranks: then one of the splits
// has to look further, and those of different communicators by different steps.
func (c *Comm) agreeOnNumber(takesPart bool) (uint32, error) {
	x := c.exchange
	all := make([]int64, x.size)
	for try := int64(0); ; try++ {
		if err := x.tell([]int64{int64(c.family.next())}, all); err != nil {
			return 0, err
		}
		number := slices.Max(all) + try*(int64(c.opt.Comm)+1)
		if number >= math.MaxUint32/2 { // two lanes each
			x.failure.end(&RankError{Rank: x.rank, Peer: -1, Err: fmt.Errorf("no number is left for another communicator after %d", number)}, true)
			return 0, errBroken
		}
		free := int64(1)
		if takesPart && !c.family.claim(uint32(number)) {
			free = 0
		}
		if err := x.tell([]int64{free}, all); err != nil {
			return 0, err
		}
		if !slices.Contains(all, 0) {
			return uint32(number), nil
		}
	}
}

// tell gives all ranks the numbers of all, as many of each.
func (x *exchange) tell(mine, all []int64) error {
	return x.allGather(CallSplit, I64(mine), I64(all), equalParts(len(all), x.size))
}

// child makes a communicator of some ranks of the job. That ranks are silent or
// slow is the first communicator's to find, which all share.
func (c *Comm) child(number uint32, jobRanks []int, self int) *Comm {
	opt := c.opt
	opt.Comm, opt.Silence, opt.OnSlow = number, -1, nil
	view := &failure{shared: c.failure.root(), ranks: jobRanks, broken: c.failure.broken}
	if c.opt.OnLate != nil {
		told := c.family.onLate
		opt.OnLate = func(l Late) {
			l.Ranks, l.Waiting = view.allInJob(l.Ranks), view.allInJob(l.Waiting)
			told(l)
		}
	}
	t := c.family.join(number, jobRanks, self)
	child := assemble(t, opt, view, c.family)
	c.mu.Lock()
	c.children = append(c.children, child)
	c.mu.Unlock()
	return child
}

// closeChildren closes the communicators that were split off, the latest first.
func (c *Comm) closeChildren() error {
	c.mu.Lock()
	children := c.children
	c.children = nil
	c.mu.Unlock()
	var err error
	for _, k := range slices.Backward(children) {
		err = errors.Join(err, k.Close())
	}
	return err
}
