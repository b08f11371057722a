package schedule

// Next and Prev are the neighbours of a rank: a ring sends to Next and
// receives from Prev.
func Next(rank, n int) int { return (rank + 1) % n }

// Prev is the rank that Next maps to rank.
func Prev(rank, n int) int { return (rank + n - 1) % n }

// around lists n-1 steps of a ring. The block sent in a step is the one received
// in the step before, so a piece of it can go on as soon as it came in.
func around(rank, n, first int, a, last Action) []Step {
	steps := make([]Step, 0, 2*(n-1))
	for s := range n - 1 {
		if s == n-2 {
			a = last
		}
		steps = append(steps, Step{To: Next(rank, n), From: Prev(rank, n),
			Send: one(wrap(first-s, n)), Recv: one(wrap(first-s-1, n)), Action: a})
	}
	return steps
}

// RingAllReduce takes 2·(n-1) steps over n blocks. Every block is reduced in one
// fixed order, by the rank of its number, and then copied: all ranks end with the
// same bits, those of RingReduceScatter.
func RingAllReduce(rank, n int) Plan {
	return newPlan(Ring, n, append(around(rank, n, rank-1, Combine, Finish), around(rank, n, rank, Copy, Copy)...))
}

// RingReduceScatter leaves on each rank the reduction of the block of its number;
// the other blocks hold partial results.
func RingReduceScatter(rank, n int) Plan {
	return newPlan(Ring, n, around(rank, n, rank-1, Combine, Finish))
}

// RingAllGather passes every rank's own block, the one of its number, around.
func RingAllGather(rank, n int) Plan {
	return newPlan(Ring, n, around(rank, n, rank, Copy, Copy))
}
