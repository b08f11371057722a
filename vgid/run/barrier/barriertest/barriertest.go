// Package barriertest runs the ranks of a group in one process. Only tests import it.
package barriertest

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/mem"
	"vgid/vgid/run/barrier"
)

// Rank is a rank in a test, which can be asked to end.
// Ask may be called from any goroutine; the first signal counts.
type Rank struct {
	*barrier.Group
	Ask func(syscall.Signal)
}

// Run runs f on n ranks, whose operations wait so long for each other, and gives every
// rank's error. kept is what interrupted ranks say that they keep.
// Each rank's communicator is closed when its f returns, so that the others do not wait
// for one that failed.
func Run(t *testing.T, n int, timeout time.Duration, kept string, f func(ctx context.Context, r Rank) error) []error {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	transports := mem.New(n)
	for r := range n {
		wg.Go(func() {
			comm, err := collective.New(transports[r], collective.Options{Timeout: timeout})
			if err != nil {
				errs[r] = err
				return
			}
			defer comm.Close()
			asked, cancel := context.WithCancelCause(context.Background())
			g := barrier.New(comm, barrier.Options{Asked: asked, Timeout: timeout, Kept: func() string { return kept }})
			errs[r] = f(t.Context(), Rank{g, func(s syscall.Signal) { cancel(&barrier.Interrupted{Signal: s}) }})
		})
	}
	wg.Wait()
	return errs
}

// All fails the test where a rank failed.
func All(t *testing.T, errs []error) {
	t.Helper()
	for r, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
}
