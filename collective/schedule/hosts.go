package schedule

import "slices"

// Hosts says which ranks share a host.
//
// What must always hold: every rank is in one group; groups hold their ranks in
// ascending order, and stand in the order of their first ones. So all ranks see the
// same, however hosts are numbered.
type Hosts struct {
	groups      [][]int
	host, local []int // of each rank: its group, and its place there
}

// NewHosts groups ranks by the numbers of their hosts.
func NewHosts(of []int) Hosts {
	h := Hosts{host: make([]int, len(of)), local: make([]int, len(of))}
	group := map[int]int{}
	for r, number := range of {
		g, known := group[number]
		if !known {
			g = len(h.groups)
			group[number], h.groups = g, append(h.groups, nil)
		}
		h.host[r], h.local[r] = g, len(h.groups[g])
		h.groups[g] = append(h.groups[g], r)
	}
	return h
}

// Same are n ranks on one host.
func Same(n int) Hosts { return NewHosts(make([]int, n)) }

// Apart are n ranks, each on a host of its own.
func Apart(n int) Hosts {
	of := make([]int, n)
	for r := range of {
		of[r] = r
	}
	return NewHosts(of)
}

// Ranks is the number of ranks, Count that of hosts, Of the host of a rank.
func (h Hosts) Ranks() int      { return len(h.host) }
func (h Hosts) Count() int      { return len(h.groups) }
func (h Hosts) Of(rank int) int { return h.host[rank] }

// Layered reports whether there are both, messages within hosts and between them.
func (h Hosts) Layered() bool { return h.Count() > 1 && h.Count() < h.Ranks() }

// Groups are the hosts' ranks.
func (h Hosts) Groups() [][]int { return h.groups }

// columns is how many ranks of each host speak with other hosts: as many as every
// host has.
func (h Hosts) columns() int {
	least := len(h.host)
	for _, g := range h.groups {
		least = min(least, len(g))
	}
	return least
}

// columnPlan is what the hierarchical plans are made of. The buffer has a block for each
// rank. A column is what one rank of each host is responsible for: the blocks of all
// ranks whose place in their host leaves the same remainder by the number of columns.
// Blocks are numbered by column, in it by host, so that both are neighbours.
type columnPlan struct {
	Hosts
	rank, n  int
	columnOf int     // of the rank, if it is responsible for one
	parts    []int   // by block, its rank
	starts   [][]int // by column and host: the first block of both, and behind the last host the end
	steps    []Step
}

func newColumnPlan(rank int, h Hosts) *columnPlan {
	c := &columnPlan{Hosts: h, rank: rank, n: h.columns()}
	c.columnOf = h.local[rank]
	for column := range c.n {
		starts := make([]int, 0, h.Count()+1)
		for _, g := range h.groups {
			starts = append(starts, len(c.parts))
			for l := column; l < len(g); l += c.n {
				c.parts = append(c.parts, g[l])
			}
		}
		c.starts = append(c.starts, append(starts, len(c.parts)))
	}
	return c
}

// responsible reports whether the rank has a column.
func (c *columnPlan) responsible() bool { return c.columnOf < c.n }

// group is the ranks of this rank's host.
func (c *columnPlan) group() []int { return c.groups[c.host[c.rank]] }

// column is all blocks of a column, share those that a host has in it.
func (c *columnPlan) column(i int) Blocks {
	s := c.starts[i]
	return Blocks{First: s[0], Count: s[len(s)-1] - s[0]}
}

func (c *columnPlan) share(column, host int) Blocks {
	s := c.starts[column]
	return Blocks{First: s[host], Count: s[host+1] - s[host]}
}

// within goes around the ring of the host, in which a column is a block. Of ranks that
// have none there is nothing to send, and no message.
func (c *columnPlan) within(first int, a, last Action) {
	g := c.group()
	for _, s := range around(c.local[c.rank], len(g), first, a, last) {
		own := Step{To: None, From: None, Action: s.Action}
		if s.Send.First < c.n {
			own.To, own.Send = g[s.To], c.column(s.Send.First)
		}
		if s.Recv.First < c.n {
			own.From, own.Recv = g[s.From], c.column(s.Recv.First)
		}
		c.add(own)
	}
}

// between goes around the ring of the hosts.
func (c *columnPlan) between(first int, a, last Action) {
	if !c.responsible() {
		return
	}
	for _, s := range around(c.host[c.rank], c.Count(), first, a, last) {
		c.add(Step{To: c.groups[s.To][c.columnOf], From: c.groups[s.From][c.columnOf], Action: s.Action,
			Send: c.share(c.columnOf, s.Send.First), Recv: c.share(c.columnOf, s.Recv.First)})
	}
}

func (c *columnPlan) add(s Step) {
	if s.To != None || s.From != None {
		c.steps = append(c.steps, s)
	}
}

// others moves the blocks of ranks without a column between them and the one of their
// host that is responsible.
func (c *columnPlan) others(handOut bool) {
	g, l := c.group(), c.local[c.rank]
	mine := func(rank int) Blocks { return one(slices.Index(c.parts, rank)) }
	switch {
	case !c.responsible() && handOut:
		c.add(receive(g[l%c.n], mine(c.rank), Copy))
	case !c.responsible():
		c.add(send(g[l%c.n], mine(c.rank)))
	}
	for other := l + c.n; c.responsible() && other < len(g); other += c.n {
		if handOut {
			c.add(send(g[other], mine(g[other])))
		} else {
			c.add(receive(g[other], mine(g[other]), Copy))
		}
	}
}

// reduce leaves on each rank that has a column the reduction of its host's share of it.
func (c *columnPlan) reduce() {
	last := Combine
	if c.Count() == 1 {
		last = Finish
	}
	c.within(c.local[c.rank]-1, Combine, last)
	c.between(c.host[c.rank]-1, Combine, Finish)
}

// gather is the way back.
func (c *columnPlan) gather() {
	c.between(c.host[c.rank], Copy, Copy)
	c.within(c.local[c.rank], Copy, Copy)
}

func (c *columnPlan) plan() Plan {
	p := newPlan(Hierarchical, len(c.parts), c.steps)
	p.Parts = c.parts
	return p
}

// HierarchicalAllReduce reduces within each host, then around a ring of hosts for
// each column, and gathers within each host: with h hosts, 2·(h-1)/h of the data
// leave a host. The sums have the bits of HierarchicalReduceScatter.
func HierarchicalAllReduce(rank int, h Hosts) Plan {
	c := newColumnPlan(rank, h)
	c.reduce()
	c.gather()
	return c.plan()
}

// HierarchicalReduceScatter leaves on each rank the reduction of its part.
func HierarchicalReduceScatter(rank int, h Hosts) Plan {
	c := newColumnPlan(rank, h)
	c.reduce()
	c.others(true)
	return c.plan()
}

// HierarchicalAllGather gives each rank the parts of all.
func HierarchicalAllGather(rank int, h Hosts) Plan {
	c := newColumnPlan(rank, h)
	c.others(false)
	c.gather()
	return c.plan()
}
