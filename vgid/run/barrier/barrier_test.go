package barrier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vgid/collective"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/barrier/barriertest"
)

// onRanks runs f on n ranks that wait so long for each other; none may fail.
func onRanks(t *testing.T, n int, timeout time.Duration, kept string, f func(ctx context.Context, r barriertest.Rank) error) {
	t.Helper()
	barriertest.All(t, barriertest.Run(t, n, timeout, kept, f))
}

// What rank 0 does for all may take longer than an operation is waited for: a
// model of 30 GB on its way to a slow disk. Time passes only while every rank
// waits, so a busy machine makes nobody late.
func TestOnRank0TakesItsTime(t *testing.T) {
	const timeout = 400 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		onRanks(t, 3, timeout, "", func(ctx context.Context, r barriertest.Rank) error {
			done := false
			err := r.OnRank0(ctx, func() error {
				time.Sleep(3 * timeout)
				done = true
				return nil
			})
			if done != (r.Rank() == 0) {
				t.Errorf("rank %d: done %t", r.Rank(), done)
			}
			return err
		})
	})
}

// Where one rank fails all end at once, those whose work goes on are told to stop
// it, and each knows who it was.
func TestBarrierEndsWithTheFirstFailure(t *testing.T) {
	broken := errors.New("no room on the disk")
	synctest.Test(t, func(t *testing.T) {
		onRanks(t, 3, 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
			err := r.Each(ctx, func(ctx context.Context) error {
				if r.Rank() == 1 {
					return broken
				}
				<-ctx.Done()
				return ctx.Err()
			})
			var peer *barrier.PeerError
			switch {
			case r.Rank() == 1 && !errors.Is(err, broken):
				t.Errorf("rank 1: %v", err)
			case r.Rank() != 1 && (!errors.As(err, &peer) || peer.Rank != 1 || peer.Text != broken.Error()):
				t.Errorf("rank %d: %v", r.Rank(), err)
			}
			return nil
		})
	})
}

// Work that heeds its context ends on all ranks when one is asked, long before it
// is done; what does not heed it is done to its end.
func TestBarrierEndsWhenARankIsAsked(t *testing.T) {
	for asked := range 3 {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			said := map[string]int{}
			onRanks(t, 3, 20*time.Second, "in the middle", func(ctx context.Context, r barriertest.Rank) error {
				ended := false
				if err := r.OnRank0(ctx, func() error {
					if asked == 0 {
						r.Ask(syscall.SIGINT)
					}
					time.Sleep(time.Minute)
					ended = true
					return nil
				}); err != nil || ended != (r.Rank() == 0) {
					t.Errorf("rank %d: %v, ended %t", r.Rank(), err, ended)
				}
				begin := time.Now()
				_, err := r.Barrier(ctx, func(ctx context.Context) ([]byte, error) {
					switch r.Rank() {
					case asked:
						r.Ask(syscall.SIGINT)
						return nil, nil // it has nothing to do
					case (asked + 1) % 3:
						return nil, nil
					}
					select {
					case <-ctx.Done():
						return nil, fmt.Errorf("question 7: %w", ctx.Err())
					case <-time.After(time.Hour):
						return nil, nil
					}
				})
				if d := time.Since(begin); d > time.Minute {
					t.Errorf("rank %d ended after %v", r.Rank(), d)
				}
				mu.Lock()
				defer mu.Unlock()
				said[fmt.Sprint(err)]++
				return nil
			})
			want := "interrupted (SIGINT) in the middle"
			if said[want] != 3 {
				t.Errorf("rank %d was asked: %v, want all ranks to say %s", asked, said, want)
			}
		})
	}
}

// A failure that has nothing to do with the signal stays what it is.
func TestFailureAfterASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onRanks(t, 2, 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
			err := r.Each(ctx, func(ctx context.Context) error {
				r.Ask(syscall.SIGTERM)
				<-ctx.Done()
				if r.Rank() == 1 {
					return errors.New("the disk is full")
				}
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), "the disk is full") {
				t.Errorf("rank %d: %v", r.Rank(), err)
			}
			return nil
		})
	})
}

// Values travel by rank, and what one rank alone knows reaches all.
func TestValuesOfRanks(t *testing.T) {
	type value struct{ Rank, Square int }
	onRanks(t, 3, 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
		all, err := barrier.Gather(ctx, r.Group, func(context.Context) (value, error) { return value{r.Rank(), r.Rank() * r.Rank()}, nil })
		if err != nil || len(all) != 3 || all[2] != (value{2, 4}) {
			t.Errorf("rank %d: %v, %v", r.Rank(), all, err)
		}
		one, err := barrier.FromRank0(ctx, r.Group, func(context.Context) (string, error) { return fmt.Sprint("rank ", r.Rank()), nil })
		if err != nil || one != "rank 0" {
			t.Errorf("rank %d: %q, %v", r.Rank(), one, err)
		}
		if r.Rank() == 2 {
			r.Ask(syscall.SIGHUP)
		}
		if by, err := r.AskedBy(ctx); err != nil || by != syscall.SIGHUP {
			t.Errorf("rank %d: asked by %v, %v", r.Rank(), by, err)
		}
		r.SetNodes([]string{"", "east"})
		if a, b, c := r.Name(0), r.Name(1), r.Name(2); a != "rank 0" || b != "rank 1 (node east)" || c != "rank 2" {
			t.Errorf("names %s, %s, %s", a, b, c)
		}
		return nil
	})
}

// A signal without a cause of its own counts as SIGTERM, and nobody who was not asked
// says that it was.
func TestAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	g := barrier.New(collective.Solo(), barrier.Options{Asked: ctx})
	if s := g.Asked(); s != 0 {
		t.Errorf("not asked, but %v", s)
	}
	cancel()
	if s := g.Asked(); s != syscall.SIGTERM {
		t.Errorf("asked by %v", s)
	}
	if s := barrier.New(collective.Solo(), barrier.Options{}).Asked(); s != 0 {
		t.Errorf("never asked, but %v", s)
	}
}
