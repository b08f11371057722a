package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSegmentCoversEverythingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, n := rapid.IntRange(0, 5000).Draw(t, "count"), rapid.IntRange(1, 17).Draw(t, "n")
		at := 0
		for i := range n {
			lo, hi := Segment(count, n, i)
			if lo != at || hi < lo {
				t.Fatalf("segment %d of %d over %d is [%d, %d), want start %d", i, n, count, lo, hi, at)
			}
			if size := hi - lo; size != count/n && size != count/n+1 {
				t.Fatalf("segment %d holds %d of %d/%d elements", i, size, count, n)
			}
			at = hi
		}
		if at != count {
			t.Fatalf("segments end at %d, want %d", at, count)
		}
	})
}

// worlds are the numbers of ranks that every schedule is played with.
func worlds() []int {
	var all []int
	for n := 1; n <= 33; n++ {
		all = append(all, n)
	}
	return append(all, 64, 100)
}

// rootsOf are all roots of small worlds, some of larger ones.
func rootsOf(n int) []int {
	if n > 9 {
		return []int{0, n / 2, n - 1}
	}
	all := make([]int, n)
	for r := range all {
		all[r] = r
	}
	return all
}

// logOf is ceil(log2 n).
func logOf(n int) int { return bits.Len(uint(n - 1)) }

// check says what a schedule must come to.
type check struct {
	name   string
	plan   func(rank, n, root int) Plan
	rooted bool
	only   func(n int) bool // nil: every world
	begin  func(rank, block, n, root int) cell
	// end is the set a block must hold, and whether its order is compared: it must
	// be the same on all ranks that hold it.
	end    func(rank, block, n, root int) (set [2]uint64, matters bool)
	steps  func(n int) int // the most
	degree func(n int) int // the most peers of a rank
	order  bool            // combined in the same order on every rank that has it
}

func ownBlock(rank, block, _, _ int) cell {
	if rank == block {
		return mark(rank)
	}
	return cell{}
}

func ownEverywhere(rank, _, _, _ int) cell { return mark(rank) }

var checks = []check{
	{name: "ring all-reduce", plan: func(r, n, _ int) Plan { return RingAllReduce(r, n) },
		begin: ownEverywhere, end: func(_, _, n, _ int) ([2]uint64, bool) { return full(n), true },
		steps: func(n int) int { return 2 * (n - 1) }, degree: func(int) int { return 2 }, order: true},
	{name: "doubling all-reduce", plan: func(r, n, _ int) Plan { return DoublingAllReduce(r, n) },
		begin: ownEverywhere, end: func(_, _, n, _ int) ([2]uint64, bool) { return full(n), true },
		steps: func(n int) int { return logOf(n) + 2 }, degree: func(n int) int { return logOf(n) + 1 }, order: true},
	{name: "ring reduce-scatter", plan: func(r, n, _ int) Plan { return RingReduceScatter(r, n) },
		begin: ownEverywhere, end: func(r, b, n, _ int) ([2]uint64, bool) { return full(n), r == b },
		steps: func(n int) int { return n - 1 }, degree: func(int) int { return 2 }},
	{name: "halving reduce-scatter", plan: func(r, n, _ int) Plan { return HalvingReduceScatter(r, n) },
		begin: ownEverywhere, end: func(r, b, n, _ int) ([2]uint64, bool) {
			p := HalvingReduceScatter(0, n)
			return full(n), r == p.Part(b)
		},
		steps: logOf, degree: func(n int) int { return 2 * logOf(n) }},
	{name: "rabenseifner all-reduce", plan: func(r, n, _ int) Plan { return RabenseifnerAllReduce(r, n) },
		begin: ownEverywhere, end: func(_, _, n, _ int) ([2]uint64, bool) { return full(n), true },
		steps: func(n int) int { return 2 * logOf(n) }, degree: func(n int) int { return 2 * logOf(n) }, order: true},
	{name: "ring all-gather", plan: func(r, n, _ int) Plan { return RingAllGather(r, n) },
		begin: ownBlock, end: func(_, b, _, _ int) ([2]uint64, bool) { return mark(b).set, true },
		steps: func(n int) int { return n - 1 }, degree: func(int) int { return 2 }, order: true},
	{name: "short all-gather", plan: func(r, n, _ int) Plan { return ShortAllGather(r, n) },
		begin: ownBlock, end: func(_, b, _, _ int) ([2]uint64, bool) { return mark(b).set, true },
		steps: logOf, degree: func(n int) int { return 2 * logOf(n) }, order: true},
	{name: "broadcast tree", rooted: true, plan: func(r, n, root int) Plan { return Broadcast(r, n, root, BinomialTree) },
		begin: func(r, _, _, root int) cell { return ownBlock(r, root, 0, 0) },
		end:   func(_, _, _, root int) ([2]uint64, bool) { return mark(root).set, true },
		steps: func(n int) int { return 2 * (logOf(n) + 1) }, degree: logOf, order: true},
	{name: "broadcast chain", rooted: true, plan: func(r, n, root int) Plan { return Broadcast(r, n, root, Pipeline) },
		begin: func(r, _, _, root int) cell { return ownBlock(r, root, 0, 0) },
		end:   func(_, _, _, root int) ([2]uint64, bool) { return mark(root).set, true },
		steps: func(int) int { return 4 }, degree: func(int) int { return 2 }, order: true},
	{name: "reduce tree", rooted: true, plan: func(r, n, root int) Plan { return Reduce(r, n, root, BinomialTree) },
		begin: ownEverywhere, end: func(r, _, n, root int) ([2]uint64, bool) { return full(n), r == root },
		steps: logOf, degree: logOf},
	{name: "reduce chain", rooted: true, plan: func(r, n, root int) Plan { return Reduce(r, n, root, Pipeline) },
		begin: ownEverywhere, end: func(r, _, n, root int) ([2]uint64, bool) { return full(n), r == root },
		steps: func(int) int { return 2 }, degree: func(int) int { return 2 }},
	{name: "gather", rooted: true, plan: Gather,
		begin: ownBlock, end: func(r, b, _, root int) ([2]uint64, bool) { return mark(b).set, r == root },
		steps: logOf, degree: logOf},
	{name: "scatter", rooted: true, plan: Scatter,
		begin: func(r, b, _, root int) cell {
			if r == root {
				return mark(b)
			}
			return cell{}
		},
		end:   func(r, b, _, _ int) ([2]uint64, bool) { return mark(b).set, r == b },
		steps: logOf, degree: logOf},
}

// Each schedule, in every world and for every root, comes to its end and to the
// result, in as few steps and with as few peers as it promises, with messages of
// one piece and of several, and in both ways of executing it.
func TestSchedules(t *testing.T) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range worlds() {
				if c.only != nil && !c.only(n) {
					continue
				}
				roots := []int{0}
				if c.rooted {
					roots = rootsOf(n)
				}
				for _, root := range roots {
					for _, way := range []struct {
						pieces  int
						inOrder bool
					}{{1, true}, {1, false}, {2, false}} {
						if n > 17 && way.pieces > 1 { // the race detector takes long enough
							continue
						}
						if err := c.run(n, root, way.pieces, way.inOrder); err != nil {
							t.Fatalf("%d ranks, root %d, %+v: %v", n, root, way, err)
						}
					}
				}
			}
		})
	}
}

func (c check) run(n, root, pieces int, inOrder bool) error {
	plans, cells := make([]Plan, n), make([][][]cell, n)
	for r := range n {
		plans[r] = c.plan(r, n, root)
		cells[r] = make([][]cell, plans[r].Blocks)
		for b := range cells[r] {
			first := c.begin(r, b, n, root)
			first.block = b + 1
			cells[r][b] = slices.Repeat([]cell{first}, pieces)
		}
		if got := len(plans[r].Steps); got > c.steps(n) {
			return fmt.Errorf("rank %d takes %d steps, more than %d", r, got, c.steps(n))
		}
		if got := peers(plans[r]); got > c.degree(n) {
			return fmt.Errorf("rank %d has %d peers, more than %d", r, got, c.degree(n))
		}
	}
	if err := play(plans, cells, inOrder); err != nil {
		return err
	}
	for r := range n {
		for b := range cells[r] {
			want, matters := c.end(r, b, n, root)
			for k, got := range cells[r][b] {
				if !matters {
					continue
				}
				if got.block != b+1 {
					return fmt.Errorf("rank %d ends with block %d in block %d", r, got.block-1, b)
				}
				if got.set != want {
					return fmt.Errorf("rank %d ends with %b in block %d, want %b", r, got.set, b, want)
				}
				if first := cells[0][b][k]; c.order && got.order != first.order {
					return fmt.Errorf("rank %d combines block %d in another order than rank 0", r, b)
				}
			}
		}
	}
	return nil
}

func peers(p Plan) int {
	set := map[int]bool{}
	for _, s := range p.Steps {
		set[s.To], set[s.From] = true, true
	}
	delete(set, None)
	return len(set)
}

// A block that is called finished is.
func TestFinishIsFull(t *testing.T) {
	for _, n := range worlds() {
		for name, plan := range map[string]func(int, int) Plan{"all-reduce": RingAllReduce, "reduce-scatter": RingReduceScatter, "halving": HalvingReduceScatter, "rabenseifner": RabenseifnerAllReduce} {
			// Cut off after the step that finishes, the plans leave the result there.
			plans, cells := make([]Plan, n), make([][][]cell, n)
			for r := range n {
				p := plan(r, n)
				last := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Action == Finish })
				if n > 1 && last < 0 {
					t.Fatalf("%s of %d ranks: rank %d finishes nothing", name, n, r)
				}
				p.Steps = p.Steps[:last+1]
				plans[r], cells[r] = p, make([][]cell, n)
				for b := range n {
					cells[r][b] = []cell{mark(r)}
				}
			}
			if err := play(plans, cells, false); err != nil {
				t.Fatal(err)
			}
			for r, p := range plans {
				if len(p.Steps) == 0 {
					continue
				}
				for _, b := range p.Steps[len(p.Steps)-1].Recv.In(n) {
					if cells[r][b][0].set != full(n) {
						t.Fatalf("%s of %d ranks: rank %d finishes block %d with %b", name, n, r, b, cells[r][b][0].set)
					}
				}
			}
		}
	}
}

// The combinations of the doubling are of all ranks in their order, so that its
// result does not depend on how the ranks fold.
func TestDoublingKeepsTheOrder(t *testing.T) {
	for n := 2; n <= 33; n++ {
		for r := range n {
			for _, s := range DoublingAllReduce(r, n).Steps {
				if s.Action == Combine && !s.Swap && s.From > r {
					t.Fatalf("%d ranks: rank %d folds a higher one in", n, r)
				}
			}
		}
	}
}

func TestAllToAll(t *testing.T) {
	type way struct {
		plan func(rank, n int) Plan
		// the block of a rank that holds what it has for rank to, and gets of rank from
		has, gets     func(rank, n, to int) int
		steps, degree func(n int) int
	}
	for name, w := range map[string]way{
		"pairwise": {PairwiseAllToAll, func(_, _, to int) int { return to }, func(_, n, from int) int { return n + from },
			func(n int) int { return n - 1 }, func(n int) int { return n - 1 }},
		"bruck": {BruckAllToAll, func(r, n, to int) int { return wrap(to-r, n) }, func(r, n, from int) int { return wrap(r-from, n) },
			logOf, func(n int) int { return 2 * logOf(n) }},
	} {
		for _, n := range worlds() {
			for _, inOrder := range []bool{true, false} {
				plans, cells := make([]Plan, n), make([][][]cell, n)
				for r := range n {
					plans[r] = w.plan(r, n)
					cells[r] = make([][]cell, plans[r].Blocks)
					for b := range cells[r] {
						cells[r][b] = make([]cell, 1)
					}
					for to := range n {
						cells[r][w.has(r, n, to)][0] = cell{order: uint64(1000*r + to)}
					}
					if len(plans[r].Steps) > w.steps(n) || peers(plans[r]) > w.degree(n) {
						t.Fatalf("%s of %d ranks: %d steps, %d peers", name, n, len(plans[r].Steps), peers(plans[r]))
					}
				}
				if err := play(plans, cells, inOrder); err != nil {
					t.Fatalf("%s of %d ranks, in order %v: %v", name, n, inOrder, err)
				}
				for r := range n {
					for from := range n {
						if got := cells[r][w.gets(r, n, from)][0].order; from != r && got != uint64(1000*from+r) {
							t.Fatalf("%s of %d ranks: rank %d gets %d of rank %d", name, n, r, got, from)
						}
					}
				}
			}
		}
	}
}

// No rank leaves a barrier before each has come to it: whatever order the frames
// arrive in, a rank that has not come keeps all others in.
func TestBarrier(t *testing.T) {
	for _, n := range worlds() {
		for absent := range n {
			reached := make([]bool, n) // who could have heard of the absent rank
			knows := make([][]bool, n) // by rank: who is known to have come
			for r := range n {
				knows[r] = make([]bool, n)
				knows[r][r] = true
			}
			for s := range Barrier(0, n).Steps {
				sent := make([][]bool, n)
				for r := range n {
					sent[r] = slices.Clone(knows[r])
				}
				for r := range n {
					step := Barrier(r, n).Steps[s]
					if Barrier(step.From, n).Steps[s].To != r {
						t.Fatalf("%d ranks: rank %d waits for %d, which sends elsewhere", n, r, step.From)
					}
					if s > 0 && step.After != s-1 {
						t.Fatalf("%d ranks: step %d of rank %d goes ahead of step %d", n, s, r, s-1)
					}
					for k, known := range sent[step.From] {
						knows[r][k] = knows[r][k] || known
					}
				}
			}
			for r := range n {
				reached[r] = knows[r][absent]
			}
			if slices.Contains(reached, false) {
				t.Fatalf("%d ranks: %v leave without rank %d", n, reached, absent)
			}
			if n > 33 {
				break // every rank is like every other
			}
		}
		plans := make([]Plan, n)
		for r := range n {
			plans[r] = Barrier(r, n)
			if got := len(plans[r].Steps); got != logOf(n) {
				t.Fatalf("%d ranks: %d steps, want %d", n, got, logOf(n))
			}
		}
		for _, inOrder := range []bool{true, false} {
			if err := play(plans, make([][][]cell, n), inOrder); err != nil {
				t.Fatalf("%d ranks: %v", n, err)
			}
		}
	}
}

// A reduction up the tree combines neighbouring ranks, beginning at the root: of
// each rank's children the nearest comes first.
func TestReduceKeepsTheOrder(t *testing.T) {
	for _, n := range worlds() {
		for _, root := range rootsOf(n) {
			for r := range n {
				last := 0
				for _, s := range Reduce(r, n, root, BinomialTree).Steps {
					if s.From == None {
						continue
					}
					if d := wrap(s.From-r, n); d <= last {
						t.Fatalf("%d ranks, root %d: rank %d combines rank %d behind one at distance %d", n, root, r, s.From, last)
					} else {
						last = d
					}
				}
			}
		}
	}
}

func TestShapes(t *testing.T) {
	for _, shape := range []Algorithm{BinomialTree, Pipeline} {
		for _, n := range worlds() {
			for _, root := range rootsOf(n) {
				for r := range n {
					parent, children := place(shape, r, n, root)
					if (parent == None) != (r == root) {
						t.Fatalf("%v n=%d root=%d: rank %d has parent %d", shape, n, root, r, parent)
					}
					for _, c := range children {
						if p, _ := place(shape, c, n, root); p != r {
							t.Fatalf("%v n=%d root=%d: %d sends to %d, which waits for %d", shape, n, root, r, c, p)
						}
					}
				}
			}
		}
	}
}

func TestAlgorithmNames(t *testing.T) {
	seen := map[string]bool{}
	for a := Algorithm(0); a <= endAlgorithm; a++ {
		if a.Valid() != (a < endAlgorithm) || seen[a.String()] {
			t.Errorf("%d: %v", a, a)
		}
		seen[a.String()] = true
	}
}

// The player finds the mistakes that it is there for.
func TestPlayerFindsMistakes(t *testing.T) {
	two := func(steps ...[]Step) []Plan {
		out := make([]Plan, len(steps))
		for r, s := range steps {
			out[r] = newPlan(Ring, 1, s)
		}
		return out
	}
	all := one(0)
	for name, c := range map[string]struct {
		plans   []Plan
		inOrder bool
	}{
		"both wait":        {two([]Step{receive(1, all, Copy), send(1, all)}, []Step{receive(0, all, Copy), send(0, all)}), false},
		"sent and ignored": {two([]Step{send(1, all)}, nil), false},
		"counted twice":    {two([]Step{send(1, all), receive(1, all, Combine)}, []Step{receive(0, all, Combine), send(0, all)}), false},
		"written while it is read": {two(
			[]Step{send(1, all), receive(2, all, Copy)}, []Step{receive(0, all, Copy)}, []Step{send(0, all)}), false},
	} {
		cells := make([][][]cell, len(c.plans))
		for r := range cells {
			cells[r] = [][]cell{{mark(r)}}
		}
		if err := play(c.plans, cells, c.inOrder); err == nil {
			t.Errorf("%s: nothing is found", name)
		}
	}
}

// Mirrored is its own inverse, and goes through all numbers.
func TestMirrored(t *testing.T) {
	for n := 1; n <= 64; n *= 2 {
		var seen []int
		for i := range n {
			m := Mirrored(i, n)
			if Mirrored(m, n) != i {
				t.Errorf("of %d: %d is mirrored to %d and back to %d", n, i, m, Mirrored(m, n))
			}
			seen = append(seen, m)
		}
		slices.Sort(seen)
		if seen[0] != 0 || seen[n-1] != n-1 || len(slices.Compact(seen)) != n {
			t.Errorf("of %d: %v", n, seen)
		}
	}
	if got := Mirrored(1, 8); got != 4 {
		t.Errorf("001 is mirrored to %b", got)
	}
}
