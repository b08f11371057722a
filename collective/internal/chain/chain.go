// Package chain follows who waits for whom among the ranks of a job.
package chain

import "slices"

// Find follows the waits of the ranks in from. waitsFor lists whom a rank waits
// for, all of whom it needs. roots are the ranks reached that wait for nobody, in
// ascending order; what keeps them is not among the waits. cycle, if there is one,
// are ranks that wait for each other, each for the next and the last for the first:
// none of them can go on, whatever the roots do. It begins with its lowest rank.
func Find(from []int, waitsFor func(rank int) []int) (roots, cycle []int) {
	f := finder{waitsFor: waitsFor, state: map[int]state{}}
	for _, r := range from {
		f.visit(r)
	}
	slices.Sort(f.roots)
	return f.roots, f.cycle
}

type state int

const (
	unseen state = iota
	onPath       // its waits are being followed
	done
)

type finder struct {
	waitsFor     func(int) []int
	state        map[int]state
	path         []int
	roots, cycle []int
}

func (f *finder) visit(r int) {
	switch f.state[r] {
	case done:
		return
	case onPath:
		if f.cycle == nil {
			f.cycle = fromLowest(f.path[slices.Index(f.path, r):])
		}
		return
	}
	f.state[r] = onPath
	f.path = append(f.path, r)
	next := f.waitsFor(r)
	for _, n := range next {
		f.visit(n)
	}
	if len(next) == 0 {
		f.roots = append(f.roots, r)
	}
	f.path = f.path[:len(f.path)-1]
	f.state[r] = done
}

// fromLowest turns a cycle so that it begins with its lowest rank.
func fromLowest(c []int) []int {
	i := slices.Index(c, slices.Min(c))
	return slices.Concat(c[i:], c[:i])
}
