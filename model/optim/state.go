package optim

import (
	"fmt"
	"slices"

	"vgid/model/backend"
)

// Array is one of those that a checkpoint needs to continue, beside the number of
// updates, all in flat order: the trained values, and the moments.
type Array int

// Arrays.
const (
	Values Array = iota
	Moment1
	Moment2
	arrays
)

func (a Array) String() string { return [arrays]string{"value", "moment1", "moment2"}[a] }

// Updates is the number of updates made.
func (o *Optimizer) Updates() int { return o.step }

// SetUpdates continues after so many updates.
func (o *Optimizer) SetUpdates(n int) error {
	if n < 0 {
		return fmt.Errorf("optimizer: %d updates are said to be made", n)
	}
	o.step = n
	return nil
}

// Read waits for the device and copies the elements of an array from one on, as many as
// dst holds. Moments that this optimizer does not own leave dst as it is.
func (o *Optimizer) Read(a Array, dst []float32, from int) error {
	return o.each(a, from, len(dst), func(t backend.Tensor, lo, hi int) error { return o.be.Download(dst[lo:hi], t) })
}

// Write is the opposite of Read. Moments that this optimizer does not own are left out.
func (o *Optimizer) Write(a Array, src []float32, from int) error {
	return o.each(a, from, len(src), func(t backend.Tensor, lo, hi int) error {
		o.be.Upload(t, src[lo:hi])
		return nil
	})
}

// each calls do for the pieces of the elements [from, from+n) of an array that are here,
// each with its place among them.
func (o *Optimizer) each(a Array, from, n int, do func(t backend.Tensor, lo, hi int) error) error {
	if err := o.current(); err != nil {
		return err
	}
	if from < 0 || from+n > o.flat.Len() {
		return fmt.Errorf("optimizer: elements %d to %d are asked for, the model trains %d", from, from+n, o.flat.Len())
	}
	here, buf := o.own, o.m1
	switch a {
	case Values:
		here, buf = []stretch{{to: o.flat.Len()}}, o.flat.Values().Buf
	case Moment2:
		buf = o.m2
	}
	// The first that ends behind from.
	i, _ := slices.BinarySearchFunc(here, from, func(s stretch, from int) int {
		if s.to <= from {
			return -1
		}
		return 1
	})
	for _, s := range here[i:] {
		lo, hi := max(s.from, from), min(s.to, from+n)
		if lo >= hi {
			break
		}
		if err := do(backend.View(buf, s.at+lo-s.from, 1, hi-lo), lo-from, hi-from); err != nil {
			return err
		}
	}
	return nil
}

// Owned is how many of the trained values this optimizer updates, and has moments of.
func (o *Optimizer) Owned() int {
	n := 0
	for _, s := range o.own {
		n += s.to - s.from
	}
	return n
}
