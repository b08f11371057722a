package collective_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"vgid/collective"
	"vgid/collective/mem"
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
