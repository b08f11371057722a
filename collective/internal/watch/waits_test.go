package watch

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLongestWait(t *testing.T) {
	type step struct{ rank, wait, work int }
	for name, c := range map[string]struct {
		steps []step
		rank  int
		waits int
	}{
		"none":                 {nil, -1, 0},
		"one":                  {[]step{{2, 3, 1}}, 2, 3},
		"the longest":          {[]step{{2, 3, 1}, {4, 9, 1}, {1, 5, 1}}, 4, 9},
		"in a row":             {[]step{{2, 3, 1}, {2, 3, 1}, {1, 5, 1}}, 2, 6},
		"apart is no row":      {[]step{{2, 3, 1}, {1, 4, 1}, {2, 3, 1}}, 1, 4},
		"one that still waits": {[]step{{2, 3, 1}, {1, 7, -1}}, 1, 7},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := NewProgress(0, []int{0, 1, 2, 3, 4}, time.Second)
			p.Begin()
			for _, s := range c.steps {
				p.WaitFor(s.rank)
				time.Sleep(time.Duration(s.wait) * time.Second)
				if s.work < 0 {
					break
				}
				p.WaitFor(-1)
				time.Sleep(time.Duration(s.work) * time.Second)
			}
			if rank, d := p.Longest(); rank != c.rank || d != time.Duration(c.waits)*time.Second {
				t.Errorf("%s: rank %d, %v; want rank %d, %d s", name, rank, d, c.rank, c.waits)
			}
		})
	}
}

// What a receive costs more for the record of its call.
func BenchmarkWait(b *testing.B) {
	p := NewProgress(0, []int{0, 1}, time.Second)
	p.Begin()
	for b.Loop() {
		p.WaitFor(1)
		p.WaitFor(-1)
	}
}
