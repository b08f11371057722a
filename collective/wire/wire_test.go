package wire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vgid/collective"
)

func TestMain(m *testing.M) {
	if ran := workerMain(); ran {
		return
	}
	goleak.VerifyTestMain(m)
}

// listen opens n loopback listeners and gives their addresses.
func listen(t testing.TB, n int) ([]net.Listener, []string) {
	t.Helper()
	var ls []net.Listener
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ls, addrs = append(ls, l), append(addrs, l.Addr().String())
	}
	return ls, addrs
}

// each runs f as every rank of an n-rank job over loopback.
func each(t testing.TB, n int, opt collective.Options, f func(c *collective.Comm) error) []error {
	t.Helper()
	ls, addrs := listen(t, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for r := range n {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			tr, err := Connect(ctx, Config{Job: "test", Epoch: 3, Token: "secret", Rank: r, Peers: addrs, Listener: ls[r]})
			if err != nil {
				errs[r] = err
				return
			}
			c, err := collective.New(tr, opt)
			if err != nil {
				errs[r] = err
				return
			}
			errs[r] = f(c)
			if err := c.Close(); err != nil {
				t.Errorf("rank %d: close: %v", r, err)
			}
		})
	}
	wg.Wait()
	return errs
}

func noErrors(t testing.TB, errs []error) {
	t.Helper()
	for r, err := range errs {
		if err != nil {
			t.Errorf("rank %d: %v", r, err)
		}
	}
}

func TestAllReduceOverLoopback(t *testing.T) {
	for n := 2; n <= 4; n++ {
		t.Run(fmt.Sprint(n, " ranks"), func(t *testing.T) {
			ctx := context.Background()
			noErrors(t, each(t, n, collective.Options{Job: "test", ChunkBytes: 40000}, func(c *collective.Comm) error {
				for _, count := range []int{0, 1, n - 1, 255, 256, 257, 5000, 100_003, 700_001} {
					v := make([]float32, count)
					for i := range v {
						v[i] = float32(i%1000 + c.Rank())
					}
					if err := c.AllReduce(ctx, collective.F32(v), collective.Sum); err != nil {
						return err
					}
					for i := range v {
						if want := float32(n*(i%1000) + n*(n-1)/2); v[i] != want {
							return fmt.Errorf("count %d: element %d is %v, want %v", count, i, v[i], want)
						}
					}
				}
				for root := range n {
					b := make([]byte, 300_000)
					if c.Rank() == root {
						for i := range b {
							b[i] = byte(i * (root + 3))
						}
					}
					if err := c.Broadcast(ctx, collective.Bytes(b), root); err != nil {
						return err
					}
					for i := range b {
						if b[i] != byte(i*(root+3)) {
							return fmt.Errorf("broadcast from %d: byte %d is %d", root, i, b[i])
						}
					}
				}
				all, err := c.AllGatherBytes(ctx, []byte(strings.Repeat(string(rune('a'+c.Rank())), c.Rank()*70_000)))
				if err != nil {
					return err
				}
				for r, b := range all {
					if len(b) != r*70_000 || strings.Trim(string(b), string(rune('a'+r))) != "" {
						return fmt.Errorf("gathered %d bytes of rank %d, or others", len(b), r)
					}
				}
				return c.Barrier(ctx)
			}))
		})
	}
}

// Parts of a world, and the world, reduce at the same time over the same
// connections.
func TestPartsOverLoopback(t *testing.T) {
	const n, count = 6, 200_000
	ctx := context.Background()
	noErrors(t, each(t, n, collective.Options{Job: "test", ChunkBytes: 40000}, func(c *collective.Comm) error {
		part, err := c.Split(ctx, c.Rank()%2, -c.Rank())
		if err != nil {
			return err
		}
		for round := range 5 {
			all, some := make([]float32, count), make([]float32, count)
			for i := range all {
				all[i], some[i] = float32(c.Rank()+round), float32(c.Rank()*round)
			}
			h := c.Async().AllReduce(ctx, collective.F32(all), collective.Sum)
			if err := errors.Join(part.AllReduce(ctx, collective.F32(some), collective.Max), h.Wait(ctx)); err != nil {
				return err
			}
			for i := range all {
				if want, most := float32(n*(n-1)/2+n*round), float32((4+c.Rank()%2)*round); all[i] != want || some[i] != most {
					return fmt.Errorf("round %d, element %d: %v and %v, want %v and %v", round, i, all[i], some[i], want, most)
				}
			}
		}
		return part.Close()
	}))
}

// TestBuffersAreFreeAfterTheCall refills the buffer the moment a call returns:
// a transport that still reads from it would send the new content.
func TestBuffersAreFreeAfterTheCall(t *testing.T) {
	const n, rounds = 2, 60
	ctx := context.Background()
	for _, count := range []int{300, 3000, 20_000, 400_000} {
		noErrors(t, each(t, n, collective.Options{Job: "test"}, func(c *collective.Comm) error {
			v := make([]float32, count)
			got := make([]float32, count)
			for round := range rounds {
				for i := range v {
					v[i] = float32(round)
				}
				copy(got, v)
				if err := c.AllReduce(ctx, collective.F32(got), collective.Sum); err != nil {
					return err
				}
				if i := slices.IndexFunc(got, func(x float32) bool { return x != float32(n*round) }); i >= 0 {
					return fmt.Errorf("count %d round %d: element %d is %v", count, round, i, got[i])
				}
				// The root of a broadcast ends first, with everything under way.
				if err := c.Broadcast(ctx, collective.F32(got), round%n); err != nil {
					return err
				}
				if i := slices.IndexFunc(got, func(x float32) bool { return x != float32(n*round) }); i >= 0 {
					return fmt.Errorf("count %d round %d: broadcast element %d is %v: torn", count, round, i, got[i])
				}
				for i := range got {
					got[i] = rand.Float32()
				}
			}
			return nil
		}))
	}
}

func TestHandshakeRefuses(t *testing.T) {
	t.Parallel()
	good := Config{Job: "test", Epoch: 3, Token: "secret"}
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"job":   {func(c *Config) { c.Job = "other" }, `job differs: rank 0 has "test", rank 1 has "other"`},
		"epoch": {func(c *Config) { c.Epoch = 4 }, `epoch differs: rank 0 has "3", rank 1 has "4"`},
		"token": {func(c *Config) { c.Token = "guess" }, "token of the job is wrong"},
		"size":  {func(c *Config) { c.Peers = append(slices.Clone(c.Peers), "127.0.0.1:1") }, `size differs: rank 0 has "2", rank 1 has "3"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ls, addrs := listen(t, 2)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				c := good
				c.Rank, c.Peers, c.Listener = 0, addrs, ls[0]
				if name == "token" { // the caller knows first
					c.Timeout = time.Second
				}
				tr, err := Connect(ctx, c)
				if err == nil {
					tr.Close()
				}
				done <- err
			}()
			c := good
			c.Rank, c.Peers, c.Listener = 1, addrs, ls[1]
			tc.change(&c)
			tr, err := Connect(context.Background(), c)
			if err == nil {
				tr.Close()
				t.Fatal("connected")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("caller says %q, want %q in it", err, tc.want)
			}
			if name != "token" {
				cancel()
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("accepting rank says %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestMissingRankIsNamed(t *testing.T) {
	t.Parallel()
	ls, addrs := listen(t, 1)
	addrs = append(addrs, "127.0.0.1:1") // nobody listens there
	for r, want := range []string{"for rank 1", "rank 1 calls rank 0"} {
		l := ls[0]
		peers := slices.Clone(addrs)
		if r == 1 {
			l, _ = net.Listen("tcp", "127.0.0.1:0")
			peers[0] = addrs[1]
		}
		_, err := Connect(context.Background(), Config{Rank: r, Peers: peers, Listener: l, Timeout: 300 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "300ms") {
			t.Errorf("rank %d says %v, want %q and the time in it", r, err, want)
		}
	}
}
