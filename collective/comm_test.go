package collective_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"vgid/collective"
	"vgid/collective/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world runs f as every rank of an in-memory job and returns their errors.
func world(t testing.TB, n int, opt collective.Options, faults []mem.Fault, f func(c *collective.Comm) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for r, tr := range mem.New(n, faults...) {
		c, err := collective.New(tr, opt)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			errs[r] = f(c)
			if err := c.Close(); err != nil {
				t.Errorf("rank %d: close: %v", r, err)
			}
		})
	}
	wg.Wait()
	return errs
}

// ways are options that among n ranks make calls on short buffers by each of the algorithms,
// by name.
func ways(n int) map[string]collective.Options {
	hosts := make([]int, n)
	for r := range hosts {
		hosts[r] = r * r % 3
	}
	return map[string]collective.Options{
		"short":        {},
		"ring":         {SmallBytes: -1, Algorithm: collective.Ring},
		"rabenseifner": {SmallBytes: -1, Algorithm: collective.Rabenseifner},
		"hosts, short": {Algorithm: collective.Hierarchical, Hosts: hosts},
		"hosts":        {SmallBytes: -1, Algorithm: collective.Hierarchical, Hosts: hosts},
	}
}

// inBubble is a subtest with a time of its own.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func first(errs []error) error {
	for r, err := range errs {
		if err != nil {
			return fmt.Errorf("rank %d: %w", r, err)
		}
	}
	return nil
}

// input is the value of an element on a rank: small whole numbers, so that
// sums and products are exact in every type.
func input(rank, i int) int64 { return int64((rank*7+i*3)%5) - 1 }

func want(n, i int, op collective.Op) float64 {
	v := float64(input(0, i))
	for r := 1; r < n; r++ {
		x := float64(input(r, i))
		switch op {
		case collective.Sum, collective.Avg:
			v += x
		case collective.Min:
			v = min(v, x)
		case collective.Max:
			v = max(v, x)
		case collective.Prod:
			v *= x
		}
	}
	if op == collective.Avg {
		v /= float64(n)
	}
	return v
}

func TestAllReduceAgainstSerial(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "ranks")
		count := rapid.OneOf(rapid.IntRange(0, 12), rapid.IntRange(13, 3000)).Draw(rt, "count")
		op := collective.Op(rapid.IntRange(0, int(collective.Prod)).Draw(rt, "op"))
		opt := collective.Options{
			ChunkBytes: rapid.SampledFrom([]int{8, 64, 1000, 1 << 20}).Draw(rt, "chunk"),
			SmallBytes: rapid.SampledFrom([]int{-1, 100, 1 << 20}).Draw(rt, "small"),
		}
		if opt.ChunkBytes == 8 {
			count = min(count, 100) // a chunk per element is slow
		}
		err := first(world(t, n, opt, nil, func(c *collective.Comm) error {
			f32, f64, i64 := make([]float32, count), make([]float64, count), make([]int64, count)
			for i := range count {
				v := input(c.Rank(), i)
				f32[i], f64[i], i64[i] = float32(v), float64(v), v
			}
			a := c.Async().AllReduce(ctx, collective.F32(f32), op)
			b := c.Async().AllReduce(ctx, collective.F64(f64), op)
			if err := c.AllReduce(ctx, collective.I64(i64), op); err != nil {
				return err
			}
			if err := errors.Join(a.Wait(ctx), b.Wait(ctx)); err != nil {
				return err
			}
			for i := range count {
				w := want(n, i, op)
				if f32[i] != float32(w) || f64[i] != w || i64[i] != int64(w) {
					return fmt.Errorf("%v of element %d over %d ranks is %v, %v, %v, want %v", op, i, n, f32[i], f64[i], i64[i], w)
				}
			}
			return nil
		}))
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// TestSameBitsEverywhere sums values whose sum depends on the order, with
// infinities and NaNs of different payloads among them.
func TestSameBitsEverywhere(t *testing.T) {
	ctx := context.Background()
	for n := 2; n <= 5; n++ {
		for small, chunk := range map[int]int{-1: 512, 1 << 20: 1 << 20} {
			var runs [][]float32
			for range 3 {
				out := make([][]float32, n)
				err := first(world(t, n, collective.Options{SmallBytes: small, ChunkBytes: chunk}, nil, func(c *collective.Comm) error {
					rng := rand.New(rand.NewPCG(1, uint64(c.Rank())))
					v := make([]float32, 1111)
					for i := range v {
						v[i] = float32(rng.NormFloat64() * math.Exp(8*rng.NormFloat64()))
						if i%50 == 7 {
							v[i] = math.Float32frombits(0x7fc00000 + uint32(c.Rank()+1))
						}
					}
					out[c.Rank()] = v
					return c.AllReduce(ctx, collective.F32(v), collective.Sum)
				}))
				if err != nil {
					t.Fatal(err)
				}
				runs = append(runs, out...)
			}
			for k, v := range runs {
				for i := range v {
					if math.Float32bits(v[i]) != math.Float32bits(runs[0][i]) {
						t.Fatalf("n=%d small=%d: rank %d of run %d has %x in element %d, rank 0 of run 0 %x", n, small, k%n, k/n, v[i], i, runs[0][i])
					}
				}
			}
		}
	}
}

func TestNaNWinsMinAndMax(t *testing.T) {
	ctx := context.Background()
	err := first(world(t, 3, collective.Options{}, nil, func(c *collective.Comm) error {
		for _, op := range []collective.Op{collective.Min, collective.Max} {
			v := []float64{float64(c.Rank()), 1}
			if c.Rank() == 1 {
				v[1] = math.NaN()
			}
			if err := c.AllReduce(ctx, collective.F64(v), op); err != nil {
				return err
			}
			if !math.IsNaN(v[1]) || math.IsNaN(v[0]) {
				return fmt.Errorf("%v gives %v", op, v)
			}
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
}

func TestMovingData(t *testing.T) {
	ctx := context.Background()
	for n := 1; n <= 5; n++ {
		for _, opt := range []collective.Options{{}, {SmallBytes: -1, MiddleBytes: -1, ChunkBytes: 16}} {
			err := first(world(t, n, opt, nil, func(c *collective.Comm) error {
				for root := range n {
					v := make([]int64, 37)
					for i := range v {
						v[i] = int64(c.Rank()*1000 + i)
					}
					if err := c.Broadcast(ctx, collective.I64(v), root); err != nil {
						return err
					}
					for i := range v {
						if v[i] != int64(root*1000+i) {
							return fmt.Errorf("broadcast from %d gives %d", root, v[i])
						}
					}
				}
				mine := strings.Repeat(fmt.Sprint(c.Rank()), c.Rank()*13)
				all, err := c.AllGatherBytes(ctx, []byte(mine))
				if err != nil {
					return err
				}
				for r := range n {
					if w := strings.Repeat(fmt.Sprint(r), r*13); len(all) != n || string(all[r]) != w {
						return fmt.Errorf("gathered %q of rank %d, want %q", all[r], r, w)
					}
				}
				return c.Barrier(ctx)
			}))
			if err != nil {
				t.Fatalf("n=%d %+v: %v", n, opt, err)
			}
		}
	}
}

func TestBarrierHoldsBack(t *testing.T) {
	ctx := context.Background()
	var mu sync.Mutex
	came := 0
	err := first(world(t, 4, collective.Options{}, nil, func(c *collective.Comm) error {
		for round := 1; round <= 20; round++ {
			time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
			mu.Lock()
			came++
			mu.Unlock()
			if err := c.Barrier(ctx); err != nil {
				return err
			}
			mu.Lock()
			n := came
			mu.Unlock()
			if n < round*4 {
				return fmt.Errorf("left barrier %d after %d arrivals, want %d", round, n, round*4)
			}
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// TestMismatchIsNamedOnEveryRank lets one rank make another call than the rest.
func TestMismatchIsNamedOnEveryRank(t *testing.T) {
	ctx := context.Background()
	usual := func(c *collective.Comm) error {
		return c.AllReduce(ctx, collective.F32(make([]float32, 100)), collective.Sum)
	}
	for name, odd := range map[string]func(c *collective.Comm) error{
		"op": func(c *collective.Comm) error {
			return c.AllReduce(ctx, collective.F32(make([]float32, 100)), collective.Max)
		},
		"dtype": func(c *collective.Comm) error {
			return c.AllReduce(ctx, collective.F64(make([]float64, 100)), collective.Sum)
		},
		"count": func(c *collective.Comm) error {
			return c.AllReduce(ctx, collective.F32(make([]float32, 101)), collective.Sum)
		},
		"large": func(c *collective.Comm) error {
			return c.AllReduce(ctx, collective.F32(make([]float32, 1e6)), collective.Sum)
		},
		"call":    func(c *collective.Comm) error { return c.Broadcast(ctx, collective.F32(make([]float32, 100)), 0) },
		"barrier": func(c *collective.Comm) error { return c.Barrier(ctx) },
	} {
		for n := 2; n <= 4; n++ {
			for _, opt := range []collective.Options{
				{Heartbeat: 20 * time.Millisecond},
				{Heartbeat: 20 * time.Millisecond, SmallBytes: -1, MiddleBytes: -1},
			} {
				errs := world(t, n, opt, nil, func(c *collective.Comm) error {
					// A rank may learn of the mismatch while still in this call.
					if err := usual(c); err != nil {
						return err
					}
					if c.Rank() == n-1 {
						return odd(c)
					}
					return usual(c)
				})
				for r, err := range errs {
					var m *collective.MismatchError
					if !errors.As(err, &m) {
						t.Fatalf("%s n=%d small=%d rank %d: %v", name, n, opt.SmallBytes, r, err)
					}
					if m.Rank != n-1 && m.Peer != n-1 {
						t.Errorf("%s n=%d rank %d: %v names ranks %d and %d, not %d", name, n, r, err, m.Rank, m.Peer, n-1)
					}
				}
			}
		}
	}
}

func TestEpochIsFenced(t *testing.T) {
	ctx := context.Background()
	ts := mem.New(2)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for r, tr := range ts {
		c, err := collective.New(tr, collective.Options{Epoch: uint64(5 + r)})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { errs[r] = c.Barrier(ctx); c.Close() })
	}
	wg.Wait()
	for r, err := range errs {
		var m *collective.MismatchError
		if !errors.As(err, &m) || !strings.Contains(err.Error(), "epoch 5") || !strings.Contains(err.Error(), "epoch 6") {
			t.Errorf("rank %d: %v", r, err)
		}
	}
}

// Time is that of a bubble (testing/synctest): it passes only while every rank
// waits, so a slow machine does not change who is late.
func TestFaultsEndEveryRankInTime(t *testing.T) {
	for name, tc := range map[string]struct {
		fault mem.Fault
		blame int // -2: any
	}{
		"drop":     {mem.Fault{From: 1, To: 2, Nth: 3, Kind: mem.Drop}, -2},
		"truncate": {mem.Fault{From: 1, To: 2, Nth: 3, Kind: mem.Truncate}, 1},
		"error":    {mem.Fault{From: 1, To: 2, Nth: 3, Kind: mem.Error}, 2},
		"kill":     {mem.Fault{From: 1, To: 2, Nth: 3, Kind: mem.Kill}, 1},
		"delay":    {mem.Fault{From: 1, To: 2, Nth: 3, Kind: mem.Delay, Wait: time.Minute}, -2},
	} {
		inBubble(t, name, func(t *testing.T) {
			ctx := context.Background()
			begin := time.Now()
			errs := world(t, 4, collective.Options{SmallBytes: -1, MiddleBytes: -1, ChunkBytes: 1000, Timeout: 400 * time.Millisecond, Heartbeat: 20 * time.Millisecond},
				[]mem.Fault{tc.fault}, func(c *collective.Comm) error {
					err := c.AllReduce(ctx, collective.F32(make([]float32, 5000)), collective.Sum)
					var x, y *collective.RankError
					if again := c.Barrier(ctx); errors.As(err, &x) && (!errors.As(again, &y) || x.Peer != y.Peer) {
						return fmt.Errorf("after %w a barrier returns %w", err, again)
					}
					return err
				})
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			for r, err := range errs {
				var re *collective.RankError
				if !errors.As(err, &re) {
					t.Fatalf("rank %d: %v is not a RankError", r, err)
				}
				if re.Op != collective.CallAllReduce || re.Seq != 1 {
					t.Errorf("rank %d: %v names %v #%d", r, err, re.Op, re.Seq)
				}
				if tc.blame >= 0 && re.Peer != tc.blame && !(name == "kill" && r == 1) {
					t.Errorf("rank %d blames %d: %v, want %d", r, re.Peer, err, tc.blame)
				}
			}
		})
	}
}

// A rank that stands still in the middle of an operation, while its connections
// stay open, is named by all others, who say how they know.
func TestFrozenRankIsNamed(t *testing.T) {
	const n, victim = 4, 2
	for says, opt := range map[string]collective.Options{
		"no sign of life for 10.":                                   {Timeout: time.Hour, Silence: 10 * time.Second},
		"not done within 10s: it hangs, was stopped, or is cut off": {Timeout: 10 * time.Second, Silence: time.Hour},
	} {
		inBubble(t, says, func(t *testing.T) {
			opt.Heartbeat, opt.ChunkBytes, opt.SmallBytes = 200*time.Millisecond, 1000, -1
			begin := time.Now()
			errs := world(t, n, opt, []mem.Fault{{From: victim, To: 3, Nth: 20, Kind: mem.Freeze}}, func(c *collective.Comm) error {
				ctx := context.Background()
				for {
					if err := c.AllReduce(ctx, collective.F32(make([]float32, 5000)), collective.Sum); err != nil {
						if d := time.Since(begin); d < 10*time.Second || d > 11*time.Second {
							t.Errorf("rank %d ends after %v", c.Rank(), d)
						}
						return err
					}
				}
			})
			for r, err := range errs {
				var re *collective.RankError
				if r != victim && (!errors.As(err, &re) || re.Peer != victim || re.Op != collective.CallAllReduce || re.Seq < 1 || !strings.Contains(err.Error(), says)) {
					t.Errorf("rank %d: %v", r, err)
				}
			}
		})
	}
}

func TestCancelledContextEndsAllRanks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := world(t, 3, collective.Options{Timeout: 10 * time.Second}, nil, func(c *collective.Comm) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if c.Rank() == 2 {
				time.AfterFunc(50*time.Millisecond, cancel)
				// Rank 2 waits for a call that the others never make whole.
				return c.AllReduce(ctx, collective.F32(make([]float32, 9)), collective.Sum)
			}
			if c.Rank() == 1 {
				time.Sleep(200 * time.Millisecond) // late on purpose
			}
			return c.AllReduce(ctx, collective.F32(make([]float32, 9)), collective.Sum)
		})
		for r, err := range errs {
			var re *collective.RankError
			if !errors.As(err, &re) || !strings.Contains(err.Error(), "context canceled") {
				t.Errorf("rank %d: %v", r, err)
			}
			if r == 2 && !errors.Is(err, context.Canceled) {
				t.Errorf("rank 2: %v is not context.Canceled", err)
			}
		}
	})
}

func TestPeerThatClosesIsNamed(t *testing.T) {
	ctx := context.Background()
	// A rank that is told may still be in the call before, which then ends
	// with the same cause: here none is.
	var ended sync.WaitGroup
	ended.Add(2)
	errs := world(t, 3, collective.Options{}, nil, func(c *collective.Comm) error {
		err := c.Barrier(ctx)
		if c.Rank() == 1 {
			return err
		}
		ended.Done()
		if err != nil {
			return err
		}
		ended.Wait()
		return c.Barrier(ctx)
	})
	for _, r := range []int{0, 2} {
		var re *collective.RankError
		if !errors.As(errs[r], &re) || re.Peer != 1 || re.Seq != 2 || !strings.Contains(re.Error(), "closed") {
			t.Errorf("rank %d: %v", r, errs[r])
		}
	}
	if errs[1] != nil {
		t.Errorf("rank 1: %v", errs[1])
	}
}

func TestSolo(t *testing.T) {
	c := collective.Solo()
	ctx, cancel := context.WithCancel(context.Background())
	v := []float32{3, 5}
	if err := c.AllReduce(ctx, collective.F32(v), collective.Avg); err != nil || v[0] != 3 || v[1] != 5 {
		t.Errorf("%v, %v", v, err)
	}
	all, err := c.AllGatherBytes(ctx, []byte("x"))
	if err != nil || len(all) != 1 || string(all[0]) != "x" {
		t.Errorf("%q, %v", all, err)
	}
	if err := errors.Join(c.Barrier(ctx), c.Broadcast(ctx, collective.F32(v), 0)); err != nil {
		t.Error(err)
	}
	if err := c.Broadcast(ctx, collective.F32(v), 1); err == nil {
		t.Error("broadcast from rank 1 of 1 passes")
	}
	if err := c.AllReduce(ctx, collective.Bytes([]byte{1}), collective.Sum); err == nil {
		t.Error("sum of bytes passes")
	}
	cancel()
	if err := c.Barrier(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestCallAfterClose(t *testing.T) {
	errs := world(t, 2, collective.Options{}, nil, func(c *collective.Comm) error {
		c.Close()
		return c.Barrier(context.Background())
	})
	for r, err := range errs {
		if !errors.Is(err, collective.ErrClosed) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
}

// A rank that is alive but does not come to a call is the one that all others
// name when its time is up, was told of before, and is counted.
func TestLateRankIsNamed(t *testing.T) {
	for n := 2; n <= 8; n++ {
		for late := range n {
			for _, small := range []int{0, -1} {
				inBubble(t, fmt.Sprintf("rank %d of %d, small %d", late, n, small), func(t *testing.T) {
					var mu sync.Mutex
					told := map[string]int{}
					held := make([]time.Duration, n)
					opt := collective.Options{Epoch: 1, Timeout: 12 * time.Second, SmallBytes: small, OnLate: func(l collective.Late) {
						mu.Lock()
						defer mu.Unlock()
						told[l.String()]++
					}}
					ctx := context.Background()
					errs := world(t, n, opt, nil, func(c *collective.Comm) error {
						if err := c.Barrier(ctx); err != nil {
							return err
						}
						if c.Rank() == late {
							time.Sleep(20 * time.Second)
							return c.Barrier(ctx)
						}
						err := c.AllReduce(ctx, collective.F32(make([]float32, 5000)), collective.Sum)
						held[c.Rank()] = c.Stats().Held[late]
						return err
					})
					for r, err := range errs {
						var re *collective.RankError
						if !errors.As(err, &re) {
							t.Fatalf("rank %d: %v", r, err)
						}
						if re.Peer != late {
							t.Errorf("rank %d: %v", r, err)
						}
						if r != late && (held[r] < 8*time.Second || held[r] > 13*time.Second) {
							t.Errorf("rank %d has counted %v", r, held[r])
						}
					}
					if len(told) < 2 { // after 3 and 6 s, and perhaps at the end, 12
						t.Errorf("told %v", told)
					}
					for text, times := range told {
						if times != 1 || !strings.HasPrefix(text, fmt.Sprintf("rank %d is ", late)) {
							t.Errorf("%d times %q", times, text)
						}
					}
				})
			}
		}
	}
}

// Ranks that name different roots in what may be their last call: each learns
// of it there or when it closes.
func TestRootsDiffer(t *testing.T) {
	ctx := context.Background()
	for n := 2; n <= 5; n++ {
		for a := range n {
			for b := range n {
				for odd := range n {
					if a == b {
						continue
					}
					for _, small := range []int{0, -1} {
						inBubble(t, fmt.Sprintf("%d ranks, root %d, but %d on rank %d, small %d", n, a, b, odd, small), func(t *testing.T) {
							errs := make([]error, n)
							var wg sync.WaitGroup
							for r, tr := range mem.New(n) {
								c, err := collective.New(tr, collective.Options{SmallBytes: small, ChunkBytes: 64})
								if err != nil {
									t.Fatal(err)
								}
								wg.Go(func() {
									root := a
									if r == odd {
										root = b
									}
									errs[r] = c.Broadcast(ctx, collective.F32(make([]float32, 50)), root)
									if err := c.Close(); err != nil {
										errs[r] = err
									}
								})
							}
							wg.Wait()
							for r, err := range errs {
								var m *collective.MismatchError
								if !errors.As(err, &m) {
									t.Errorf("rank %d: %v", r, err)
								}
							}
						})
					}
				}
			}
		}
	}
}

// What is known by other ways ends a call at once, on all ranks.
func TestPeerLost(t *testing.T) {
	inBubble(t, "lost", func(t *testing.T) {
		ctx := context.Background()
		errs := world(t, 3, collective.Options{}, nil, func(c *collective.Comm) error {
			if c.Rank() == 2 {
				time.Sleep(10 * time.Second)
				return c.Barrier(ctx)
			}
			if c.Rank() == 0 {
				time.AfterFunc(2*time.Second, func() { c.PeerLost(2, errors.New("node n was lost")) })
			}
			begin := time.Now()
			err := c.Barrier(ctx)
			if d := time.Since(begin); d > 3*time.Second {
				t.Errorf("rank %d waited %v", c.Rank(), d)
			}
			return err
		})
		for r, err := range errs[:2] {
			var re *collective.RankError
			if !errors.As(err, &re) || re.Peer != 2 || !strings.Contains(err.Error(), "node n was lost") {
				t.Errorf("rank %d: %v", r, err)
			}
		}
	})
}

// A rank that comes to every call, but always as the last, is told of.
func TestSlowRankIsNamed(t *testing.T) {
	for slow := -1; slow < 3; slow++ {
		inBubble(t, fmt.Sprint("rank ", slow), func(t *testing.T) {
			var mu sync.Mutex
			var told []collective.Slow
			ctx := context.Background()
			errs := world(t, 3, collective.Options{OnSlow: func(s collective.Slow) { mu.Lock(); told = append(told, s); mu.Unlock() }}, nil, func(c *collective.Comm) error {
				for range 70 {
					time.Sleep(10 * time.Millisecond)
					if c.Rank() == slow {
						time.Sleep(900 * time.Millisecond)
					}
					if err := c.AllReduce(ctx, collective.F32(make([]float32, 10)), collective.Sum); err != nil {
						return err
					}
				}
				return nil
			})
			if err := first(errs); err != nil {
				t.Fatal(err)
			}
			if slow < 0 && len(told) > 0 || slow >= 0 && len(told) < 2 || len(told) > 3 {
				t.Errorf("told %v", told)
			}
			for _, s := range told {
				if s.Rank != slow || s.Share < 0.8 {
					t.Errorf("told %v", s)
				}
			}
		})
	}
}
