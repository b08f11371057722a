package collective_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/collective"
	"vgid/collective/mem"
)

// sumOver checks a communicator of some ranks of the job: what they sum up to.
func sumOver(c *collective.Comm, me int, ranks []int) error {
	if c.Size() != len(ranks) || ranks[c.Rank()] != me {
		return fmt.Errorf("rank %d is %d of %d in the communicator of ranks %v", me, c.Rank(), c.Size(), ranks)
	}
	want := 0.0
	for _, r := range ranks {
		want += float64(int(1) << r)
	}
	for _, count := range []int{1, 3000} {
		v := slices.Repeat([]float64{float64(int(1) << me)}, count)
		if err := c.AllReduce(context.Background(), collective.F64(v), collective.Sum); err != nil {
			return err
		}
		if slices.Min(v) != want || slices.Max(v) != want {
			return fmt.Errorf("rank %d sums %v … %v over ranks %v, want %v", me, slices.Min(v), slices.Max(v), ranks, want)
		}
	}
	return nil
}

// Whatever colors and keys ranks give, they find themselves among those of their
// color in the order of the keys, and may split again; what was split from a
// communicator goes on when that is closed.
func TestSplitAgain(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "ranks")
		colors := rapid.SliceOfN(rapid.IntRange(-1, 3), n, n).Draw(rt, "colors")
		keys := rapid.SliceOfN(rapid.IntRange(-2, 2), n, n).Draw(rt, "keys")
		group := func(color int) (out []int) {
			for r := range n {
				if colors[r] == color {
					out = append(out, r)
				}
			}
			slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(keys[a], keys[b]) })
			return out
		}
		errs := world(t, n, collective.Options{SmallBytes: 64}, nil, func(c *collective.Comm) error {
			me := c.Rank()
			child, err := c.Split(ctx, colors[me], keys[me])
			if err != nil || colors[me] < 0 {
				if child != nil {
					err = errors.New("a communicator of no color")
				}
				return err
			}
			ranks := group(colors[me])
			if err := sumOver(child, me, ranks); err != nil {
				return err
			}
			// Backwards, the odd ones and the even ones.
			half, err := child.Split(ctx, child.Rank()%2, -child.Rank())
			if err != nil {
				return err
			}
			var mine []int
			for i, r := range ranks {
				if i%2 == child.Rank()%2 {
					mine = append(mine, r)
				}
			}
			slices.Reverse(mine)
			if err := sumOver(half, me, mine); err != nil {
				return err
			}
			return errors.Join(child.Close(), sumOver(half, me, mine), half.Close())
		})
		if err := first(errs); err != nil {
			rt.Fatal(err)
		}
	})
}

// Communicators that share ranks work, and are split, at the same time: rank i in
// row i/3 and column i%3.
func TestCommunicatorsAtTheSameTime(t *testing.T) {
	const rounds = 10
	ctx := context.Background()
	var mu sync.Mutex
	members := map[uint32][]int{} // by number
	errs := world(t, 9, collective.Options{SmallBytes: 64}, nil, func(c *collective.Comm) error {
		me := c.Rank()
		row, err := c.Split(ctx, me/3, me)
		if err != nil {
			return err
		}
		column, err := c.Split(ctx, me%3, me)
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		errs := make([]error, 3)
		all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
		for i, work := range []struct {
			c     *collective.Comm
			ranks []int
		}{{c, all}, {row, all[me/3*3 : me/3*3+3]}, {column, []int{me % 3, me%3 + 3, me%3 + 6}}} {
			wg.Go(func() {
				for round := 0; round < rounds && errs[i] == nil; round++ {
					errs[i] = sumOver(work.c, me, work.ranks)
					again, err := work.c.Split(ctx, 0, 0)
					if err != nil {
						errs[i] = err
						return
					}
					mu.Lock()
					members[collective.Number(again)] = append(members[collective.Number(again)], me)
					mu.Unlock()
					errs[i] = errors.Join(errs[i], sumOver(again, me, work.ranks), again.Close())
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	})
	if err := first(errs); err != nil {
		t.Fatal(err)
	}
	for number, ranks := range members {
		slices.Sort(ranks)
		if len(slices.Compact(slices.Clone(ranks))) != len(ranks) {
			t.Errorf("communicator %d was made twice: of ranks %v", number, ranks)
		}
	}
	if len(members) != rounds*(1+3+3) {
		t.Errorf("%d communicators, want %d", len(members), rounds*7)
	}
}

// inParts splits a world of six into ranks 1, 3, 5 and 0, 2, 4.
func inParts(t *testing.T, opt collective.Options, faults []mem.Fault, f func(c, part *collective.Comm) error) []error {
	return world(t, 6, opt, faults, func(c *collective.Comm) error {
		part, err := c.Split(context.Background(), c.Rank()%2, 0)
		if err != nil {
			return err
		}
		return f(c, part)
	})
}

// A failure in one communicator ends all, and names ranks by their numbers in
// the job.
func TestFailureInAPart(t *testing.T) {
	ctx := context.Background()
	sum := func(c *collective.Comm) error {
		return c.AllReduce(ctx, collective.F32(make([]float32, 50)), collective.Sum)
	}
	for name, c := range map[string]struct {
		fault mem.Fault
		says  string
	}{
		// Rank 5 is the one that all-reduce 5 → 1 has no other way for; the lane is
		// found by trying, since numbers are given by the ranks.
		"killed": {mem.Fault{From: 5, To: 1, Nth: 4, Kind: mem.Kill}, "connection lost"},
		"frozen": {mem.Fault{From: 5, To: 1, Nth: 4, Kind: mem.Freeze}, "no sign of life"},
	} {
		inBubble(t, name, func(t *testing.T) {
			c.fault.Lane = 2 * 12 // the second color of a split that rank 0 has numbered first
			errs := inParts(t, collective.Options{SmallBytes: -1, MiddleBytes: -1}, []mem.Fault{c.fault}, func(_, part *collective.Comm) error {
				for {
					time.Sleep(100 * time.Millisecond)
					if err := sum(part); err != nil {
						return err
					}
				}
			})
			named(t, errs, 5, c.says)
		})
	}
	inBubble(t, "late", func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		opt := collective.Options{Timeout: 12 * time.Second, OnLate: func(l collective.Late) { mu.Lock(); told = append(told, l.String()); mu.Unlock() }}
		errs := inParts(t, opt, nil, func(c, part *collective.Comm) error {
			if c.Rank() == 3 {
				time.Sleep(13 * time.Second)
				return nil
			}
			if err := sum(part); err != nil {
				return err
			}
			return c.Barrier(ctx)
		})
		named(t, errs, 3, "it is alive, but has not come to this call")
		if want := "rank 3 is before its first call, all others at all-reduce #1 of epoch 0, communicator 12, for "; !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
	inBubble(t, "other last call", func(t *testing.T) {
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for r, tr := range mem.New(6) {
			c, err := collective.New(tr, collective.Options{})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				part, err := c.Split(ctx, r%2, 0)
				if err == nil {
					err = errors.Join(collective.PretendCall(part, r == 4), part.Close())
				}
				errs[r] = errors.Join(err, c.Close())
			})
		}
		wg.Wait()
		for r, err := range errs { // each has it from one or the other end
			if err == nil || !strings.Contains(err.Error(), "rank 4") {
				t.Errorf("rank %d: %v", r, err)
			}
		}
	})
	inBubble(t, "closed", func(t *testing.T) {
		errs := inParts(t, collective.Options{}, nil, func(c, part *collective.Comm) error {
			if c.Rank() == 0 {
				return part.Close()
			}
			if c.Rank()%2 != 0 {
				return sum(part)
			}
			return sum(part)
		})
		for _, r := range []int{2, 4} {
			var re *collective.RankError
			if !errors.As(errs[r], &re) || re.Peer != 0 || !strings.Contains(errs[r].Error(), "closed its communicator") {
				t.Errorf("rank %d: %v", r, errs[r])
			}
		}
	})
}
