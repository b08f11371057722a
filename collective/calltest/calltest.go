package calltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"vgid/collective"
)

// Calls are all that a Job can make.
var Calls = []collective.Call{
	collective.CallAllReduce, collective.CallBroadcast, collective.CallReduce, collective.CallReduceScatter, collective.CallReduceScatterV,
	collective.CallAllGather, collective.CallAllGatherV, collective.CallGather, collective.CallGatherV, collective.CallScatter,
	collective.CallScatterV, collective.CallAllToAll, collective.CallAllToAllV, collective.CallBarrier,
}

// Types are those that can be reduced.
var Types = []collective.DType{
	collective.TypeF32, collective.TypeF64, collective.TypeBF16, collective.TypeF16, collective.TypeI32, collective.TypeI64, collective.TypeU8,
}

// Ops are all operations.
var Ops = []collective.Op{collective.Sum, collective.Avg, collective.Min, collective.Max, collective.Prod}

// Draw is a job among n ranks that pick chooses: it gives one of the numbers below
// n, and is told what for.
func Draw(pick func(n int, what string) int, n, longest int) Job {
	j := Job{
		Call:  Calls[pick(len(Calls), "call")],
		DType: Types[pick(len(Types), "dtype")],
		Op:    Ops[pick(len(Ops), "op")],
		Root:  pick(n, "root"),
		Async: pick(2, "async") == 1,
	}
	if j.Count = pick(longest+1, "count"); pick(2, "short") == 1 {
		j.Count = min(j.Count, 12)
	}
	for range n {
		j.Counts = append(j.Counts, pick(longest/n+1, "length"))
	}
	switch j.Call {
	case collective.CallGather, collective.CallScatter, collective.CallAllToAll:
		j.Count /= n
	}
	if j.Call != collective.CallAllToAllV {
		j.InPlace = pick(2, "in place") == 1
	}
	if j.Call == collective.CallReduce && j.InPlace { // ranks below the root keep theirs
		j.InPlace = n == 1
	}
	return j
}

// Results makes calls one after another as each rank of a job, and gives what
// comes out, by rank and call.
func Results(transports []collective.Transport, opt collective.Options, jobs []Job) ([][][]byte, error) {
	out := make([][][]byte, len(transports))
	err := asRanks(transports, opt, func(c *collective.Comm) error {
		for k, j := range jobs {
			got, err := j.Do(context.Background(), c)
			if err != nil {
				return fmt.Errorf("call %d of %+v: %w", k, j, err)
			}
			out[c.Rank()] = append(out[c.Rank()], got)
		}
		return nil
	})
	return out, err
}

// Check compares what comes out with what is due.
func Check(transports []collective.Transport, opt collective.Options, jobs []Job) error {
	return asRanks(transports, opt, func(c *collective.Comm) error { return each(c, jobs) })
}

// asRanks does something as each rank of a job.
func asRanks(transports []collective.Transport, opt collective.Options, do func(*collective.Comm) error) error {
	errs := make([]error, len(transports))
	var wg sync.WaitGroup
	for r, tr := range transports {
		wg.Go(func() {
			c, err := collective.New(tr, opt)
			if err != nil {
				errs[r] = err
				return
			}
			errs[r] = errors.Join(do(c), c.Close())
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// All makes every call with every type, once, among the ranks of one world, and looks
// whether calls agree that have to. It is for transports that take long to connect.
func All(t *testing.T, transports []collective.Transport, opt collective.Options) {
	if err := asRanks(transports, opt, func(c *collective.Comm) error {
		return errors.Join(each(c, every(c.Size())), Agree(c))
	}); err != nil {
		t.Error(err)
	}
}

// every is each call with each type, among n ranks.
func every(n int) (jobs []Job) {
	for i, call := range Calls {
		for k, dtype := range Types {
			j := Job{Call: call, DType: dtype, Op: Ops[(i+k)%len(Ops)], Root: (i + k) % n, Count: 5*i + 3*k, Async: k%2 == 0, InPlace: k%3 == 0}
			for r := range n {
				j.Counts = append(j.Counts, (r*5+i+k)%7)
			}
			if call == collective.CallAllToAllV || call == collective.CallReduce {
				j.InPlace = false
			}
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// Halves splits a world in two by the parity of ranks, and makes every call in
// both halves at the same time.
func Halves(t *testing.T, transports []collective.Transport, opt collective.Options) {
	if err := asRanks(transports, opt, func(c *collective.Comm) error {
		half, err := c.Split(context.Background(), c.Rank()%2, -c.Rank())
		if err != nil {
			return err
		}
		return errors.Join(each(half, every(half.Size())), half.Close())
	}); err != nil {
		t.Error(err)
	}
}

// each makes calls and compares what comes out on this rank. It makes all of them, or
// the error of one rank would bring those of all others along.
func each(c *collective.Comm, jobs []Job) (wrong error) {
	for k, j := range jobs {
		got, err := j.Do(context.Background(), c)
		if err != nil {
			return fmt.Errorf("call %d of %+v: %w", k, j, err)
		}
		if want := j.Want(c.Size(), c.Rank()); wrong == nil && !bytes.Equal(got, want) {
			wrong = fmt.Errorf("rank %d of %d, call %d of %+v gives %x, want %x", c.Rank(), c.Size(), k, j, got, want)
		}
	}
	return wrong
}
