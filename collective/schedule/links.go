package schedule

import "slices"

// Links lists, in order, the ranks that rank keeps connections to from the
// start: the partners of its doubling and its neighbours in the ring, at most
// log2(n)+3. They are symmetric, and no more than log2(n)+2 of them lead from
// any rank to any other, by at least two ways that share no rank between.
func Links(rank, n int) []int {
	var out []int
	for _, s := range DoublingAllReduce(rank, n).Steps {
		out = append(out, max(s.To, s.From)) // one and the same, or None
	}
	if n > 1 {
		out = append(out, Prev(rank, n), Next(rank, n))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
