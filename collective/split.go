package collective

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"vgid/collective/frame"
	"vgid/collective/internal/watch"
	"vgid/collective/schedule"
)

// Split makes communicators of the ranks that give the same color, ordered by key
// and, where that is the same, by rank. A rank of a negative color is in none of
// them and gets nil (MPI_UNDEFINED).
//
// A new communicator runs at the same time as this one and all others, over the
// same transport. What ends one of them ends them all, and errors name the ranks
// of the job. Each is closed on its own; closing that of the whole job closes all.
func (c *Comm) Split(ctx context.Context, color, key int) (*Comm, error) {
	var child *Comm
	h := c.now().start(ctx, CallSplit, nil, func() (err error) { child, err = c.split(color, key); return err })
	if err := h.Wait(ctx); err != nil {
		return nil, err
	}
	return child, nil
}

// member is what a rank says of itself in a split.
type member struct{ color, key, rank int }

// split tells all ranks all colors and keys. Then the lowest rank numbers the
// communicators.
func (c *Comm) split(color, key int) (*Comm, error) {
	x := c.exchange
	said := make([]int64, 2*c.size)
	all := I64(said)
	said[2*c.rank], said[2*c.rank+1] = int64(color), int64(key)
	if err := x.allGather(CallSplit, Buf{TypeI64, all.elements(2*c.rank, 2*c.rank+2)}, all, equalParts(2*c.size, c.size)); err != nil {
		return nil, err
	}
	members := make([]member, c.size)
	for r := range members {
		members[r] = member{int(said[2*r]), int(said[2*r+1]), r}
	}
	group, nth, colors := regroup(members, color)
	first := []int64{0}
	if c.rank == 0 {
		first[0] = c.number(colors)
	}
	if c.size > 1 {
		h := x.begin(Header{Call: CallSplit, DType: TypeI64, Count: 1, Chunks: 1})
		if err := x.run(h, x.plan(CallBroadcast, schedule.BinomialTree, 0), func(int) []byte { return rawBytes(first) }); err != nil {
			return nil, err
		}
	}
	if color < 0 {
		return nil, nil
	}
	n := first[0] + int64(nth)*int64(max(c.watch.Size(), 1))
	if first[0] < 0 || n > math.MaxUint32/2 {
		c.failure.End(&RankError{Rank: c.inJob(), Peer: -1, Err: errors.New("there are no more numbers for communicators")}, true)
		return nil, watch.ErrBroken
	}
	ranks := make([]int, len(group))
	for i, r := range group {
		ranks[i] = c.progress.Ranks[r]
	}
	return c.child(uint32(n), ranks), nil
}

// regroup gives the ranks of a color in their new order, the place of that color
// among those that there are, and how many there are.
func regroup(members []member, color int) (group []int, nth, colors int) {
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.color, b.color), cmp.Compare(a.key, b.key), cmp.Compare(a.rank, b.rank))
	})
	last := -1
	for _, m := range members {
		if m.color < 0 {
			continue
		}
		if m.color != last {
			last = m.color
			if colors++; m.color < color {
				nth++
			}
		}
		if m.color == color {
			group = append(group, m.rank)
		}
	}
	return group, nth, colors
}

// number gives the first of the numbers of so many communicators, which lie as
// far from each other as there are ranks in the job. Numbers that leave the same
// remainder are given by one rank, so that none is given twice; -1 if there are
// no more.
func (j *job) number(count int) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	size := int64(j.watch.Size())
	for {
		first := (int64(j.tickets)+1)*size + int64(j.rank)
		last := first + int64(count)*size
		if last > math.MaxUint32/2 {
			return -1
		}
		j.tickets += uint32(count)
		if w := int64(j.opt.Comm); w < first || w >= last || count == 0 { // of the whole job
			return first
		}
	}
}

// child makes a communicator of some ranks of the job.
func (j *job) child(number uint32, ranks []int) *Comm {
	opt := j.opt
	opt.Comm = number
	var l frame.Lane
	if len(ranks) > 1 {
		l = groupLane{j.t.Lane(2 * number), ranks}
	}
	c := j.communicator(opt, l, ranks)
	if len(ranks) > 1 {
		for _, r := range schedule.Links(c.rank, c.size) {
			j.t.Open(ranks[r])
		}
		j.watch.Track(c.progress)
	}
	j.mu.Lock()
	j.children = append(j.children, c)
	j.mu.Unlock()
	return c
}

// leave ends a communicator that was split from another. It waits for nobody:
// what it sent still arrives.
func (c *Comm) leave() error {
	c.mu.Lock()
	c.children = slices.DeleteFunc(c.children, func(other *Comm) bool { return other == c })
	c.mu.Unlock()
	if c.size == 1 {
		return nil
	}
	c.watch.Leave(c.progress)
	return c.lane.Close()
}

// groupLane is a lane in which ranks have their numbers of a communicator.
type groupLane struct {
	frame.Lane
	ranks []int
}

func (g groupLane) Send(to int, h *Header, payload []byte, sent *frame.Inflight) error {
	return g.Lane.Send(g.ranks[to], h, payload, sent)
}

func (g groupLane) Recv(from int) (*frame.Frame, error) { return g.Lane.Recv(g.ranks[from]) }
