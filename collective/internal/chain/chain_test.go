package chain

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		waits        map[int][]int
		from         []int
		roots, cycle []int
	}{
		"nobody waits":                  {nil, []int{1}, []int{1}, nil},
		"one late":                      {map[int][]int{0: {3}, 1: {3}, 2: {3}}, []int{0, 1, 2}, []int{3}, nil},
		"a chain":                       {map[int][]int{0: {1}, 1: {2}, 2: {3}}, []int{0}, []int{3}, nil},
		"two ends":                      {map[int][]int{0: {1, 2}, 1: {4}}, []int{0}, []int{2, 4}, nil},
		"two wait for each other":       {map[int][]int{5: {2}, 2: {5}}, []int{5}, nil, []int{2, 5}},
		"a cycle behind a chain":        {map[int][]int{0: {3}, 3: {1}, 1: {2}, 2: {3}}, []int{0}, nil, []int{1, 2, 3}},
		"a cycle, and one that is late": {map[int][]int{0: {1, 2}, 1: {0}}, []int{0}, []int{2}, []int{0, 1}},
	} {
		roots, cycle := Find(c.from, func(r int) []int { return c.waits[r] })
		if !slices.Equal(roots, c.roots) || !slices.Equal(cycle, c.cycle) {
			t.Errorf("%s: roots %v, cycle %v; want %v, %v", name, roots, cycle, c.roots, c.cycle)
		}
	}
}

// Whoever waits for whom: roots wait for nobody, each in a cycle waits for the
// next, and there are a root or a cycle.
func TestFindAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "ranks")
		waits := make([][]int, n)
		for a := range waits {
			for b := range n {
				if a != b && rapid.IntRange(0, 3).Draw(t, "waits") == 0 {
					waits[a] = append(waits[a], b)
				}
			}
		}
		from := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, n, rapid.ID[int]).Draw(t, "from")
		reached := map[int]bool{}
		todo := slices.Clone(from)
		for len(todo) > 0 {
			r := todo[0]
			todo = todo[1:]
			if !reached[r] {
				reached[r] = true
				todo = append(todo, waits[r]...)
			}
		}
		var want []int
		for r := range n {
			if reached[r] && len(waits[r]) == 0 {
				want = append(want, r)
			}
		}
		roots, cycle := Find(from, func(r int) []int { return waits[r] })
		if !slices.Equal(roots, want) {
			t.Fatalf("roots %v, want %v", roots, want)
		}
		for i, r := range cycle {
			if next := cycle[(i+1)%len(cycle)]; !reached[r] || !slices.Contains(waits[r], next) || r < cycle[0] {
				t.Fatalf("cycle %v", cycle)
			}
		}
		if len(roots) == 0 && len(cycle) == 0 {
			t.Fatal("neither roots nor a cycle")
		}
	})
}
