package schedule

import "slices"

// The hierarchical plans of few steps. In each host one rank leads: the root in its
// own, else the first.

// leaders are the ranks that lead, by host; root may be None.
func (h Hosts) leaders(root int) []int {
	out := make([]int, len(h.groups))
	for i, g := range h.groups {
		out[i] = g[0]
	}
	if root != None {
		out[h.host[root]] = root
	}
	return out
}

// on has the ranks of a group take steps that were made for ranks 0, 1, … of it.
func on(group []int, steps []Step) []Step {
	out := slices.Clone(steps)
	for i := range out {
		if s := &out[i]; s.To != None {
			s.To = group[s.To]
		}
		if s := &out[i]; s.From != None {
			s.From = group[s.From]
		}
	}
	return out
}

// upAndDown goes up the tree of the host, has its leader take steps between hosts, and
// comes down again.
func upAndDown(rank int, h Hosts, blocks int, b Blocks, leader []Step) Plan {
	g, l := h.groups[h.host[rank]], h.local[rank]
	parent, children := tree(l, len(g), 0)
	var up, down []Step
	for _, c := range slices.Backward(children) {
		up = append(up, receive(c, b, Combine))
	}
	if parent != None {
		up, down = append(up, send(parent, b)), append(down, receive(parent, b, Copy))
	}
	for _, c := range children {
		down = append(down, send(c, b))
	}
	steps := on(g, up)
	if l == 0 {
		steps = append(steps, on(h.leaders(None), leader)...)
	}
	return newPlan(HierarchicalTree, blocks, append(steps, on(g, down)...))
}

// TreeAllReduce reduces a single block within each host, up a tree to a leader; the leaders
// swap by doubling, and the result comes down again. Of each host one rank sends, the block
// once per step.
func TreeAllReduce(rank int, h Hosts) Plan {
	return upAndDown(rank, h, 1, one(0), DoublingAllReduce(h.host[rank], h.Count()).Steps)
}

// TreeBarrier does the same with empty messages.
func TreeBarrier(rank int, h Hosts) Plan {
	return upAndDown(rank, h, 0, Blocks{}, Barrier(h.host[rank], h.Count()).Steps)
}

// placeIn is place where ranks share hosts: as a tree, the binomial tree of the hosts
// between their leaders and one within each; as a chain, host after host.
func placeIn(h Hosts, shape Algorithm, rank, root int) (parent int, children []int) {
	g, host := h.groups[h.host[rank]], h.host[rank]
	if shape == Hierarchical {
		order := h.from(root)
		return among(order, func(i int) (int, []int) { return chain(i, len(order), 0) }, rank)
	}
	lead := h.leaders(root)
	within := func(i int) (int, []int) { return tree(i, len(g), slices.Index(g, lead[host])) }
	parent, children = among(g, within, rank)
	if rank == lead[host] {
		up, down := among(lead, func(i int) (int, []int) { return tree(i, len(lead), h.host[root]) }, rank)
		parent, children = up, append(down, children...)
	}
	return parent, children
}

// among translates the place of a rank in a group.
func among(group []int, place func(i int) (int, []int), rank int) (parent int, children []int) {
	parent, children = place(slices.Index(group, rank))
	if parent != None {
		parent = group[parent]
	}
	for i, c := range children {
		children[i] = group[c]
	}
	return parent, children
}

// from lists all ranks from the root on, host by host.
func (h Hosts) from(root int) []int {
	first := h.host[root]
	out := []int{root}
	for _, r := range h.groups[first] {
		if r != root {
			out = append(out, r)
		}
	}
	for i := 1; i < len(h.groups); i++ {
		out = append(out, h.groups[(first+i)%len(h.groups)]...)
	}
	return out
}

// BroadcastIn is Broadcast down a HierarchicalTree, or a Hierarchical chain.
func BroadcastIn(rank int, h Hosts, root int, shape Algorithm) Plan {
	parent, children := placeIn(h, shape, rank, root)
	return broadcast(shape, parent, children)
}

// ReduceIn is Reduce up the same.
func ReduceIn(rank int, h Hosts, root int, shape Algorithm) Plan {
	parent, children := placeIn(h, shape, rank, root)
	return reduce(shape, parent, children)
}
