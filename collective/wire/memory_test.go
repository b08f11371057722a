package wire

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/frame"
	"vgid/collective/mem"
	"vgid/collective/wire/internal/shm"
)

// ranks runs f on every rank of a world.
func ranks(t *testing.T, ts []frame.Transport, f func(c *collective.Comm) error) {
	t.Helper()
	errs := make([]error, len(ts))
	var wg sync.WaitGroup
	for r := range ts {
		wg.Go(func() {
			c, err := collective.New(ts[r], collective.Options{Job: "test"})
			if err == nil {
				err = f(c)
				_ = c.Close() // what failed before is what is told
			}
			errs[r] = err
		})
	}
	wg.Wait()
	noErrors(t, errs)
}

// Sums of floats have the same bits whatever way the frames take.
func TestSameBitsOverAllTransports(t *testing.T) {
	const n, count = 4, 300_001
	sums := func(ts []frame.Transport) (out []float32) {
		ranks(t, ts, func(c *collective.Comm) error {
			r := rand.New(rand.NewPCG(7, uint64(c.Rank())))
			v := make([]float32, count)
			for i := range v {
				v[i] = r.Float32() - 0.5
			}
			err := c.AllReduce(context.Background(), collective.F32(v), collective.Sum)
			if c.Rank() == 0 {
				out = v
			}
			return err
		})
		return out
	}
	want := sums(mem.New(n))
	for _, name := range []string{"fast", "stock", "memory", "memory between some"} {
		if got := sums(connected(t, n, endpoints[name])); !slices.Equal(got, want) {
			t.Errorf("%s: other bits than in memory of one process", name)
		}
	}
}

// Frames go through memory between the ranks that both have it, and the two ends say so.
func TestConnectionsThroughMemory(t *testing.T) {
	if !shm.Supported {
		t.Skip("memory is shared on Linux alone")
	}
	for name, want := range map[string][]int{
		"memory": {3, 3, 3, 3}, "memory beside stock over TLS": {3, 3, 3, 3}, "memory between some": {1, 0, 1, 0}, "fast": {0, 0, 0, 0},
	} {
		ranks(t, connected(t, 4, endpoints[name]), func(c *collective.Comm) error {
			if err := c.Barrier(context.Background()); err != nil {
				return err
			}
			if s := c.Stats(); s.Connections != 3 || s.SharedMemory != want[c.Rank()] {
				return fmt.Errorf("%s: rank %d has %d connections, %d through memory, want 3 and %d", name, c.Rank(), s.Connections, s.SharedMemory, want[c.Rank()])
			}
			return c.Barrier(context.Background())
		})
	}
}

// A rank that goes to the door of another and does not know the token is let in nowhere, nor is
// one that says it is a rank which does not call there.
func TestDoorIsGuarded(t *testing.T) {
	if !shm.Supported {
		t.Skip("memory is shared on Linux alone")
	}
	ts := connected(t, 2, endpoints["memory"])
	defer func() {
		var all sync.WaitGroup
		for _, tr := range ts {
			all.Go(func() { _ = tr.Close() }) // nothing else is of interest here
		}
		all.Wait()
	}()
	lower := ts[0].(*transport)
	for name, c := range map[string]struct {
		token string
		rank  int
	}{"another token": {"guess", 1}, "the rank itself": {"secret", 0}, "no rank": {"secret", 77}, "a rank that is there": {"secret", 1}} {
		caller := &transport{cfg: Config{Token: c.token, Rank: c.rank, Peers: make([]string, 2)}, size: 2, door: lower.door}
		caller.ctx, caller.dataCtx = context.Background(), context.Background()
		l := newLink(caller, 0)
		caller.meet(context.Background(), l, lower.hello())
		if l.near != nil {
			t.Errorf("%s: shares memory", name)
			l.near.Close()
		}
	}
}

// What a world had open is closed with it.
func TestMemoryIsGivenBack(t *testing.T) {
	before := mappings(t)
	for range 3 {
		ranks(t, connected(t, 4, endpoints["memory"]), func(c *collective.Comm) error {
			err := c.AllReduce(context.Background(), collective.F32(make([]float32, 100_000)), collective.Sum)
			if err == nil && mappings(t) == before {
				err = fmt.Errorf("rank %d: no memory is mapped", c.Rank())
			}
			if err == nil {
				err = c.Barrier(context.Background())
			}
			return err
		})
	}
	if after := mappings(t); after != before {
		t.Errorf("%d mappings are left", after-before)
	}
}

// A rank that is broken while a peer takes nothing ends at once.
func TestBreakWhilePeerTakesNothing(t *testing.T) {
	ts := connected(t, 2, endpoints["memory"])
	ended := make(chan error)
	go func() {
		sent, payload := frame.NewInflight(), make([]byte, 1<<20)
		for {
			sent.Add()
			if err := ts[0].Lane(3).Send(1, &frame.Header{Call: frame.CallBarrier, Length: 1 << 20}, payload, sent); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(5 * time.Millisecond)
	ts[0].Break()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "send to rank 1") {
		t.Errorf("ends with %v", err)
	}
	for _, tr := range ts {
		_ = tr.Close()
	}
}
