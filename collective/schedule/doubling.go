package schedule

// Action says what one exchange of a recursive doubling does.
type Action uint8

const (
	// Swap sends the own partial result and combines it with the peer's.
	Swap Action = iota
	// Give only sends.
	Give
	// Fold receives and combines.
	Fold
	// Take receives and overwrites.
	Take
)

// Exchange is one step of recursive doubling. When two partial results are
// combined the one of the lower rank comes first, on both sides, so both
// compute the same bits.
type Exchange struct {
	Peer   int
	Action Action
}

// Doubling lists the exchanges of rank for an all-reduce among n ranks. With p
// the largest power of two in n, the first 2·(n-p) ranks first fold pairwise,
// so that p ranks are left; at the end the folded ranks take the result.
func Doubling(rank, n int) []Exchange {
	p := 1
	for p*2 <= n {
		p *= 2
	}
	extra := n - p
	var out []Exchange
	virtual := rank - extra
	if rank < 2*extra {
		if rank%2 == 0 {
			return []Exchange{{rank + 1, Give}, {rank + 1, Take}}
		}
		out = append(out, Exchange{rank - 1, Fold})
		virtual = rank / 2
	}
	for mask := 1; mask < p; mask *= 2 {
		peer := virtual ^ mask
		if peer < extra {
			peer = 2*peer + 1
		} else {
			peer += extra
		}
		out = append(out, Exchange{peer, Swap})
	}
	if rank < 2*extra {
		out = append(out, Exchange{rank - 1, Give})
	}
	return out
}

// Tree gives the place of rank in a binomial broadcast tree: whom it receives
// from (-1 at the root) and whom it sends to, in order, nearest subtree last.
// It needs ceil(log2 n) steps: the choice for small messages.
func Tree(rank, n, root int) (parent int, children []int) {
	v := wrap(rank-root, n)
	parent = -1
	low := 1
	for low < n && v&low == 0 {
		low *= 2
	}
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

// Chain gives the place of rank in a chain that starts at root. Cut into
// chunks, a message passes every link once: the choice for large messages.
func Chain(rank, n, root int) (parent int, children []int) {
	v := wrap(rank-root, n)
	parent = -1
	if v > 0 {
		parent = Prev(rank, n)
	}
	if v < n-1 {
		children = []int{Next(rank, n)}
	}
	return parent, children
}
