// Package selftest compares a device with the CPU on the machine it runs on:
// every operation on random shapes, then a few training steps.
package selftest

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"text/tabwriter"
	"time"

	"vgid/model/backend"
	"vgid/vgid/stepbench"
)

// Options say how much is tried.
// A seed draws the same shapes and values on every machine, so that a failure can be repeated.
type Options struct {
	Seed   uint64
	Rounds int // random shapes of each operation
	// Large adds times on shapes of a 7B model. On a simulated device they are
	// out of reach.
	Large bool
	Steps int // of training; 0 leaves it out
}

// Run tests dev against reference, a CPU, and writes a table. It returns an
// error when anything is further off than it may be.
//
// All operations are compared before it fails, unless one cannot run, so that a report holds all
// that differs.
// The devices stay the caller's. The table goes to the writer as far as it got, also
// beside an error.
func Run(ctx context.Context, dev, reference backend.Backend, o Options, to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\tshapes\tlargest error\tallowed\tTFLOP/s\tGB/s\t")
	bad := 0
	for i, op := range operations {
		rng := rand.New(rand.NewPCG(o.Seed, uint64(i)))
		worst := 0.0
		for range o.Rounds {
			if err := ctx.Err(); err != nil {
				return err
			}
			e, err := compare(dev, reference, op.make(rng, false), rng.Uint64())
			if err != nil {
				w.Flush()
				return fmt.Errorf("selftest: %s: %w", op.name, err)
			}
			worst = max(worst, e)
		}
		verdict := ""
		// Written so that a NaN fails.
		if !(worst <= op.tolerance) {
			verdict = "FAILED"
			bad++
		}
		speed := "-\t-"
		if o.Large {
			var err error
			if speed, err = measure(dev, op.make(rng, true), o.Seed); err != nil {
				return fmt.Errorf("selftest: %s, large: %w", op.name, err)
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%.1e\t%.0e\t%s\t%s\n", op.name, o.Rounds, worst, op.tolerance, speed, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("selftest: %d of %d operations are further from the CPU than they may be", bad, len(operations))
	}
	if o.Steps > 0 {
		return Train(ctx, dev, reference, o.Steps, to)
	}
	return nil
}

// Bounds of the difference of losses, relative to the loss, over a few steps:
// sums in another order; activations and their gradients in bfloat16.
const (
	curveTolerance  = 1e-3
	narrowTolerance = 2e-2
)

// Train compares the loss curves of the quickstart model.
// Small errors add up over steps: this finds what no single operation shows.
// The relative error of the worst step counts: a curve that comes back has left all the same.
func Train(ctx context.Context, dev, reference backend.Backend, steps int, to io.Writer) error {
	want, err := stepbench.Curve(ctx, reference, steps)
	if err != nil {
		return fmt.Errorf("selftest: training on %s: %w", reference.Name(), err)
	}
	got, err := stepbench.Curve(ctx, dev, steps)
	if err != nil {
		return fmt.Errorf("selftest: training on %s: %w", dev.Name(), err)
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(got[i]-want[i])/want[i])
	}
	allowed, in := curveTolerance, "float32"
	if dev.Traits().Activations == backend.BF16 {
		allowed, in = narrowTolerance, "bfloat16"
	}
	fmt.Fprintf(to, "training in %s: %d steps of the quickstart model, loss %.5f to %.5f, at most %.1e from the CPU's (allowed %.0e)\n",
		in, steps, got[0], got[steps-1], worst, allowed)
	if !(worst <= allowed) {
		return fmt.Errorf("selftest: the loss curve leaves the CPU's by %.2g", worst)
	}
	return nil
}

// compare runs a call on both and gives the largest error of its outputs,
// relative to 1 + |value|.
// A NaN on one side alone is an infinite error.
func compare(dev, reference backend.Backend, c call, seed uint64) (float64, error) {
	a, err := c.on(dev, seed, true)
	if err != nil {
		return 0, err
	}
	defer a.free(dev)
	b, err := c.on(reference, seed, false)
	if err != nil {
		return 0, err
	}
	defer b.free(reference)
	c.run(dev, a.tensors)
	c.run(reference, b.tensors)
	worst := 0.0
	for _, i := range c.outputs {
		got, err := a.read(dev, i)
		if err != nil {
			return 0, err
		}
		want, err := b.read(reference, i)
		if err != nil {
			return 0, err
		}
		for j := range want {
			if math.IsNaN(got[j]) != math.IsNaN(want[j]) {
				return math.Inf(1), nil
			}
			worst = max(worst, math.Abs(got[j]-want[j])/(1+math.Abs(want[j])))
		}
	}
	return worst, nil
}

// measure gives the rates of a call, from repetitions of at least a tenth of a
// second, after one to warm up.
// The reference is not asked: only the device's speed is of interest.
// It is "TFLOP/s TAB GB/s". Repetitions are four times as many until they last long
// enough: timers and the start of a queue then weigh nothing.
func measure(dev backend.Backend, c call, seed uint64) (string, error) {
	a, err := c.on(dev, seed, true)
	if err != nil {
		return "", err
	}
	defer a.free(dev)
	c.run(dev, a.tensors)
	if err := dev.Sync(); err != nil {
		return "", err
	}
	for n := 1; ; n *= 4 {
		begin := time.Now()
		for range n {
			c.run(dev, a.tensors)
		}
		if err := dev.Sync(); err != nil {
			return "", err
		}
		if s := time.Since(begin).Seconds() / float64(n); s*float64(n) > 0.1 || n >= 1<<16 {
			flops := "-"
			if c.flops > 0 {
				flops = fmt.Sprintf("%.1f", c.flops/s/1e12)
			}
			return fmt.Sprintf("%s\t%.0f", flops, c.bytes()/s/1e9), nil
		}
	}
}
