package schedule

import (
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const maxRanks = 17

func TestSegmentCoversEverythingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, n := rapid.IntRange(0, 5000).Draw(t, "count"), rapid.IntRange(1, maxRanks).Draw(t, "n")
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

// simulate runs a ring schedule on sets: cell [rank][segment] is the set of
// ranks whose data went in, as bits. A combination of sets that overlap would
// count a rank twice.
func simulate(t *testing.T, n int, cells [][]uint32, schedule func(rank, n int) []Step) {
	t.Helper()
	steps := make([][]Step, n)
	for r := range n {
		steps[r] = schedule(r, n)
	}
	for s := range steps[0] {
		wire := make([]uint32, n)
		for r := range n {
			wire[r] = cells[r][steps[r][s].Send]
		}
		for r := range n {
			st, from := steps[r][s], Prev(r, n)
			if steps[from][s].Send != st.Recv {
				t.Fatalf("n=%d step %d: rank %d expects segment %d, rank %d sends %d", n, s, r, st.Recv, from, steps[from][s].Send)
			}
			if s > 0 && st.Send != steps[r][s-1].Recv {
				t.Fatalf("n=%d step %d: rank %d sends segment %d, which is not the one it just received", n, s, r, st.Send)
			}
			if st.Reduce {
				if cells[r][st.Recv]&wire[from] != 0 {
					t.Fatalf("n=%d step %d: rank %d counts a rank twice in segment %d", n, s, r, st.Recv)
				}
				cells[r][st.Recv] |= wire[from]
			} else {
				cells[r][st.Recv] = wire[from]
			}
			if full := cells[r][st.Recv] == 1<<n-1; st.Final && !full {
				t.Fatalf("n=%d step %d: rank %d calls segment %d final, it is not", n, s, r, st.Recv)
			}
		}
	}
}

func TestAllReduceRing(t *testing.T) {
	for n := 1; n <= maxRanks; n++ {
		cells := make([][]uint32, n)
		finals := 0
		for r := range cells {
			cells[r] = slices.Repeat([]uint32{1 << r}, n)
			for _, st := range AllReduce(r, n) {
				if st.Final {
					finals++
				}
			}
		}
		if got := len(AllReduce(0, n)); got != 2*(n-1) {
			t.Fatalf("n=%d: %d steps, want %d", n, got, 2*(n-1))
		}
		if n > 1 && finals != n {
			t.Fatalf("n=%d: %d final segments, want one per rank", n, finals)
		}
		simulate(t, n, cells, AllReduce)
		for r := range cells {
			for s, set := range cells[r] {
				if set != 1<<n-1 {
					t.Fatalf("n=%d: rank %d ends with %b in segment %d", n, r, set, s)
				}
			}
		}
	}
}

func TestAllGatherRing(t *testing.T) {
	for n := 1; n <= maxRanks; n++ {
		cells := make([][]uint32, n)
		for r := range cells {
			cells[r] = make([]uint32, n)
			cells[r][r] = 1 << r
		}
		simulate(t, n, cells, AllGather)
		for r := range cells {
			for s, set := range cells[r] {
				if set != 1<<s {
					t.Fatalf("n=%d: rank %d ends with %b in segment %d", n, r, set, s)
				}
			}
		}
	}
}

// TestDoubling runs the exchanges in lock step as messages between ranks and
// checks the expression every rank ends with: the same tree over 0..n-1 in
// order.
func TestDoubling(t *testing.T) {
	for n := 1; n <= maxRanks; n++ {
		value := make([]string, n)
		todo := make([][]Exchange, n)
		given := make([]bool, n) // whether the current Swap already sent
		mail := map[[2]int][]string{}
		longest := 0
		for r := range n {
			value[r] = string(rune('a' + r))
			todo[r] = Doubling(r, n)
			longest = max(longest, len(todo[r]))
		}
		if limit := bits.Len(uint(n-1)) + 2; longest > limit {
			t.Fatalf("n=%d: %d exchanges, want at most %d", n, longest, limit)
		}
		for progress := true; progress; {
			progress = false
			for r := range n {
				if len(todo[r]) == 0 {
					continue
				}
				x := todo[r][0]
				out, in := [2]int{r, x.Peer}, [2]int{x.Peer, r}
				if (x.Action == Give || x.Action == Swap) && !given[r] {
					mail[out] = append(mail[out], value[r])
					given[r], progress = true, true
				}
				if x.Action != Give {
					if len(mail[in]) == 0 {
						continue
					}
					got := mail[in][0]
					mail[in] = mail[in][1:]
					switch {
					case x.Action == Take:
						value[r] = got
					case x.Peer < r:
						value[r] = "(" + got + value[r] + ")"
					default:
						value[r] = "(" + value[r] + got + ")"
					}
				}
				todo[r], given[r], progress = todo[r][1:], false, true
			}
		}
		for r := range n {
			if len(todo[r]) != 0 {
				t.Fatalf("n=%d: rank %d is stuck before %v", n, r, todo[r])
			}
			if value[r] != value[0] {
				t.Fatalf("n=%d: rank %d computes %s, rank 0 %s", n, r, value[r], value[0])
			}
		}
		plain := ""
		for _, c := range value[0] {
			if c != '(' && c != ')' {
				plain += string(c)
			}
		}
		for r := range n {
			if plain[r] != byte('a'+r) || len(plain) != n {
				t.Fatalf("n=%d: result %s is not every rank once, in order", n, value[0])
			}
		}
		for k, m := range mail {
			if len(m) != 0 {
				t.Fatalf("n=%d: message %v never taken", n, k)
			}
		}
	}
}

func TestBroadcastShapes(t *testing.T) {
	shapes := map[string]func(rank, n, root int) (int, []int){"tree": Tree, "chain": Chain}
	for name, shape := range shapes {
		for n := 1; n <= maxRanks; n++ {
			for root := range n {
				depth := slices.Repeat([]int{-1}, n)
				depth[root] = 0
				if p, _ := shape(root, n, root); p != -1 {
					t.Fatalf("%s n=%d: root %d has parent %d", name, n, root, p)
				}
				queue := []int{root}
				deepest := 0
				for len(queue) > 0 {
					r := queue[0]
					queue = queue[1:]
					_, children := shape(r, n, root)
					for _, c := range children {
						if p, _ := shape(c, n, root); p != r {
							t.Fatalf("%s n=%d root=%d: %d sends to %d, which waits for %d", name, n, root, r, c, p)
						}
						if depth[c] >= 0 {
							t.Fatalf("%s n=%d root=%d: rank %d is reached twice", name, n, root, c)
						}
						depth[c] = depth[r] + 1
						deepest = max(deepest, depth[c])
						queue = append(queue, c)
					}
				}
				if i := slices.Index(depth, -1); i >= 0 {
					t.Fatalf("%s n=%d root=%d: rank %d is never reached", name, n, root, i)
				}
				if limit := bits.Len(uint(n - 1)); name == "tree" && deepest > limit {
					t.Fatalf("tree n=%d root=%d is %d deep, want at most %d", n, root, deepest, limit)
				}
			}
		}
	}
}
