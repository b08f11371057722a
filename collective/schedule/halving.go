package schedule

import "math/bits"

// HalvingReduceScatter is RingReduceScatter in ceil(log2 n) steps: each gives half of the
// blocks that are left away, and keeps the half that holds the own.
//
// Where n is a power of two, it meets its peers in the order of DoublingAllReduce,
// nearest first, which makes its sums the same bits; so that what travels are
// neighbours, the blocks are numbered by Mirrored. Else a block travels the distance to
// its rank in powers of two, the greatest first, as in Bruck's all-gather turned round.
func HalvingReduceScatter(rank, n int) Plan {
	return halving(Halving, rank, n, false)
}

// RabenseifnerAllReduce is HalvingReduceScatter and the same steps back, in which ranks
// give what they got: 2·ceil(log2 n) steps with the bytes of the ring.
func RabenseifnerAllReduce(rank, n int) Plan {
	return halving(Rabenseifner, rank, n, true)
}

func halving(a Algorithm, rank, n int, back bool) Plan {
	steps := toNearest(rank, n)
	var parts []int
	if PowerOfTwo(n) {
		steps = inHalves(rank, n)
		parts = make([]int, n)
		for i := range parts {
			parts[i] = Mirrored(i, n)
		}
	}
	if back {
		for i := len(steps) - 1; i >= 0; i-- {
			s := steps[i]
			steps = append(steps, Step{To: s.From, From: s.To, Send: s.Recv, Recv: s.Send, Action: Copy})
		}
	}
	p := newPlan(a, n, steps)
	p.Parts = parts
	return p
}

// inHalves is the halving among a power of two of ranks.
func inHalves(rank, n int) []Step {
	var steps []Step
	for m := 1; m < n; m *= 2 {
		left := n / (2 * m) // blocks that are left after the step
		half := func(of int) Blocks { return Blocks{First: Mirrored(of, n) &^ (left - 1), Count: left} }
		steps = append(steps, Step{To: rank ^ m, From: rank ^ m, Send: half(rank ^ m), Recv: half(rank), Action: lastIs(left == 1)})
	}
	return steps
}

// toNearest is the halving among any number: before a step of distance m a rank has
// partial results of its own block and of the 2m-1 behind it, afterwards of m.
func toNearest(rank, n int) []Step {
	var steps []Step
	m := 1
	for 2*m < n {
		m *= 2
	}
	for ; m > 0 && n > 1; m /= 2 {
		to, count := wrap(rank+m, n), min(m, n-m)
		steps = append(steps, Step{To: to, From: wrap(rank-m, n), Send: Blocks{First: to, Count: count},
			Recv: Blocks{First: rank, Count: count}, Action: lastIs(m == 1)})
	}
	return steps
}

// lastIs is how a step combines, which may be the last of its blocks.
func lastIs(last bool) Action {
	if last {
		return Finish
	}
	return Combine
}

// Mirrored is the number whose bits, of those that the numbers below n have, are i's
// in the opposite order; n is a power of two.
func Mirrored(i, n int) int {
	return int(bits.Reverse64(uint64(i)) >> (65 - bits.Len(uint(n))))
}
