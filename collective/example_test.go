package collective_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"vgid/collective"
	"vgid/collective/mem"
	"vgid/collective/schedule"
)

// Two ranks of a job, here two goroutines of one process, add what each has.
// Over the network only the transport is another: wire.Connect gives it.
func Example() {
	transports := mem.New(2)
	var wg sync.WaitGroup
	sums, errs := make([][]float32, 2), make([]error, 2)
	for rank, transport := range transports {
		wg.Go(func() {
			comm, err := collective.New(transport, collective.Options{Job: "example"})
			if err != nil {
				errs[rank] = err
				return
			}
			sums[rank] = []float32{1, float32(rank)}
			err = comm.AllReduce(context.Background(), collective.F32(sums[rank]), collective.Sum)
			errs[rank] = errors.Join(err, comm.Close())
		})
	}
	wg.Wait()
	fmt.Println(sums[0], sums[1], errors.Join(errs...))
	// Output: [2 1] [2 1] <nil>
}

// together runs f as each rank of a job in one process, for the examples.
func together(n int, f func(c *collective.Comm) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for rank, transport := range mem.New(n) {
		wg.Go(func() {
			comm, err := collective.New(transport, collective.Options{Job: "example"})
			if err == nil {
				err = errors.Join(f(comm), comm.Close())
			}
			errs[rank] = err
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Gradients are summed to the rank that owns a part of the parameters, which
// updates it; then all ranks get all parts. Five elements among two ranks: parts
// of three and of two.
func ExampleComm_ReduceScatter() {
	ctx := context.Background()
	params := make([][]float32, 2)
	err := together(2, func(c *collective.Comm) error {
		lo, hi := schedule.Segment(5, c.Size(), c.Rank())
		gradients := []float32{1, 2, 3, 4, 5}
		mine := gradients[lo:hi] // in place
		if err := c.ReduceScatter(ctx, collective.F32(gradients), collective.F32(mine), collective.Sum); err != nil {
			return err
		}
		p := make([]float32, 5)
		for i := range mine {
			p[lo+i] = 100 - mine[i]
		}
		params[c.Rank()] = p
		return c.AllGather(ctx, collective.F32(p[lo:hi]), collective.F32(p))
	})
	fmt.Println(params[0], params[1], err)
	// Output: [98 96 94 92 90] [98 96 94 92 90] <nil>
}

// The root learns what each rank has, of different lengths.
func ExampleComm_GatherV() {
	ctx := context.Background()
	all := make([]int32, 1+2+3)
	err := together(3, func(c *collective.Comm) error {
		mine := slices.Repeat([]int32{int32(c.Rank())}, c.Rank()+1)
		return c.GatherV(ctx, collective.I32(mine), collective.I32(all), []int{1, 2, 3}, 0)
	})
	fmt.Println(all, err)
	// Output: [0 1 1 2 2 2] <nil>
}

// Row r of a matrix becomes column r.
func ExampleComm_AllToAll() {
	ctx := context.Background()
	rows := [][]int64{{11, 12, 13}, {21, 22, 23}, {31, 32, 33}}
	err := together(3, func(c *collective.Comm) error {
		row := collective.I64(rows[c.Rank()])
		return c.AllToAll(ctx, row, row)
	})
	fmt.Println(rows, err)
	// Output: [[11 21 31] [12 22 32] [13 23 33]] <nil>
}

// Work goes on while the ranks exchange.
func ExampleComm_Async() {
	ctx := context.Background()
	sums := make([][]float64, 2)
	err := together(2, func(c *collective.Comm) error {
		a, b := []float64{1}, []float64{2}
		first := c.Async().AllReduce(ctx, collective.F64(a), collective.Sum)
		second := c.Async().AllReduce(ctx, collective.F64(b), collective.Prod)
		// What needs neither a nor b is done here.
		err := errors.Join(first.Wait(ctx), second.Wait(ctx))
		sums[c.Rank()] = []float64{a[0], b[0]}
		return err
	})
	fmt.Println(sums, err)
	// Output: [[2 4] [2 4]] <nil>
}

// Ranks that make different calls are told so, all of them.
func Example_mismatch() {
	ctx := context.Background()
	err := together(2, func(c *collective.Comm) error {
		v := make([]float32, 4+c.Rank())
		err := c.AllReduce(ctx, collective.F32(v), collective.Sum)
		var m *collective.MismatchError
		if !errors.As(err, &m) {
			return fmt.Errorf("want a mismatch, got %w", err)
		}
		if counts := m.Local.Count + m.Remote.Count; counts != 9 {
			return fmt.Errorf("rank %d is told of %d elements", c.Rank(), counts)
		}
		return nil
	})
	fmt.Println(err)
	// Output: <nil>
}

// Ranks of even and of odd numbers add up what they have, each for themselves.
func ExampleComm_Split() {
	ctx := context.Background()
	sums := make([]float64, 4)
	err := together(4, func(c *collective.Comm) error {
		half, err := c.Split(ctx, c.Rank()%2, c.Rank())
		if err != nil {
			return err
		}
		mine := sums[c.Rank() : c.Rank()+1]
		mine[0] = float64(c.Rank())
		err = half.AllReduce(ctx, collective.F64(mine), collective.Sum)
		return errors.Join(err, half.Close())
	})
	fmt.Println(sums, err)
	// Output: [2 4 2 4] <nil>
}

// A message has a tag; what comes of other tags waits.
func ExampleComm_Send() {
	ctx := context.Background()
	err := together(2, func(c *collective.Comm) error {
		if c.Rank() == 0 {
			return errors.Join(c.Send(ctx, collective.Bytes([]byte("later")), 1, 7), c.Send(ctx, collective.Bytes([]byte("now")), 1, 8))
		}
		for _, tag := range []int{8, 7} {
			text := make([]byte, 100)
			n, err := c.Recv(ctx, collective.Bytes(text), 0, tag)
			if err != nil {
				return err
			}
			fmt.Println(string(text[:n]))
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// now
	// later
	// <nil>
}
