package collective_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/mem"
	"vgid/collective/schedule"
)

// A rank that dies, or stands still, as it sends a frame of any call is named by
// all others, in time, by the ways for short and for long buffers.
func TestFaultsInEveryCall(t *testing.T) {
	const n = 4
	const rounds = 3 * n // in which every rank is the root
	for _, call := range calltest.Calls {
		for kind, in := range map[mem.Kind]time.Duration{mem.Kill: time.Second, mem.Freeze: 10 * time.Second} {
			for way, opt := range ways(n) {
				opt.ChunkBytes = 64
				for victim := range n {
					inBubble(t, fmt.Sprintf("%v/kind %d/%s/rank %d", call, kind, way, victim), func(t *testing.T) {
						struck := 0
						for to := range n {
							if to == victim {
								continue
							}
							var stood [n]time.Duration
							errs := world(t, n, opt, []mem.Fault{{From: victim, To: to, Nth: 2, Kind: kind}},
								func(c *collective.Comm) error {
									time.Sleep(time.Second) // a rank's first sign of life is waited for longer
									begin := time.Now()
									for k := range rounds {
										job := calltest.Job{Call: call, DType: collective.TypeF32, Root: k % n, Count: 40, Counts: []int{20, 30, 40, 10}}
										if _, err := job.Do(context.Background(), c); err != nil {
											stood[c.Rank()] = time.Since(begin)
											return err
										}
									}
									return nil
								})
							if first(errs) == nil {
								continue // it sends that rank nothing
							}
							struck++
							for r, err := range errs {
								var re *collective.RankError
								switch {
								case r == victim || err == nil: // it may have had its part of all calls
								case !errors.As(err, &re) || re.Peer != victim:
									t.Errorf("to %d: rank %d: %v", to, r, err)
								case stood[r] > in:
									t.Errorf("to %d: rank %d waits for %v", to, r, stood[r])
								}
							}
						}
						if struck == 0 {
							t.Error("no fault struck")
						}
					})
				}
			}
		}
	}
}

// All ways of reducing floats give the same bits in every run, in place or not; a
// reduce-scatter gives those of the parts of itself that an all-gather puts
// together on all ranks.
func TestSameBitsInEveryRun(t *testing.T) {
	ctx := context.Background()
	const count = 333
	for n := 2; n <= 7; n++ {
		for way, opt := range ways(n) {
			opt.ChunkBytes = 256
			var runs [3][][]byte
			for run := range runs {
				runs[run] = make([][]byte, n)
				err := first(world(t, n, opt, nil, func(c *collective.Comm) error {
					rng := rand.New(rand.NewPCG(2, uint64(c.Rank())))
					in := make([]float32, count)
					for i := range in {
						in[i] = float32(rng.NormFloat64() * math.Exp(6*rng.NormFloat64()))
					}
					lo, hi := schedule.Segment(count, n, c.Rank())
					all, whole := make([]float32, count), make([]float32, count)
					if run == 1 {
						copy(whole, in)
					}
					work := in
					part := make([]float32, hi-lo)
					if run == 2 {
						part = work[lo:hi]
					}
					var errs []error
					if run == 1 {
						errs = append(errs, c.Reduce(ctx, collective.F32(whole), collective.F32(whole), collective.Sum, n-1))
					} else {
						errs = append(errs, c.Reduce(ctx, collective.F32(in), collective.F32(whole), collective.Sum, n-1))
					}
					errs = append(errs, c.ReduceScatter(ctx, collective.F32(work), collective.F32(part), collective.Sum),
						c.AllGather(ctx, collective.F32(part), collective.F32(all)))
					var out bytes.Buffer
					for i := range all {
						fmt.Fprintf(&out, "%08x", math.Float32bits(all[i]))
						if c.Rank() == n-1 {
							fmt.Fprintf(&out, "%08x", math.Float32bits(whole[i]))
						}
					}
					runs[run][c.Rank()] = out.Bytes()
					return errors.Join(errs...)
				}))
				if err != nil {
					t.Fatal(err)
				}
				for r := range n {
					if !bytes.Equal(runs[run][r], runs[0][r]) {
						t.Errorf("%d ranks, %s: rank %d has other bits in run %d", n, way, r, run)
					}
					if r < n-1 && !bytes.Equal(runs[run][r], runs[run][0]) {
						t.Errorf("%d ranks, %s: rank %d has other bits than rank 0", n, way, r)
					}
				}
			}
		}
	}
}
