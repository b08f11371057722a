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
)

// ends runs f as every rank and gives the first error of each: of f, of a barrier
// behind it, or of closing. Some ranks of a rooted call have ended it well before
// another sees that they disagree.
func ends(t *testing.T, n int, opt collective.Options, f func(c *collective.Comm) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for r, tr := range mem.New(n) {
		c, err := collective.New(tr, opt)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if errs[r] = f(c); errs[r] == nil {
				errs[r] = c.Barrier(context.Background())
			}
			if err := c.Close(); errs[r] == nil {
				errs[r] = err
			}
		})
	}
	wg.Wait()
	return errs
}

// call is one operation with what ranks may disagree about.
type call struct {
	count, root int
	op          collective.Op
	wide        bool // f64 instead of f32
	counts      []int
}

func (k call) buf(count int) collective.Buf {
	if k.wide {
		return collective.F64(make([]float64, count))
	}
	return collective.F32(make([]float32, count))
}

func sum(counts []int) (n int) {
	for _, k := range counts {
		n += k
	}
	return n
}

// One rank makes a call with another count, type, operation, root or lengths than
// the others: all end with an error that says both, in every call, by the ways for
// short and for long buffers.
func TestDisagreementsAreNamed(t *testing.T) {
	ctx := context.Background()
	usual := call{count: 12, root: 0, counts: []int{2, 3, 1, 2}}
	differences := map[string]struct {
		odd  func(k *call)
		both [2]string // what every rank's error holds
	}{
		"count": {func(k *call) { k.count = 16 }, [2]string{" 12 f32", " 16 f32"}},
		"part":  {func(k *call) { k.count = 16 }, [2]string{" 3 f32", " 4 f32"}},
		"dtype": {func(k *call) { k.wide = true }, [2]string{"f32", "f64"}},
		"op":    {func(k *call) { k.op = collective.Max }, [2]string{"sum", "max"}},
		// A rank that needs nothing of the others in this call may be in the next.
		"root":    {func(k *call) { k.root = 1 }, [2]string{"from root ", ""}},
		"lengths": {func(k *call) { k.counts = []int{3, 2, 1, 2} }, [2]string{"checksum", "checksum"}},
	}
	calls := map[string]struct {
		make   func(c *collective.Comm, k call) error
		differ string
	}{
		"all-reduce": {func(c *collective.Comm, k call) error { return c.AllReduce(ctx, k.buf(k.count), k.op) }, "count dtype op"},
		"broadcast":  {func(c *collective.Comm, k call) error { return c.Broadcast(ctx, k.buf(k.count), k.root) }, "count dtype root"},
		"reduce": {func(c *collective.Comm, k call) error {
			return c.Reduce(ctx, k.buf(k.count), k.buf(k.count), k.op, k.root)
		}, "count dtype op root"},
		"reduce-scatter": {func(c *collective.Comm, k call) error {
			return c.ReduceScatter(ctx, k.buf(k.count), k.buf(k.count/4), k.op)
		}, "count dtype op"},
		"reduce-scatter-v": {func(c *collective.Comm, k call) error {
			return c.ReduceScatterV(ctx, k.buf(8), k.buf(k.counts[c.Rank()]), k.counts, k.op)
		}, "dtype op lengths"},
		"all-gather": {func(c *collective.Comm, k call) error { return c.AllGather(ctx, k.buf(k.count/4), k.buf(k.count)) }, "count dtype"},
		"all-gather-v": {func(c *collective.Comm, k call) error {
			return c.AllGatherV(ctx, k.buf(k.counts[c.Rank()]), k.buf(8), k.counts)
		}, "dtype lengths"},
		"gather": {func(c *collective.Comm, k call) error { return c.Gather(ctx, k.buf(k.count/4), k.buf(k.count), k.root) }, "part dtype root"},
		"gather-v": {func(c *collective.Comm, k call) error {
			return c.GatherV(ctx, k.buf(k.counts[c.Rank()]), k.buf(8), k.counts, k.root)
		}, "dtype root"},
		"scatter": {func(c *collective.Comm, k call) error {
			return c.Scatter(ctx, k.buf(k.count), k.buf(k.count/4), k.root)
		}, "part dtype root"},
		"scatter-v": {func(c *collective.Comm, k call) error {
			return c.ScatterV(ctx, k.buf(8), k.buf(k.counts[c.Rank()]), k.counts, k.root)
		}, "dtype root"},
		"all-to-all": {func(c *collective.Comm, k call) error { return c.AllToAll(ctx, k.buf(k.count), k.buf(k.count)) }, "count dtype"},
		"all-to-all-v": {func(c *collective.Comm, k call) error {
			counts := []int{1, 1, 1, 1}
			return c.AllToAllV(ctx, k.buf(4), counts, k.buf(4), counts)
		}, "dtype"},
	}
	for name, c := range calls {
		for _, what := range strings.Fields(c.differ) {
			for _, small := range []int{0, -1} {
				for odd := range 4 {
					inBubble(t, fmt.Sprintf("%s/%s/small %d/rank %d", name, what, small, odd), func(t *testing.T) {
						d := differences[what]
						errs := ends(t, 4, collective.Options{SmallBytes: small}, func(comm *collective.Comm) error {
							k := usual
							if comm.Rank() == odd {
								d.odd(&k)
							}
							return c.make(comm, k)
						})
						for r, err := range errs {
							var m *collective.MismatchError
							if !errors.As(err, &m) || !strings.Contains(err.Error(), name+" #1") || !strings.Contains(err.Error(), d.both[0]) || !strings.Contains(err.Error(), d.both[1]) {
								t.Errorf("rank %d: %v", r, err)
							}
						}
					})
				}
			}
		}
	}
}

// Where only the two ends of a message know how long it is, they tell both.
func TestLengthsOfPairsAreNamed(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		call func(c *collective.Comm) error
		says string
		peer int
	}{
		"gather-v": {func(c *collective.Comm) error {
			counts := []int{1, 2, 3, 4}
			return c.GatherV(ctx, collective.I32(make([]int32, counts[c.Rank()]+c.Rank()/3)), collective.I32(make([]int32, 10)), counts, 1)
		}, "it gives 5 i32 where root 1 expects 4", 3},
		"scatter-v": {func(c *collective.Comm) error {
			counts := []int{1, 2, 3, 4}
			return c.ScatterV(ctx, collective.I32(make([]int32, 10)), collective.I32(make([]int32, counts[c.Rank()]+c.Rank()/3)), counts, 1)
		}, "the root has 4 i32 for rank 3, which expects 5", 1},
		"all-to-all-v": {func(c *collective.Comm) error {
			send, receive := []int{1, 1, 1, 1}, []int{1, 1, 1, 1}
			if c.Rank() == 2 {
				receive[3] = 2
			}
			return c.AllToAllV(ctx, collective.I32(make([]int32, sum(send))), send, collective.I32(make([]int32, sum(receive))), receive)
		}, "it sends 1 i32 where rank 2 expects 2", 3},
	} {
		inBubble(t, name, func(t *testing.T) {
			for r, err := range ends(t, 4, collective.Options{}, c.call) {
				var re *collective.RankError
				if !errors.As(err, &re) || re.Peer != c.peer || !strings.Contains(err.Error(), c.says) {
					t.Errorf("rank %d: %v", r, err)
				}
			}
		})
	}
}

// What is wrong on its own is refused at once, takes no number and leaves the
// communicator as it is; a job of one rank is checked alike.
func TestCallsThatAreWrongAlone(t *testing.T) {
	ctx := context.Background()
	f := func(n int) collective.Buf { return collective.F32(make([]float32, n)) }
	one := make([]float32, 8)
	other := func(c *collective.Comm) int { return (c.Rank() + 1) % c.Size() }
	for says, call := range map[string]func(c *collective.Comm) error{
		"root 9 is not a rank of 0 … ": func(c *collective.Comm) error { return c.Reduce(ctx, f(4), f(4), collective.Sum, 9) },
		"root -1 is not a rank":        func(c *collective.Comm) error { return c.Gather(ctx, f(4), f(4*c.Size()), -1) },
		"cannot reduce bytes by sum": func(c *collective.Comm) error {
			b := collective.Bytes(make([]byte, 4))
			return c.AllReduceTo(ctx, b, b, collective.Sum)
		},
		"cannot reduce f32 by op(77)":     func(c *collective.Comm) error { return c.AllReduce(ctx, f(4), 77) },
		"4 elements go in and 5 come out": func(c *collective.Comm) error { return c.AllReduceTo(ctx, f(4), f(5), collective.Sum) },
		"elements of f32 go in and of i64 come out": func(c *collective.Comm) error {
			return c.AllReduceTo(ctx, f(4), collective.I64(make([]int64, 4)), collective.Sum)
		},
		"overlap without being the same": func(c *collective.Comm) error {
			return c.AllToAll(ctx, collective.F32(one[:6]), collective.F32(one[2:]))
		},
		"lengths of 7 parts are given for": func(c *collective.Comm) error { return c.AllGatherV(ctx, f(1), f(7), make([]int, 7)) },
		"do not add up to the 99 elements": func(c *collective.Comm) error { return c.AllGatherV(ctx, f(1), f(99), make([]int, c.Size())) },
		"the part of rank 0 has the length -1": func(c *collective.Comm) error {
			n := make([]int, c.Size())
			n[0] = -1
			return c.ReduceScatterV(ctx, f(0), f(0), n, collective.Sum)
		},
		"elements, its buffer 100": func(c *collective.Comm) error { return c.AllGather(ctx, f(100), f(8)) },
		"a part of i64 goes with a buffer of f32": func(c *collective.Comm) error {
			return c.ReduceScatter(ctx, f(c.Size()), collective.I64(make([]int64, 1)), collective.Sum)
		},
		"has 5 elements, the part of each 8": func(c *collective.Comm) error { return c.Scatter(ctx, f(5), f(8), c.Rank()) },
		"one is not the part of rank": func(c *collective.Comm) error {
			v := make([]float32, c.Size()+1)
			return c.AllGather(ctx, collective.F32(v[other(c):other(c)+1]), collective.F32(v[:c.Size()]))
		},
		"buffers of what goes in and what comes out o": func(c *collective.Comm) error {
			n := make([]int, c.Size())
			n[0] = 8
			return c.AllToAllV(ctx, collective.F32(one), n, collective.F32(one), n)
		},
	} {
		for _, n := range []int{1, 2} {
			if n == 1 && strings.HasPrefix(says, "one is not") {
				continue // with one rank the part is the whole
			}
			errs := world(t, n, collective.Options{}, nil, func(c *collective.Comm) error {
				err := call(c)
				var re *collective.RankError
				if !errors.As(err, &re) || re.Peer != -1 || re.Rank != c.Rank() || !strings.Contains(err.Error(), says) {
					return fmt.Errorf("%w, want %q", err, says)
				}
				return nil
			})
			if err := first(errs); err != nil {
				t.Errorf("%d ranks: %v", n, err)
			}
		}
	}
	inBubble(t, "and then", func(t *testing.T) {
		begin := time.Now()
		errs := world(t, 2, collective.Options{}, nil, func(c *collective.Comm) error {
			if err := c.AllReduce(ctx, f(4), 77); err == nil {
				return errors.New("passes")
			}
			return c.Barrier(ctx)
		})
		if err := first(errs); err != nil || time.Since(begin) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
