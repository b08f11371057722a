package schedule

// Load is what one rank sends in an operation.
type Load struct {
	Messages, Bytes               int
	MessagesBetween, BytesBetween int // of them, to other hosts
}

// Cost counts what the plans of all ranks come to, for models of the time: nothing
// here is measured.
type Cost struct {
	Ranks []Load
	// Steps are the messages of the longest chain in which each can leave only when the one
	// before has arrived, as a whole or, of what streams, its first piece. StepsBetween
	// is the most messages between hosts in any such chain.
	Steps, StepsBetween int
	// HostBytes is the most that leaves one host.
	HostBytes int
}

// CostOf counts the plans of all ranks, whose blocks have so many bytes.
func CostOf(plans []Plan, h Hosts, size func(block int) int) Cost {
	c := Cost{Ranks: make([]Load, len(plans))}
	leaves := make([]int, h.Count())
	for r, p := range plans {
		load := &c.Ranks[r]
		for _, s := range p.Steps {
			if s.To == None {
				continue
			}
			bytes := 0
			for _, b := range s.Send.In(p.Blocks) {
				bytes += size(b)
			}
			load.Messages++
			load.Bytes += bytes
			if h.Of(r) != h.Of(s.To) {
				load.MessagesBetween++
				load.BytesBetween += bytes
				leaves[h.Of(r)] += bytes
			}
		}
	}
	for _, n := range leaves {
		c.HostBytes = max(c.HostBytes, n)
	}
	c.Steps = longest(plans, func(int, int) int { return 1 })
	c.StepsBetween = longest(plans, func(from, to int) int {
		if h.Of(from) != h.Of(to) {
			return 1
		}
		return 0
	})
	return c
}

// chains follows the messages of all plans, each of which lengthens the heaviest chain
// that it had to wait for.
type chains struct {
	plans  []Plan
	weight func(from, to int) int
	ranks  []reached
	links  map[[2]int][]int // of messages that are under way: their chains
	most   int
}

// reached is how far a rank is.
type reached struct {
	send, recv int
	behind     []int // the heaviest chain that ends with a receipt, before each step
}

// longest is the greatest sum of weights of messages in a chain.
func longest(plans []Plan, weight func(from, to int) int) int {
	c := &chains{plans: plans, weight: weight, ranks: make([]reached, len(plans)), links: map[[2]int][]int{}}
	for r := range c.ranks {
		c.ranks[r].behind = make([]int, len(plans[r].Steps)+1)
	}
	for moved := true; moved; {
		moved = false
		for r := range plans {
			sent, took := c.send(r), c.take(r)
			moved = moved || sent || took
		}
	}
	return c.most
}

// send has a rank send all that it can, and reports whether it could anything.
func (c *chains) send(rank int) (moved bool) {
	a := &c.ranks[rank]
	for _, s := range c.plans[rank].Steps[a.send:] {
		after := s.After + 1
		if s.Swap { // the copy is made when all before has come
			after = a.send
		}
		if s.To != None {
			if a.recv < after {
				break
			}
			link := [2]int{rank, s.To}
			c.links[link] = append(c.links[link], a.behind[after]+c.weight(rank, s.To))
		}
		a.send++
		moved = true
	}
	return moved
}

// take has it receive all that came.
func (c *chains) take(rank int) (moved bool) {
	a := &c.ranks[rank]
	for _, s := range c.plans[rank].Steps[a.recv:] {
		chain := a.behind[a.recv]
		if s.From != None {
			link := [2]int{s.From, rank}
			if len(c.links[link]) == 0 {
				break
			}
			chain = max(chain, c.links[link][0])
			c.links[link] = c.links[link][1:]
		}
		a.recv++
		a.behind[a.recv] = chain
		c.most = max(c.most, chain)
		moved = true
	}
	return moved
}
