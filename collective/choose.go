package collective

import (
	"fmt"

	"vgid/collective/schedule"
)

// Algorithm says which algorithms the calls of a communicator take. Every call has one
// that goes with it (Choose): a broadcast by the ring is one down a chain.
type Algorithm string

// Algorithms. What is best depends on length, ranks and hosts; "" and Auto choose by them.
const (
	Auto         Algorithm = "auto"
	Ring         Algorithm = "ring"         // of fewest bytes, to two neighbours
	Doubling     Algorithm = "doubling"     // of fewest steps; floats travel as they are
	Rabenseifner Algorithm = "rabenseifner" // of the bytes of the ring, in log n steps
	Hierarchical Algorithm = "hierarchical" // within hosts, then between them
)

// Algorithms are all that Options can name.
var Algorithms = []Algorithm{Auto, Ring, Doubling, Rabenseifner, Hierarchical}

// limits fills in the lengths up to which calls are short, and of middle length.
func (o *Options) limits() {
	setDefault(&o.SmallBytes, 64<<10)
	setDefault(&o.MiddleBytes, 1<<20)
}

// way is the algorithm of calls on buffers of so many bytes.
func (o *Options) way(bytes int, h *schedule.Hosts) Algorithm {
	switch {
	case o.Algorithm != "" && o.Algorithm != Auto:
		return o.Algorithm
	case h.Layered():
		return Hierarchical
	case bytes <= o.SmallBytes:
		return Doubling
	case bytes <= o.MiddleBytes && h.Ranks() > 2: // of 2 ranks the ring has as many steps
		return Rabenseifner
	}
	return Ring
}

// Choose is the algorithm of a call whose longest buffer has so many bytes, for all
// ranks of a communicator with such options.
func Choose(call Call, bytes int, h schedule.Hosts, opt Options) schedule.Algorithm {
	opt.limits()
	return opt.choose(call, bytes, &h)
}

func (o *Options) choose(call Call, bytes int, h *schedule.Hosts) schedule.Algorithm {
	way, short := o.way(bytes, h), bytes <= o.SmallBytes
	pick := func(few, many schedule.Algorithm) schedule.Algorithm {
		if short {
			return few
		}
		return many
	}
	if way == Hierarchical {
		switch call {
		case CallAllReduce, CallReduceScatter, CallReduceScatterV, CallBroadcast, CallReduce:
			return pick(schedule.HierarchicalTree, schedule.Hierarchical)
		case CallAllGather, CallAllGatherV:
			return pick(schedule.Bruck, schedule.Hierarchical)
		case CallBarrier:
			return schedule.HierarchicalTree
		}
	}
	switch call {
	case CallAllReduce:
		return byWay(way, schedule.Ring, schedule.Doubling, schedule.Rabenseifner)
	case CallReduceScatter, CallReduceScatterV: // with the bits of the all-reduce
		few := schedule.Halving
		if !schedule.PowerOfTwo(h.Ranks()) {
			few = schedule.Doubling
		}
		return byWay(way, schedule.Ring, few, schedule.Halving)
	case CallAllGather, CallAllGatherV:
		return byWay(way, schedule.Ring, schedule.Bruck, schedule.Bruck)
	case CallBroadcast, CallReduce:
		return byWay(way, schedule.Pipeline, schedule.BinomialTree, pick(schedule.BinomialTree, schedule.Pipeline))
	case CallAllToAll:
		if h.Ranks() <= 2 {
			return schedule.Pairwise
		}
		return pick(schedule.Bruck, schedule.Pairwise)
	case CallAllToAllV:
		return schedule.Pairwise
	case CallBarrier:
		return schedule.Dissemination
	}
	return schedule.BinomialTree
}

func byWay(way Algorithm, ring, doubling, rabenseifner schedule.Algorithm) schedule.Algorithm {
	switch way {
	case Doubling:
		return doubling
	case Rabenseifner:
		return rabenseifner
	}
	return ring
}

// PlanOf is what a rank does in a call by an algorithm that Choose gives.
func PlanOf(call Call, by schedule.Algorithm, rank, root int, h schedule.Hosts) schedule.Plan {
	n := h.Ranks()
	switch call {
	case CallAllReduce, CallReduceScatter, CallReduceScatterV:
		return reducing(call == CallAllReduce, by, rank, h)
	case CallAllGather, CallAllGatherV:
		switch by {
		case schedule.Hierarchical:
			return schedule.HierarchicalAllGather(rank, h)
		case schedule.Ring:
			return schedule.RingAllGather(rank, n)
		}
		return schedule.ShortAllGather(rank, n)
	case CallBroadcast:
		if by == schedule.Hierarchical || by == schedule.HierarchicalTree {
			return schedule.BroadcastIn(rank, h, root, by)
		}
		return schedule.Broadcast(rank, n, root, by)
	case CallReduce:
		if by == schedule.Hierarchical || by == schedule.HierarchicalTree {
			return schedule.ReduceIn(rank, h, root, by)
		}
		return schedule.Reduce(rank, n, root, by)
	case CallGather, CallGatherV:
		return schedule.Gather(rank, n, root)
	case CallScatter, CallScatterV:
		return schedule.Scatter(rank, n, root)
	case CallAllToAll, CallAllToAllV:
		if by == schedule.Bruck {
			return schedule.BruckAllToAll(rank, n)
		}
		return schedule.PairwiseAllToAll(rank, n)
	}
	if by == schedule.HierarchicalTree {
		return schedule.TreeBarrier(rank, h)
	}
	return schedule.Barrier(rank, n)
}

// reducing is the plan of an all-reduce or a reduce-scatter. Those over a single
// block are the same.
func reducing(all bool, by schedule.Algorithm, rank int, h schedule.Hosts) schedule.Plan {
	n := h.Ranks()
	switch {
	case by == schedule.Doubling:
		return schedule.DoublingAllReduce(rank, n)
	case by == schedule.HierarchicalTree:
		return schedule.TreeAllReduce(rank, h)
	case by == schedule.Hierarchical && all:
		return schedule.HierarchicalAllReduce(rank, h)
	case by == schedule.Hierarchical:
		return schedule.HierarchicalReduceScatter(rank, h)
	case by == schedule.Rabenseifner:
		return schedule.RabenseifnerAllReduce(rank, n)
	case by == schedule.Halving:
		return schedule.HalvingReduceScatter(rank, n)
	case all:
		return schedule.RingAllReduce(rank, n)
	}
	return schedule.RingReduceScatter(rank, n)
}

// check refuses options that no communicator of so many ranks can have.
func (o *Options) check(ranks int) error {
	known := o.Algorithm == ""
	for _, a := range Algorithms {
		known = known || a == o.Algorithm
	}
	switch {
	case !known:
		return fmt.Errorf("collective: algorithm %q is none of %v", o.Algorithm, Algorithms)
	case o.Wire != TypeF32 && o.Wire != TypeBF16:
		return fmt.Errorf("collective: %v cannot be reduced as %v on the wire, want %v or %v", TypeF32, o.Wire, TypeF32, TypeBF16)
	case o.Hosts != nil && len(o.Hosts) != ranks:
		return fmt.Errorf("collective: hosts of %d ranks are given for %d", len(o.Hosts), ranks)
	}
	return nil
}
