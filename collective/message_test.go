package collective_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/collective"
)

// Any messages among any ranks arrive once, those of a tag in their order, while
// collective operations go on; receivers take the tags in another order than they
// come, or any.
func TestMessages(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "ranks")
		type letter struct{ from, to, tag, count, number int }
		var all []letter
		for i := range rapid.IntRange(0, 25).Draw(rt, "messages") {
			all = append(all, letter{rapid.IntRange(0, n-1).Draw(rt, "from"), rapid.IntRange(0, n-1).Draw(rt, "to"),
				rapid.IntRange(0, 2).Draw(rt, "tag"), rapid.IntRange(0, 40).Draw(rt, "count"), i})
		}
		order := rapid.Permutation([]int{0, 1, 2}).Draw(rt, "order of tags")
		anyTag := rapid.Bool().Draw(rt, "any tag")
		err := first(world(t, n, collective.Options{ChunkBytes: 64}, nil, func(c *collective.Comm) error {
			var sends []*collective.Handle
			for _, l := range all {
				if l.from == c.Rank() {
					v := make([]int32, l.count+1)
					for i := range v {
						v[i] = int32(l.number)
					}
					sends = append(sends, c.Async().Send(ctx, collective.I32(v), l.to, l.tag))
				}
			}
			barrier := c.Async().Barrier(ctx)
			for from := range n {
				var due [][]letter // in the order in which they are taken
				if anyTag {
					due = make([][]letter, 1)
				} else {
					due = make([][]letter, 3)
				}
				for _, l := range all {
					if l.from != from || l.to != c.Rank() {
						continue
					}
					k := 0
					if !anyTag {
						k = l.tag
					}
					due[k] = append(due[k], l)
				}
				for _, tag := range order {
					k := tag
					if anyTag {
						if tag != 0 {
							continue
						}
						k = 0
						tag = collective.AnyTag
					}
					for _, l := range due[k] {
						v := make([]int32, 50)
						got, err := c.Recv(ctx, collective.I32(v), from, tag)
						if err != nil {
							return err
						}
						if got != l.count+1 || v[0] != int32(l.number) || v[l.count] != int32(l.number) {
							return fmt.Errorf("rank %d takes %v (%d elements) of rank %d, want message %+v", c.Rank(), v[:got], got, from, l)
						}
					}
				}
			}
			err := barrier.Wait(ctx)
			for _, s := range sends {
				err = errors.Join(err, s.Wait(ctx))
			}
			return err
		}))
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// Receipts that wait take messages in the order in which they were made.
func TestReceiptsWaitInOrder(t *testing.T) {
	ctx := context.Background()
	err := first(world(t, 2, collective.Options{}, nil, func(c *collective.Comm) error {
		if c.Rank() == 0 {
			if err := c.Barrier(ctx); err != nil {
				return err
			}
			for i := range 6 {
				if err := c.Send(ctx, collective.I64([]int64{int64(i)}), 1, i%2); err != nil {
					return err
				}
			}
			return c.Barrier(ctx)
		}
		tags := []int{1, 0, collective.AnyTag, 0, 1, collective.AnyTag}
		want := []int64{1, 0, 2, 4, 3, 5}
		got, handles := make([][]int64, 6), make([]*collective.Handle, 6)
		for i, tag := range tags {
			got[i] = make([]int64, 1)
			handles[i] = c.Async().Recv(ctx, collective.I64(got[i]), 0, tag)
		}
		if err := c.Barrier(ctx); err != nil {
			return err
		}
		for i, h := range handles {
			if err := h.Wait(ctx); err != nil {
				return err
			}
			if got[i][0] != want[i] || h.Count() != 1 {
				return fmt.Errorf("receipt %d with tag %d takes message %d, want %d", i, tags[i], got[i][0], want[i])
			}
		}
		return c.Barrier(ctx)
	}))
	if err != nil {
		t.Fatal(err)
	}
}

func TestMessagesThatGoWrong(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		send func(c *collective.Comm) error
		recv func(c *collective.Comm) error
		says string
	}{
		"longer than its memory": {
			func(c *collective.Comm) error { return c.Send(ctx, collective.F32(make([]float32, 5)), 1, 7) },
			func(c *collective.Comm) error {
				_, err := c.Recv(ctx, collective.F32(make([]float32, 4)), 0, 7)
				return err
			},
			"it sends 5 f32 with tag 7 where rank 1 takes up to 4 f32"},
		"of another type": {
			func(c *collective.Comm) error { return c.Send(ctx, collective.I64(make([]int64, 2)), 1, 7) },
			func(c *collective.Comm) error {
				_, err := c.Recv(ctx, collective.F64(make([]float64, 4)), 0, collective.AnyTag)
				return err
			},
			"it sends 2 i64 with tag 7 where rank 1 takes up to 4 f64"},
		"never sent": {
			func(c *collective.Comm) error { return nil },
			func(c *collective.Comm) error {
				_, err := c.Recv(ctx, collective.F64(make([]float64, 4)), 0, 3)
				return err
			},
			"not done within 10s: no such message came of it"},
		"never taken": {
			func(c *collective.Comm) error {
				for {
					if err := c.Send(ctx, collective.I64(make([]int64, 2)), 1, 7); err != nil {
						return err
					}
				}
			},
			func(c *collective.Comm) error { return nil },
			"not done within 10s: it does not take the message"},
		"given up": {
			func(c *collective.Comm) error { return nil },
			func(c *collective.Comm) error {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(time.Second, cancel)
				_, err := c.Recv(ctx, collective.F64(make([]float64, 4)), 0, 3)
				return err
			},
			"context canceled"},
	} {
		inBubble(t, name, func(t *testing.T) {
			errs := ends(t, 2, collective.Options{Timeout: 10 * time.Second}, func(comm *collective.Comm) error {
				err := []func(*collective.Comm) error{c.send, c.recv}[comm.Rank()](comm)
				if err == nil {
					time.Sleep(30 * time.Second)
				}
				return err
			})
			for r, err := range errs {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("rank %d: %v", r, err)
				}
			}
		})
	}
	err := first(world(t, 2, collective.Options{}, nil, func(c *collective.Comm) error {
		for says, err := range map[string]error{
			"2 is not a rank of 0 … 1": c.Send(ctx, collective.Buf{}, 2, 0),
			"tag -1 is not one of 0":   c.Send(ctx, collective.Buf{}, 0, -1),
		} {
			if err == nil || !strings.Contains(err.Error(), says) {
				return fmt.Errorf("%w, want %q", err, says)
			}
		}
		h := c.Async().Recv(ctx, collective.Buf{}, 1-c.Rank(), 0)
		if err := errors.Join(c.Barrier(ctx), c.Close()); err != nil {
			return err
		}
		if err := h.Wait(ctx); !errors.Is(err, collective.ErrClosed) {
			return fmt.Errorf("a receipt at the end gives %w", err)
		}
		return nil
	}))
	if err != nil {
		t.Error(err)
	}
}
