package schedule

// PairwiseAllToAll takes n-1 steps; each block travels once, straight. Blocks 0 …
// n-1 are what the rank has for each rank, n … 2n-1 what it gets of each. The block
// of a rank for itself is not part of it.
func PairwiseAllToAll(rank, n int) Plan {
	var steps []Step
	for s := 1; s < n; s++ {
		to, from := wrap(rank+s, n), wrap(rank-s, n)
		steps = append(steps, Step{To: to, From: from, Send: one(to), Recv: one(n + from)})
	}
	return newPlan(Pairwise, 2*n, steps)
}

// BruckAllToAll takes ceil(log2 n) steps, in which a block travels the distance to
// its rank in powers of two. At the start block i holds what the rank has for the
// i-th rank after it, at the end what it gets of the i-th rank before it.
func BruckAllToAll(rank, n int) Plan {
	var steps []Step
	for m := 1; m < n; m *= 2 {
		b := Blocks{Count: n, Bit: m}
		steps = append(steps, Step{To: wrap(rank+m, n), From: wrap(rank-m, n), Send: b, Recv: b})
	}
	return newPlan(Bruck, n, steps)
}
