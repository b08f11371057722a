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

// longest is the greatest sum of weights of messages in a chain.
func longest(plans []Plan, weight func(from, to int) int) int {
	type at struct {
		send, recv int
		behind     []int // the heaviest chain that ends with a receipt, before each step
	}
	ranks, links, most := make([]at, len(plans)), map[[2]int][]int{}, 0
	for r := range ranks {
		ranks[r].behind = make([]int, len(plans[r].Steps)+1)
	}
	for moved := true; moved; {
		moved = false
		for r := range plans {
			a, steps := &ranks[r], plans[r].Steps
			for ; a.send < len(steps); a.send++ {
				s := steps[a.send]
				after := s.After + 1
				if s.Swap { // the copy is made when all before has come
					after = a.send
				}
				if s.To != None && a.recv < after {
					break
				}
				if s.To != None {
					link := [2]int{r, s.To}
					links[link] = append(links[link], a.behind[after]+weight(r, s.To))
				}
				moved = true
			}
			for ; a.recv < len(steps); a.recv++ {
				chain := a.behind[a.recv]
				if from := steps[a.recv].From; from != None {
					link := [2]int{from, r}
					if len(links[link]) == 0 {
						break
					}
					chain = max(chain, links[link][0])
					links[link] = links[link][1:]
				}
				a.behind[a.recv+1] = chain
				most = max(most, chain)
				moved = true
			}
		}
	}
	return most
}
