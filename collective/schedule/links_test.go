package schedule

import (
	"math/bits"
	"slices"
	"testing"
)

func TestLinks(t *testing.T) {
	worlds := []int{100, 127, 128, 129, 255, 1000, 1024}
	for n := 1; n <= 66; n++ {
		worlds = append(worlds, n)
	}
	for _, n := range worlds {
		log := bits.Len(uint(n)) - 1
		links := make([][]int, n)
		for r := range n {
			links[r] = Links(r, n)
			if len(links[r]) > log+3 || !slices.IsSorted(links[r]) {
				t.Fatalf("n=%d: rank %d has links %v, want at most %d, in order", n, r, links[r], log+3)
			}
		}
		for r := range n {
			for i, p := range links[r] {
				if p == r || !slices.Contains(links[p], r) || i > 0 && links[r][i-1] == p {
					t.Fatalf("n=%d: rank %d has links %v, rank %d has %v", n, r, links[r], p, links[p])
				}
			}
			if far := distance(links, r, -1); slices.Contains(far, -1) || slices.Max(far) > log+2 {
				t.Fatalf("n=%d: from rank %d others are %v links away, want at most %d", n, r, far, log+2)
			}
		}
		for without := range min(n, 66) { // the loss of one rank cuts nobody off
			if far := distance(links, (without+1)%n, without); slices.Contains(far, -1) {
				t.Fatalf("n=%d: without rank %d others are %v links away", n, without, far)
			}
		}
	}
}

// distance is the number of links from a rank to each, -1 where none lead
// there that pass by the rank without.
func distance(links [][]int, from, without int) []int {
	far := slices.Repeat([]int{-1}, len(links))
	far[from] = 0
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, p := range links[queue[0]] {
			if far[p] < 0 && p != without {
				far[p] = far[queue[0]] + 1
				queue = append(queue, p)
			}
		}
	}
	if without >= 0 {
		far[without] = 0
	}
	return far
}
