package calltest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"vgid/collective"
	"vgid/collective/schedule"
)

// Agree looks whether a reduce-scatter gives each rank the bits that an all-reduce
// gives its part. The values are such that another order of addition shows: who cuts
// the work of an optimizer over the ranks, or does not, must not see a difference.
//
// It makes all its calls, as each does.
func Agree(c *collective.Comm) (wrong error) {
	ctx := context.Background()
	// Whole values and few; parts that differ by one; long enough for every way that is
	// chosen by length.
	for _, count := range []int{1, 3*c.Size() + 1, 1000, 40_001} {
		r := rand.New(rand.NewPCG(uint64(count), uint64(c.Rank())))
		whole := make([]float32, count)
		for i := range whole {
			whole[i] = float32(r.NormFloat64() * math.Pow(10, 3*r.Float64()))
		}
		lo, hi := schedule.Segment(count, c.Size(), c.Rank())
		for _, op := range []collective.Op{collective.Sum, collective.Avg} {
			all, part, in := slices.Clone(whole), make([]float32, hi-lo), slices.Clone(whole)
			if err := c.AllReduce(ctx, collective.F32(all), op); err != nil {
				return err
			}
			if err := c.ReduceScatter(ctx, collective.F32(in), collective.F32(part), op); err != nil {
				return err
			}
			if err := c.ReduceScatter(ctx, collective.F32(in), collective.F32(in[lo:hi]), op); err != nil {
				return err
			}
			for i, want := range all[lo:hi] {
				if wrong == nil && (math.Float32bits(part[i]) != math.Float32bits(want) || math.Float32bits(in[lo+i]) != math.Float32bits(want)) {
					wrong = fmt.Errorf("rank %d of %d, element %d of %d: the reduce-scatter by %v gives %v, in place %v, the all-reduce %v",
						c.Rank(), c.Size(), lo+i, count, op, part[i], in[lo+i], want)
				}
			}
		}
	}
	return wrong
}
