package collective_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"vgid/collective"
)

// told runs a world in virtual time and gives what was told of late ranks, with the
// time at which it was told first.
func told(t *testing.T, n int, f func(c *collective.Comm) error) (texts []string, after time.Duration, errs []error) {
	var mu sync.Mutex
	begin := time.Now()
	opt := collective.Options{Timeout: 16 * time.Second, Epoch: 1, OnLate: func(l collective.Late) {
		mu.Lock()
		defer mu.Unlock()
		if texts == nil {
			after = time.Since(begin)
		}
		texts = append(texts, l.String())
	}}
	errs = world(t, n, opt, nil, func(c *collective.Comm) error {
		if err := c.Barrier(context.Background()); err != nil {
			return err
		}
		err := f(c)
		if err == nil {
			time.Sleep(20 * time.Second)
		}
		return err
	})
	return texts, after, errs
}

func recvFrom(c *collective.Comm, peer int) error {
	_, err := c.Recv(context.Background(), collective.F32(make([]float32, 3)), peer, 5)
	return err
}

// The rank that all wait for in the end is the one that is told of, and named when
// the time is over, whatever lies between: messages, calls, communicators of a
// part.
func TestEndOfTheChainIsNamed(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int{3, 4, 5, 8} {
		for end := range n {
			at := func(c *collective.Comm, i int) bool { return c.Rank() == (end+n-i)%n }
			for what, f := range map[string]func(c *collective.Comm) error{
				"each waits for the message of the next": func(c *collective.Comm) error {
					if at(c, 0) {
						return nil
					}
					return recvFrom(c, (c.Rank()+1)%n)
				},
				"all wait for one that waits for a message": func(c *collective.Comm) error {
					switch {
					case at(c, 0):
						return nil
					case at(c, 1):
						return recvFrom(c, end)
					}
					return c.AllReduce(ctx, collective.F32(make([]float32, 7)), collective.Sum)
				},
				"all wait for one that waits in a part": func(c *collective.Comm) error {
					color := 0
					if at(c, 0) || at(c, 1) {
						color = 1
					}
					part, err := c.Split(ctx, color, 0)
					switch {
					case err != nil || at(c, 0):
						return err
					case at(c, 1):
						return part.Barrier(ctx)
					}
					return c.Barrier(ctx)
				},
			} {
				inBubble(t, fmt.Sprintf("%s, %d of %d", what, end, n), func(t *testing.T) {
					texts, after, errs := told(t, n, f)
					if len(texts) == 0 || !strings.HasPrefix(texts[0], fmt.Sprintf("rank %d is ", end)) || after > 6*time.Second {
						t.Errorf("told %q after %v", texts, after)
					}
					for r, err := range errs {
						var re *collective.RankError
						if r != end && (!errors.As(err, &re) || re.Peer != end) {
							t.Errorf("rank %d: %v", r, err)
						}
					}
				})
			}
		}
	}
}

// Ranks that wait for each other are told of as such within seconds, by one of them
// or of those that wait for them, and named when the time is over.
func TestDeadlockIsTold(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		n    int
		f    func(c *collective.Comm) error
		want string
	}{
		"two": {2, func(c *collective.Comm) error { return recvFrom(c, 1-c.Rank()) },
			"ranks 0, 1 wait for each other, so that none can go on: rank 0 in recv from rank 1 for 4s, rank 1 in recv from rank 0 for "},
		"a ring": {4, func(c *collective.Comm) error { return recvFrom(c, (c.Rank()+1)%4) },
			"ranks 0, 1, 2, 3 wait for each other, so that none can go on: rank 0 in recv from rank 1 for 4s, rank 1 in recv from rank 2 for "},
		"two of five": {5, func(c *collective.Comm) error {
			switch c.Rank() {
			case 3:
				return recvFrom(c, 1)
			case 1:
				return recvFrom(c, 3)
			}
			return c.Barrier(ctx)
		}, "ranks 1, 3 wait for each other, so that none can go on: rank 1 in recv from rank 3 for "},
		"a message and a call": {3, func(c *collective.Comm) error {
			if c.Rank() == 2 {
				return recvFrom(c, 0)
			}
			return c.Barrier(ctx)
		}, "ranks 0, 2 wait for each other, so that none can go on: rank 0 at barrier #2 for 4s, rank 2 in recv from rank 0 for "},
	} {
		inBubble(t, name, func(t *testing.T) {
			texts, after, errs := told(t, c.n, c.f)
			if len(texts) == 0 || len(texts) > 3 || !strings.HasPrefix(texts[0], c.want) || after > 6*time.Second {
				t.Errorf("told %q after %v", texts, after)
			}
			for r, err := range errs {
				if err == nil || !strings.Contains(err.Error(), "wait for each other") {
					t.Errorf("rank %d: %v", r, err)
				}
			}
		})
	}
}

// Ranks that work with each other, by messages in both directions, wait for each
// other in turn: that is no deadlock. Nor is a receive that nobody waits for yet.
func TestWorkIsNoDeadlock(t *testing.T) {
	ctx := context.Background()
	inBubble(t, "2", func(t *testing.T) {
		texts, _, errs := told(t, 2, func(c *collective.Comm) error {
			b := collective.F32(make([]float32, 3))
			early := c.Async().Recv(ctx, collective.F32(make([]float32, 3)), 1-c.Rank(), 6)
			for range 10 {
				if c.Rank() == 0 {
					time.Sleep(1500 * time.Millisecond)
				}
				if err := c.Send(ctx, b, 1-c.Rank(), 5); err != nil {
					return err
				}
				if err := recvFrom(c, 1-c.Rank()); err != nil {
					return err
				}
			}
			if err := c.Send(ctx, b, 1-c.Rank(), 6); err != nil {
				return err
			}
			return early.Wait(ctx)
		})
		if err := first(errs); err != nil || texts != nil {
			t.Errorf("told %q, error %v", texts, err)
		}
	})
}
