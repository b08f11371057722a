package collective_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"vgid/collective"
)

// The time that operations wait for a rank's frames is counted to the moment, short as it
// is, by those that receive from it; and how long an operation ran is known of it.
func TestWaitedIsPrecise(t *testing.T) {
	const late, by = 1, 70 * time.Millisecond // much less than a heartbeat
	for _, small := range []int{0, -1} {
		inBubble(t, fmt.Sprintf("small %d", small), func(t *testing.T) {
			ctx := context.Background()
			err := first(world(t, 2, collective.Options{SmallBytes: small}, nil, func(c *collective.Comm) error {
				for range 3 {
					if c.Rank() == late {
						time.Sleep(by)
					}
					h := c.Async().AllReduce(ctx, collective.F32(make([]float32, 100_000)), collective.Sum)
					if err := h.Wait(ctx); err != nil {
						return err
					}
					want := by
					if c.Rank() == late {
						want = 0
					}
					if h.Took() != want {
						return fmt.Errorf("an operation of %v took %v", want, h.Took())
					}
				}
				s, want := c.Stats(), []time.Duration{0, 3 * by}
				if c.Rank() == late {
					want[late] = 0
				}
				if s.Waited[0] != want[0] || s.Waited[1] != want[1] || s.TimeInOps != want[1] {
					return fmt.Errorf("waited %v in %v of operations, want %v", s.Waited, s.TimeInOps, want)
				}
				if s.Held[late] != 0 {
					return fmt.Errorf("held for %v, less than heartbeats can tell", s.Held[late])
				}
				return nil
			}))
			if err != nil {
				t.Error(err)
			}
		})
	}
}
