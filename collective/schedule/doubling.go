package schedule

// DoublingAllReduce takes about log2(n) steps over a single block. With p the
// largest power of two in n, the first 2·(n-p) ranks first fold pairwise, so that
// p ranks are left, which swap with ranks at twice the distance each time; at the
// end the folded ranks take the result.
func DoublingAllReduce(rank, n int) Plan {
	p := 1
	for p*2 <= n {
		p *= 2
	}
	extra, all := n-p, one(0)
	var steps []Step
	virtual := rank - extra
	if rank < 2*extra {
		if rank%2 == 0 {
			return newPlan(Doubling, 1, []Step{send(rank+1, all), receive(rank+1, all, Copy)})
		}
		steps = append(steps, receive(rank-1, all, Combine))
		virtual = rank / 2
	}
	for mask := 1; mask < p; mask *= 2 {
		peer := virtual ^ mask
		if peer < extra {
			peer = 2*peer + 1
		} else {
			peer += extra
		}
		steps = append(steps, swap(peer, all, Combine))
	}
	if rank < 2*extra {
		steps = append(steps, send(rank-1, all))
	}
	return newPlan(Doubling, 1, steps)
}

// ShortAllGather is RingAllGather in ceil(log2 n) steps, in which ever more blocks
// travel at once: by recursive doubling where n is a power of two, else by Bruck's
// way, where the blocks that a rank has begin with its own.
func ShortAllGather(rank, n int) Plan {
	var steps []Step
	for m := 1; m < n; m *= 2 {
		s := Step{To: wrap(rank-m, n), From: wrap(rank+m, n), Action: Copy}
		count := min(m, n-m)
		s.Send, s.Recv = Blocks{First: rank, Count: count}, Blocks{First: s.From, Count: count}
		if PowerOfTwo(n) {
			s.To, s.From = rank^m, rank^m
			s.Send.First, s.Recv.First = rank&^(m-1), s.From&^(m-1)
		}
		steps = append(steps, s)
	}
	if PowerOfTwo(n) {
		return newPlan(Doubling, n, steps)
	}
	return newPlan(Bruck, n, steps)
}

// Barrier takes ceil(log2 n) steps of empty messages. In each, a rank learns of
// twice as many ranks that they have come.
func Barrier(rank, n int) Plan {
	var steps []Step
	for m := 1; m < n; m *= 2 {
		s := Step{To: wrap(rank+m, n), From: wrap(rank-m, n)}
		if PowerOfTwo(n) { // the peers of the other doublings: fewer links
			s.To, s.From = rank^m, rank^m
		}
		steps = append(steps, s)
	}
	return newPlan(Dissemination, 0, steps)
}
