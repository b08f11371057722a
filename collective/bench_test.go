package collective_test

import (
	"context"
	"fmt"
	"testing"

	"vgid/collective"
)

// What an operation costs beside the network: two ranks in memory.
func BenchmarkAllReduce(b *testing.B) {
	for _, bytes := range []int{64, 4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(bytes), func(b *testing.B) {
			b.ReportAllocs()
			errs := world(b, 2, collective.Options{}, nil, func(c *collective.Comm) error {
				v := make([]float32, bytes/4)
				for range b.N {
					if err := c.AllReduce(context.Background(), collective.F32(v), collective.Max); err != nil {
						return err
					}
				}
				return nil
			})
			if err := first(errs); err != nil {
				b.Fatal(err)
			}
		})
	}
}
