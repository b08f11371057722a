package schedule

import "slices"

// place is that of a rank in a tree of n ranks: whom it receives from when the
// root sends, None at the root, and whom it sends to, in order.
func place(shape Algorithm, rank, n, root int) (parent int, children []int) {
	if shape == Pipeline {
		return chain(rank, n, root)
	}
	return tree(rank, n, root)
}

// tree is the binomial tree, which needs ceil(log2 n) steps: the choice for small
// messages. The largest subtree comes first.
func tree(rank, n, root int) (parent int, children []int) {
	v := wrap(rank-root, n)
	parent = None
	low := lowBit(v, n)
	if v != 0 {
		parent = wrap(v-low+root, n)
	}
	for m := low / 2; m >= 1; m /= 2 {
		if v+m < n {
			children = append(children, wrap(v+m+root, n))
		}
	}
	return parent, children
}

// lowBit is the lowest bit of v, or for 0 the power of two that n fits below.
func lowBit(v, n int) int {
	low := 1
	for low < n && v&low == 0 {
		low *= 2
	}
	return low
}

// chain is a chain that starts at root. Cut into chunks, a message passes every
// link once: the choice for large messages.
func chain(rank, n, root int) (parent int, children []int) {
	v := wrap(rank-root, n)
	parent = None
	if v > 0 {
		parent = Prev(rank, n)
	}
	if v < n-1 {
		children = []int{Next(rank, n)}
	}
	return parent, children
}

// Broadcast passes a single block down a BinomialTree, or a Pipeline. An empty message comes back up, so that
// the root knows when all have it.
func Broadcast(rank, n, root int, shape Algorithm) Plan {
	parent, children := place(shape, rank, n, root)
	return broadcast(shape, parent, children)
}

func broadcast(shape Algorithm, parent int, children []int) Plan {
	var steps []Step
	if parent != None {
		steps = append(steps, receive(parent, one(0), Copy))
	}
	for _, c := range children {
		steps = append(steps, send(c, one(0)))
	}
	for _, c := range children {
		steps = append(steps, receive(c, Blocks{}, Copy))
	}
	if parent != None {
		steps = append(steps, send(parent, Blocks{}))
	}
	return newPlan(shape, 1, steps)
}

// Reduce passes a single block up the same: each rank combines its own with that of its
// children, the nearest first, and the root ends with the reduction.
func Reduce(rank, n, root int, shape Algorithm) Plan {
	parent, children := place(shape, rank, n, root)
	return reduce(shape, parent, children)
}

func reduce(shape Algorithm, parent int, children []int) Plan {
	var steps []Step
	for _, c := range slices.Backward(children) {
		steps = append(steps, receive(c, one(0), Combine))
	}
	if parent != None {
		steps = append(steps, send(parent, one(0)))
	}
	return newPlan(shape, 1, steps)
}

// Subtree is the blocks that pass a rank of the binomial tree: those of the ranks
// below it and its own, which is the first.
func Subtree(rank, n, root int) Blocks {
	v := wrap(rank-root, n)
	return Blocks{First: rank, Count: min(lowBit(v, n), n-v)}
}

// Gather brings the block of each rank to the root, up the binomial tree.
func Gather(rank, n, root int) Plan {
	parent, children := tree(rank, n, root)
	var steps []Step
	for _, c := range slices.Backward(children) {
		steps = append(steps, receive(c, Subtree(c, n, root), Copy))
	}
	if parent != None {
		steps = append(steps, send(parent, Subtree(rank, n, root)))
	}
	return newPlan(BinomialTree, n, steps)
}

// Scatter brings the block of its number from the root to each rank, down the
// binomial tree.
func Scatter(rank, n, root int) Plan {
	parent, children := tree(rank, n, root)
	var steps []Step
	if parent != None {
		steps = append(steps, receive(parent, Subtree(rank, n, root), Copy))
	}
	for _, c := range children {
		steps = append(steps, send(c, Subtree(c, n, root)))
	}
	return newPlan(BinomialTree, n, steps)
}
