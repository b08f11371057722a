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
	"vgid/collective/mem"
	"vgid/collective/schedule"
)

// worlds are the sizes in which failures are tried, in virtual time; victims are
// the ranks that one befalls.
var worlds = []int{2, 3, 4, 5, 6, 7, 8, 9, 64}

func victims(n int) []int {
	if n > 9 {
		return []int{0, n/2 + 1}
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// named checks that every rank but the victim names it.
func named(t *testing.T, errs []error, victim int, says string) {
	t.Helper()
	for r, err := range errs {
		var re *collective.RankError
		if r != victim && (!errors.As(err, &re) || re.Peer != victim || !strings.Contains(err.Error(), says)) {
			t.Errorf("rank %d: %v; want rank %d, %q", r, err, victim, says)
		}
	}
}

// With the settings as they are by default, a rank that is killed is named by
// all in two seconds, one that stands still in five, wherever it is in a world
// and whatever the others do.
func TestStruckRankIsNamedInTime(t *testing.T) {
	for kind, within := range map[mem.Kind]time.Duration{mem.Kill: 2 * time.Second, mem.Freeze: 5 * time.Second} {
		for _, n := range worlds {
			for _, victim := range victims(n) {
				for _, count := range []int{10, 50_000} {
					inBubble(t, fmt.Sprintf("kind %d, rank %d of %d, %d elements", kind, victim, n, count), func(t *testing.T) {
						ctx := context.Background()
						way := collective.Choose(collective.CallAllReduce, 4*count, schedule.Same(n), collective.Options{})
						s := collective.PlanOf(collective.CallAllReduce, way, victim, 0, schedule.Same(n)).Steps[0]
						peer := max(s.To, s.From)
						var struck time.Time
						var once sync.Once
						errs := world(t, n, collective.Options{}, []mem.Fault{{From: victim, To: peer, Nth: 6, Kind: kind}}, func(c *collective.Comm) error {
							for {
								time.Sleep(300 * time.Millisecond) // so that signs of life say something, too
								begin := time.Now()
								if err := c.AllReduce(ctx, collective.F32(make([]float32, count)), collective.Sum); err != nil {
									once.Do(func() { struck = begin })
									return err
								}
							}
						})
						if d := time.Since(struck); d > within {
							t.Errorf("all have ended after %v, want at most %v", d, within)
						}
						says := "connection lost"
						if kind == mem.Freeze {
							says = "no sign of life for"
						}
						named(t, errs, victim, says)
					})
				}
			}
		}
	}
}

// cutWorld runs a world that all-reduces without end and in which, after some
// calls, links are cut.
func cutWorld(t *testing.T, n int, cut func(ts []collective.Transport)) (errs []error, took time.Duration) {
	ts := mem.New(n)
	errs = make([]error, n)
	var mu sync.Mutex
	var at time.Time
	time.AfterFunc(2*time.Second, func() {
		mu.Lock()
		defer mu.Unlock()
		at = time.Now()
		cut(ts)
	})
	var wg sync.WaitGroup
	for r, tr := range ts {
		c, err := collective.New(tr, collective.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for errs[r] == nil {
				time.Sleep(300 * time.Millisecond)
				errs[r] = c.AllReduce(context.Background(), collective.F32(make([]float32, 10)), collective.Sum)
			}
			mu.Lock()
			took = max(took, time.Since(at))
			mu.Unlock()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return errs, took
}

// A link that is cut, a rank that is cut off and a world that falls in two are
// told of in five seconds on all ranks, by the names of those on the other side.
func TestCutsAreToldInTime(t *testing.T) {
	for _, n := range worlds[1:] {
		for _, victim := range victims(n) {
			peer := schedule.Links(victim, n)[0]
			for name, c := range map[string]struct {
				apart func(a, b int) bool
				blame func(r, named int) bool
			}{
				"a link": {func(a, b int) bool { return a == victim && b == peer },
					func(_, named int) bool { return named == victim || named == peer }},
				"a rank": {func(a, b int) bool { return a == victim },
					func(r, named int) bool { return (r == victim) != (named == victim) }},
				"halves": {func(a, b int) bool { return a < n/2 && b >= n/2 },
					func(r, named int) bool { return (r < n/2) != (named < n/2) }},
			} {
				inBubble(t, fmt.Sprintf("%s, rank %d of %d", name, victim, n), func(t *testing.T) {
					errs, took := cutWorld(t, n, func(ts []collective.Transport) {
						for a := range n {
							for b := range n {
								if a != b && c.apart(a, b) {
									mem.Cut(ts[a], ts[b])
								}
							}
						}
					})
					if took > 5*time.Second {
						t.Errorf("all have ended after %v", took)
					}
					for r, err := range errs {
						var re *collective.RankError
						if !errors.As(err, &re) || !c.blame(r, re.Peer) || !strings.Contains(err.Error(), "no sign of life") || name == "a link" && !strings.Contains(err.Error(), "a link is cut") {
							t.Errorf("rank %d: %v", r, err)
						}
					}
				})
			}
		}
	}
}

// Before the deadline one rank tells where the late one is and where all others
// are, once at a time; at the deadline all name it.
func TestLateRankIsToldOfInAnyWorld(t *testing.T) {
	for _, n := range worlds {
		for _, late := range victims(n) {
			for _, count := range []int{10, 50_000}[:min(2, 73/n)] { // the large world once, it takes long
				inBubble(t, fmt.Sprintf("rank %d of %d, %d elements", late, n, count), func(t *testing.T) {
					ctx := context.Background()
					var mu sync.Mutex
					var told []string
					opt := collective.Options{Timeout: 12 * time.Second, Epoch: 1, OnLate: func(l collective.Late) {
						mu.Lock()
						defer mu.Unlock()
						told = append(told, l.String())
					}}
					errs := world(t, n, opt, nil, func(c *collective.Comm) error {
						if err := c.Barrier(ctx); err != nil {
							return err
						}
						if c.Rank() == late {
							time.Sleep(13 * time.Second)
							return nil
						}
						return c.AllReduce(ctx, collective.F32(make([]float32, count)), collective.Sum)
					})
					named(t, errs, late, "it is alive, but has not come to this call")
					others := "all others"
					if n == 2 {
						others = fmt.Sprintf("rank %d", 1-late)
					}
					want := fmt.Sprintf("rank %d is past barrier #1, %s at all-reduce #2 of epoch 1, for ", late, others)
					if len(told) < 2 || !strings.HasPrefix(told[0], want) { // after 3 and 6 s
						t.Errorf("told %q, want it to begin with %q", told, want)
					}
					for i, text := range told {
						if i > 0 && told[i-1] == text {
							t.Errorf("told twice: %q", text)
						}
					}
				})
			}
		}
	}
}

// Ranks that have not made the same last call, although each has ended its own
// well, all learn of it when they close; where one has made a call more, it may
// be that one alone, in that call.
func TestOtherLastCall(t *testing.T) {
	for _, n := range worlds {
		for _, odd := range victims(n) {
			for what, call := range map[string]func(c *collective.Comm) error{
				// A rank of its own mind in calls that it has no peer in.
				"another": func(c *collective.Comm) error { return collective.PretendCall(c, c.Rank() == odd) },
				"one more": func(c *collective.Comm) error {
					if c.Rank() == odd {
						return collective.PretendCall(c, true)
					}
					return nil
				},
			} {
				inBubble(t, fmt.Sprintf("%s, rank %d of %d", what, odd, n), func(t *testing.T) {
					errs := make([]error, n)
					var wg sync.WaitGroup
					for r, tr := range mem.New(n) {
						c, err := collective.New(tr, collective.Options{})
						if err != nil {
							t.Fatal(err)
						}
						wg.Go(func() {
							err := c.Barrier(context.Background())
							if err == nil {
								err = call(c)
							}
							errs[r] = errors.Join(err, c.Close())
						})
					}
					wg.Wait()
					var re *collective.RankError
					alone := what == "one more" && errors.As(errs[odd], &re) && re.Op == collective.CallBroadcast
					for r, err := range errs {
						var m *collective.MismatchError
						switch {
						case alone && r != odd && err == nil:
						case what == "another" && (!errors.As(err, &m) || m.Rank != odd && m.Peer != odd),
							what == "one more" && !errors.As(err, &re):
							t.Errorf("rank %d: %v", r, err)
						}
					}
				})
			}
		}
	}
}

// A rank that works on its last call for longer than the others keeps them
// until it is done; and nothing is wrong.
func TestLeavingOneAfterTheOther(t *testing.T) {
	for _, n := range worlds {
		inBubble(t, fmt.Sprint(n), func(t *testing.T) {
			begin := time.Now()
			errs := world(t, n, collective.Options{}, nil, func(c *collective.Comm) error {
				err := c.Barrier(context.Background())
				time.Sleep(time.Duration(c.Rank()) * 3 * time.Second / time.Duration(n))
				return err
			})
			if err := first(errs); err != nil {
				t.Error(err)
			}
			if d := time.Since(begin); d > 3*time.Second {
				t.Errorf("all have closed after %v, the last call of the last ended within 3 s", d)
			}
		})
	}
}
