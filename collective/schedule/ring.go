// Package schedule holds the communication schedules of the collectives as pure
// functions: who sends which piece to whom at which step. Nothing here moves
// data, so every schedule can be simulated for any number of ranks.
//
// The all-reduce follows Patarasuk and Yuan (2009): a reduce-scatter and an
// all-gather around a ring move 2·(n-1)/n of the data through every link,
// which is the least possible. Small messages use recursive doubling (Thakur,
// Rabenseifner and Gropp, 2005), which needs log2(n) steps instead of 2·(n-1).
package schedule

// Segment gives the half-open range of the i-th of n nearly equal parts of
// count elements. The first count%n parts are one element longer; parts may be
// empty.
func Segment(count, n, i int) (lo, hi int) {
	size, longer := count/n, count%n
	lo = i*size + min(i, longer)
	hi = lo + size
	if i < longer {
		hi++
	}
	return lo, hi
}

// Next and Prev are the neighbours of a rank: a ring sends to Next and
// receives from Prev.
func Next(rank, n int) int { return (rank + 1) % n }

// Prev is the rank that Next maps to rank.
func Prev(rank, n int) int { return (rank + n - 1) % n }

// Step is one step of a ring: the segment sent to the next rank and the
// segment received from the previous one in the same step.
type Step struct {
	Send, Recv int
	Reduce     bool // combine what is received with the own segment, else overwrite it
	Final      bool // after this step the received segment holds the full reduction
}

// AllReduce lists the 2·(n-1) steps of rank. The segment sent in a step is the
// one received in the step before, so a chunk can go on as soon as it came in.
// Every segment is reduced in one fixed order, by one rank, and then copied:
// all ranks end with the same bits.
func AllReduce(rank, n int) []Step {
	steps := make([]Step, 0, 2*(n-1))
	for s := range n - 1 {
		steps = append(steps, Step{Send: wrap(rank-s, n), Recv: wrap(rank-s-1, n), Reduce: true, Final: s == n-2})
	}
	for s := range n - 1 {
		steps = append(steps, Step{Send: wrap(rank+1-s, n), Recv: wrap(rank-s, n)})
	}
	return steps
}

// AllGather lists the n-1 steps that pass every rank's own segment (the one
// numbered like the rank) around the ring.
func AllGather(rank, n int) []Step {
	steps := make([]Step, 0, n-1)
	for s := range n - 1 {
		steps = append(steps, Step{Send: wrap(rank-s, n), Recv: wrap(rank-s-1, n)})
	}
	return steps
}

func wrap(i, n int) int { return ((i % n) + n) % n }
