package schedule

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// groupings are the numbers of hosts of the ranks of several worlds: as launchers give
// them, one after another and in turn, with hosts of different sizes, and mixed.
func groupings() [][]int {
	var all [][]int
	for _, sizes := range [][]int{{1}, {3}, {1, 1}, {2, 2}, {4, 4}, {1, 3}, {3, 1}, {2, 3, 5}, {4, 4, 4}, {3, 3, 3, 3}, {1, 1, 1, 1, 1}, {7, 2, 4}, {8, 8}, {5, 1, 5}, {4, 4, 4, 4, 4, 4, 4, 4}} {
		var inRow []int
		for h, k := range sizes {
			inRow = append(inRow, slices.Repeat([]int{h}, k)...)
		}
		inTurn := slices.Clone(inRow)
		for i := range inTurn {
			inTurn[i] = inRow[i*7%len(inRow)%len(inRow)]
		}
		all = append(all, inRow)
		if len(inRow)%7 != 0 { // else it is no permutation
			all = append(all, inTurn)
		}
	}
	return all
}

// drawHosts is any grouping.
func drawHosts(t *rapid.T) []int {
	n := rapid.IntRange(1, 13).Draw(t, "ranks")
	return rapid.SliceOfN(rapid.IntRange(0, rapid.IntRange(0, n).Draw(t, "hosts")), n, n).Draw(t, "of")
}

// hierarchical is what the schedules come to for a grouping.
func hierarchical(h Hosts) []check {
	biggest := 0
	for _, g := range h.Groups() {
		biggest = max(biggest, len(g))
	}
	everywhere := func(_, _, n, _ int) ([2]uint64, bool) { return full(n), true }
	between, within := h.Count()-1, biggest-1
	// Peers: two in each ring, and on a host the ranks without a column.
	degree := func(int) int { return 4 + biggest/max(1, h.columns()) }
	part := func(b int) int { return newColumnPlan(0, h).parts[b] }
	mine := func(r, b, _, _ int) cell {
		if part(b) == r {
			return mark(r)
		}
		return cell{}
	}
	treeDegree := func(int) int { return logOf(biggest) + logOf(h.Count()) + 1 }
	root := func(_, _, _, root int) ([2]uint64, bool) { return mark(root).set, true }
	broadcast := func(r, _, _, root int) cell { return ownBlock(r, root, 0, 0) }
	return []check{
		{name: "all-reduce", plan: func(r, _, _ int) Plan { return HierarchicalAllReduce(r, h) }, begin: ownEverywhere, end: everywhere,
			steps: func(int) int { return 2 * (between + within) }, degree: degree, order: true},
		{name: "reduce-scatter", plan: func(r, _, _ int) Plan { return HierarchicalReduceScatter(r, h) }, begin: ownEverywhere,
			end:   func(r, b, n, _ int) ([2]uint64, bool) { return full(n), r == part(b) },
			steps: func(int) int { return between + within + biggest }, degree: degree},
		{name: "all-gather", plan: func(r, _, _ int) Plan { return HierarchicalAllGather(r, h) }, begin: mine,
			end:   func(_, b, _, _ int) ([2]uint64, bool) { return mark(part(b)).set, true },
			steps: func(int) int { return between + within + biggest }, degree: degree, order: true},
		{name: "tree all-reduce", plan: func(r, _, _ int) Plan { return TreeAllReduce(r, h) }, begin: ownEverywhere, end: everywhere,
			steps: func(int) int { return 2*logOf(biggest) + logOf(h.Count()) + 2 }, degree: treeDegree, order: true},
		{name: "broadcast tree", rooted: true, plan: func(r, _, root int) Plan { return BroadcastIn(r, h, root, HierarchicalTree) }, begin: broadcast, end: root,
			steps: func(int) int { return 2 * (logOf(biggest) + logOf(h.Count()) + 1) }, degree: treeDegree, order: true},
		{name: "broadcast chain", rooted: true, plan: func(r, _, root int) Plan { return BroadcastIn(r, h, root, Hierarchical) }, begin: broadcast, end: root,
			steps: func(int) int { return 4 }, degree: func(int) int { return 2 }, order: true},
		{name: "reduce tree", rooted: true, plan: func(r, _, root int) Plan { return ReduceIn(r, h, root, HierarchicalTree) }, begin: ownEverywhere,
			end:   func(r, _, n, root int) ([2]uint64, bool) { return full(n), r == root },
			steps: func(int) int { return logOf(biggest) + logOf(h.Count()) + 1 }, degree: treeDegree},
		{name: "reduce chain", rooted: true, plan: func(r, _, root int) Plan { return ReduceIn(r, h, root, Hierarchical) }, begin: ownEverywhere,
			end:   func(r, _, n, root int) ([2]uint64, bool) { return full(n), r == root },
			steps: func(int) int { return 2 }, degree: func(int) int { return 2 }},
	}
}

// play plays all schedules of a grouping, whole and cut into pieces.
func (c check) playHosts(of []int) error {
	n := len(of)
	roots := []int{0}
	if c.rooted {
		roots = rootsOf(n)
	}
	for _, root := range roots {
		for _, inOrder := range []bool{true, false} {
			for pieces := 1; pieces <= 2 && (pieces == 1 || !inOrder && n <= 17); pieces++ {
				if err := c.run(n, root, pieces, inOrder); err != nil {
					return fmt.Errorf("%s, hosts %v, root %d, in order %v, %d pieces: %w", c.name, of, root, inOrder, pieces, err)
				}
			}
		}
	}
	return nil
}

func TestHierarchicalSchedules(t *testing.T) {
	for _, of := range groupings() {
		for _, c := range hierarchical(NewHosts(of)) {
			if err := c.playHosts(of); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestHierarchicalSchedulesOfAnyGrouping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := drawHosts(t)
		for _, c := range hierarchical(NewHosts(of)) {
			if err := c.playHosts(of); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// costOf counts an all-reduce of blocks of so many bytes.
func costOf(h Hosts, plan func(rank int) Plan, bytes int) Cost {
	plans := make([]Plan, h.Ranks())
	for r := range plans {
		plans[r] = plan(r)
	}
	return CostOf(plans, h, func(b int) int {
		lo, hi := Segment(bytes, plans[0].Blocks, b)
		return hi - lo
	})
}

// Of h hosts each sends 2·(h-1)/h of the data to others, in 2·(h-1) steps, or as many as
// the doubling of h ranks takes; where hosts differ in size, no host more than if all
// blocks were the largest.
func TestBytesBetweenHosts(t *testing.T) {
	for _, of := range groupings() {
		h := NewHosts(of)
		n, hosts, bytes := h.Ranks(), h.Count(), 1000*h.Ranks()
		long := costOf(h, func(r int) Plan { return HierarchicalAllReduce(r, h) }, bytes)
		equal := !slices.ContainsFunc(h.Groups(), func(g []int) bool { return len(g) != h.columns() })
		if want := 2 * bytes * (hosts - 1) / hosts; equal && long.HostBytes != want || long.HostBytes > 2*bytes {
			t.Errorf("hosts %v: %d of %d bytes leave a host, want %d", of, long.HostBytes, bytes, want)
		}
		if long.StepsBetween != 2*(hosts-1) {
			t.Errorf("hosts %v: %d steps between hosts, want %d", of, long.StepsBetween, 2*(hosts-1))
		}
		short := costOf(h, func(r int) Plan { return TreeAllReduce(r, h) }, bytes)
		doubling := costOf(Same(hosts), func(r int) Plan { return DoublingAllReduce(r, hosts) }, bytes)
		if short.StepsBetween != doubling.Steps {
			t.Errorf("hosts %v: %d short steps between hosts, want %d", of, short.StepsBetween, doubling.Steps)
		}
		if barrier := costOf(h, func(r int) Plan { return TreeBarrier(r, h) }, 0); n > 1 && barrier.StepsBetween > logOf(hosts) {
			t.Errorf("hosts %v: %d steps of a barrier between hosts, want %d", of, barrier.StepsBetween, logOf(hosts))
		}
		for root := range n {
			for name, plan := range map[string]func(r int, shape Algorithm) Plan{
				"broadcast": func(r int, shape Algorithm) Plan { return BroadcastIn(r, h, root, shape) },
				"reduce":    func(r int, shape Algorithm) Plan { return ReduceIn(r, h, root, shape) },
			} {
				for _, shape := range []Algorithm{Hierarchical, HierarchicalTree} {
					c, crossed := costOf(h, func(r int) Plan { return plan(r, shape) }, bytes), 0
					for _, l := range c.Ranks {
						crossed += l.BytesBetween
					}
					if crossed != (hosts-1)*bytes {
						t.Errorf("%s by %v, hosts %v: %d bytes cross, want the data once to each of %d hosts", name, shape, of, crossed, hosts-1)
					}
				}
			}
		}
	}
}

// The counts of the schedules that every textbook has.
func TestCosts(t *testing.T) {
	for _, n := range []int{2, 4, 7, 8, 16, 31} {
		bytes := 3 * 5 * 7 * 11 * 64 * n
		for name, c := range map[string]struct {
			plan         func(r int) Plan
			steps, bytes int
		}{
			"ring":         {func(r int) Plan { return RingAllReduce(r, n) }, 2 * (n - 1), 2 * bytes / n * (n - 1)},
			"rabenseifner": {func(r int) Plan { return RabenseifnerAllReduce(r, n) }, 2 * logOf(n), 2 * bytes / n * (n - 1)},
			"chain":        {func(r int) Plan { return Reduce(r, n, 0, Pipeline) }, n - 1, bytes},
			"halving":      {func(r int) Plan { return HalvingReduceScatter(r, n) }, logOf(n), bytes / n * (n - 1)},
			"barrier":      {func(r int) Plan { return Barrier(r, n) }, logOf(n), 0},
		} {
			got, most := costOf(Same(n), c.plan, bytes), 0
			for _, l := range got.Ranks {
				most = max(most, l.Bytes)
			}
			if got.Steps != c.steps || most != c.bytes || got.StepsBetween != 0 || got.HostBytes != 0 {
				t.Errorf("%s of %d ranks: %d steps and %d bytes, want %d and %d; %+v", name, n, got.Steps, most, c.steps, c.bytes, got)
			}
		}
	}
}

// A hierarchical barrier is one: whoever is absent keeps all others in.
func TestTreeBarrier(t *testing.T) {
	for _, of := range groupings() {
		h := NewHosts(of)
		n := h.Ranks()
		for absent := range n {
			plans := make([]Plan, n)
			for r := range plans {
				if plans[r] = TreeBarrier(r, h); r == absent {
					plans[r].Steps = nil
				}
			}
			for r := range n {
				if r != absent && ends(plans, r) {
					t.Fatalf("hosts %v: rank %d leaves without rank %d", of, r, absent)
				}
			}
			plans[absent] = TreeBarrier(absent, h)
			for _, inOrder := range []bool{true, false} {
				if err := play(plans, make([][][]cell, n), inOrder); err != nil {
					t.Fatalf("hosts %v: %v", of, err)
				}
			}
		}
	}
}

// ends reports whether a rank comes to the end of its plan, of messages without blocks.
func ends(plans []Plan, rank int) bool {
	at, links := make([]int, len(plans)), map[[2]int]int{}
	sent := make([]int, len(plans))
	for moved := true; moved; {
		moved = false
		for r, p := range plans {
			for at[r] < len(p.Steps) {
				s := p.Steps[at[r]]
				if s.To != None && sent[r] == at[r] {
					links[[2]int{r, s.To}]++
				}
				sent[r] = at[r] + 1
				if s.From != None {
					if links[[2]int{s.From, r}] == 0 {
						break
					}
					links[[2]int{s.From, r}]--
				}
				at[r]++
				moved = true
			}
		}
	}
	return at[rank] == len(plans[rank].Steps)
}

// The blocks of a reduce-scatter are reduced in the order of the all-reduce.
func TestHierarchicalPartsKeepTheOrder(t *testing.T) {
	for _, of := range groupings() {
		h, n := NewHosts(of), len(of)
		orders := [2]map[int]uint64{{}, {}}
		for i, plan := range []func(int, Hosts) Plan{HierarchicalAllReduce, HierarchicalReduceScatter} {
			plans, cells := make([]Plan, n), make([][][]cell, n)
			for r := range n {
				plans[r] = plan(r, h)
				for b := range plans[r].Blocks {
					c := mark(r)
					c.block = b + 1
					cells[r] = append(cells[r], []cell{c})
				}
			}
			if err := play(plans, cells, false); err != nil {
				t.Fatal(err)
			}
			for b := range n {
				r := plans[0].Part(b)
				orders[i][r] = cells[r][b][0].order
			}
		}
		for r, want := range orders[0] {
			if orders[1][r] != want {
				t.Fatalf("hosts %v: the part of rank %d is reduced in another order than by the all-reduce", of, r)
			}
		}
	}
}
