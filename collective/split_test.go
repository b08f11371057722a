package collective_test

import (
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
)

// Ranks of a color meet in the order of their keys; each communicator computes of
// its own, while the others and the one they came of do too.
func TestSplit(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "ranks")
		colors, keys := make([]int, n), make([]int, n)
		for r := range n {
			colors[r] = rapid.IntRange(-1, 2).Draw(rt, "color")
			keys[r] = rapid.IntRange(-2, 2).Draw(rt, "key")
		}
		err := first(world(t, n, collective.Options{}, nil, func(c *collective.Comm) error {
			rank := c.Rank()
			var group []int
			for r := range n {
				if colors[r] == colors[rank] {
					group = append(group, r)
				}
			}
			slices.SortStableFunc(group, func(a, b int) int { return keys[a] - keys[b] })
			child, err := c.Split(ctx, colors[rank], keys[rank])
			if err != nil {
				return err
			}
			if colors[rank] < 0 {
				if child != nil {
					return errors.New("a rank without a color is in a communicator")
				}
				return c.Barrier(ctx)
			}
			if child.Size() != len(group) || group[child.Rank()] != rank {
				return fmt.Errorf("rank %d is %d of %d, want a place in %v", rank, child.Rank(), child.Size(), group)
			}
			own := []int64{int64(rank)}
			all := make([]int64, len(group))
			here := child.Async().AllGather(ctx, collective.I64(own), collective.I64(all))
			if err := errors.Join(c.Barrier(ctx), here.Wait(ctx)); err != nil {
				return err
			}
			for i, r := range group {
				if all[i] != int64(r) {
					return fmt.Errorf("rank %d gathers %v, want %v", rank, all, group)
				}
			}
			if rank%2 == 0 || len(group) > 1 {
				return child.Close() // or the first one closes it
			}
			return nil
		}))
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// A row and a column at the same time, each split further, in all combinations of
// who comes first.
func TestSplitsSideBySide(t *testing.T) {
	ctx := context.Background()
	err := first(world(t, 6, collective.Options{SmallBytes: -1, MiddleBytes: -1, ChunkBytes: 64, Hosts: []int{0, 0, 1, 1, 0, 1}}, nil, func(c *collective.Comm) error {
		row, err := c.Split(ctx, c.Rank()/3, 0)
		if err != nil {
			return err
		}
		column, err := c.Split(ctx, c.Rank()%3, 0)
		if err != nil {
			return err
		}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, k := range []*collective.Comm{row, column} {
			wg.Go(func() {
				for round := range 20 {
					v := slices.Repeat([]float64{float64(c.Rank())}, 100)
					if errs[i] = k.AllReduce(ctx, collective.F64(v), collective.Sum); errs[i] != nil {
						return
					}
					want := []float64{float64(c.Rank()/3*9 + 3), float64(2*(c.Rank()%3) + 3)}[i]
					if v[99] != want {
						errs[i] = fmt.Errorf("round %d: %v, want %v", round, v[99], want)
						return
					}
				}
				// Both are split at the same time: the numbers of the new ones differ.
				var pair *collective.Comm
				if pair, errs[i] = k.Split(ctx, 0, -k.Rank()); errs[i] != nil {
					return
				}
				if pair.Rank() != k.Size()-1-k.Rank() {
					errs[i] = fmt.Errorf("rank %d of %d becomes %d", k.Rank(), k.Size(), pair.Rank())
					return
				}
				errs[i] = errors.Join(pair.Barrier(ctx), pair.Close())
			})
		}
		wg.Wait()
		return errors.Join(append(errs, c.Barrier(ctx), row.Close(), column.Close())...)
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// What goes wrong in a part of the ranks ends all communicators, and is told with
// the ranks of the job.
func TestFailureInAChildIsEverybodys(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		call func(c *collective.Comm) error // on the child of ranks 2, 3, 4
		says string
	}{
		"mismatch": {func(c *collective.Comm) error {
			return c.AllReduce(ctx, collective.F32(make([]float32, 10+c.Rank()/2)), collective.Sum)
		}, "rank 4 calls all-reduce #1 sum of 11 f32"},
		"roots differ": {func(c *collective.Comm) error {
			return c.Broadcast(ctx, collective.F32(make([]float32, 10)), c.Rank()/2)
		}, "rank 4 calls broadcast #1 of 10 f32 from root 1"},
		"late": {func(c *collective.Comm) error {
			if c.Rank() == 2 {
				time.Sleep(time.Minute)
			}
			return c.Barrier(ctx)
		}, "peer rank 4: not done within 10s: it is alive, but has not come to this call"},
	} {
		inBubble(t, name, func(t *testing.T) {
			errs := ends(t, 5, collective.Options{Timeout: 10 * time.Second}, func(comm *collective.Comm) error {
				child, err := comm.Split(ctx, min(comm.Rank(), 2)/2, 0)
				if err != nil {
					return err
				}
				if comm.Rank() < 2 {
					time.Sleep(20 * time.Second)
					return comm.Barrier(ctx)
				}
				return c.call(child)
			})
			for r, err := range errs {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("rank %d: %v", r, err)
				}
			}
		})
	}
}

func TestSplitAlone(t *testing.T) {
	ctx := context.Background()
	c := collective.Solo()
	child, err := c.Split(ctx, 3, 0)
	if err != nil || child.Size() != 1 {
		t.Fatalf("%v, %v", child, err)
	}
	none, err := c.Split(ctx, -1, 0)
	if err != nil || none != nil {
		t.Errorf("%v, %v", none, err)
	}
	if err := errors.Join(child.Barrier(ctx), child.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}
