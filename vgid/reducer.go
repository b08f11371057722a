package vgid

import (
	"context"
	"fmt"

	"vgid/collective"
	"vgid/model/backend"
)

// reducer sums gradients over the workers while the backward pass goes on.
// Gradients lie in one flat buffer in the order backward finishes them, so a
// bucket is a slice of it, sent as soon as the pass has got past its end. The
// order of buckets is the same on all ranks whatever their samples are.
type reducer struct {
	comm    *collective.Comm
	be      backend.Backend
	buckets []bucket
	ctx     context.Context // of the step in progress
	sent    int
}

type bucket struct {
	end    int            // elements of the flat buffer up to its end
	grads  backend.Tensor // [1, n]
	host   []float32      // the gradients themselves, or their copy on the host
	staged bool           // host is a copy
	handle *collective.Handle
}

// newReducer cuts the flat gradient buffer into buckets of about size bytes.
func newReducer(comm *collective.Comm, be backend.Backend, flat backend.Tensor, size int) (*reducer, error) {
	r := &reducer{comm: comm, be: be}
	if comm.Size() == 1 {
		return r, nil
	}
	mem, inPlace := be.(backend.HostMemory)
	for lo := 0; lo < flat.Len(); {
		hi := min(lo+max(1, size/4), flat.Len())
		b := bucket{end: hi, grads: flat.ColRange(lo, hi), staged: !inPlace}
		if inPlace {
			h, err := mem.HostF32(b.grads)
			if err != nil {
				return nil, fmt.Errorf("gradients: %w", err)
			}
			b.host = h
		} else {
			b.host = make([]float32, hi-lo)
		}
		r.buckets = append(r.buckets, b)
		lo = hi
	}
	return r, nil
}

// begin starts a step: ready may be called from now on.
func (r *reducer) begin(ctx context.Context) { r.ctx, r.sent = ctx, 0 }

// ready tells that the first n elements of the flat buffer are final. It is
// called during the backward pass.
func (r *reducer) ready(n int) {
	for r.sent < len(r.buckets) && r.buckets[r.sent].end <= n {
		b := &r.buckets[r.sent]
		if b.staged && r.be.Download(b.host, b.grads) != nil {
			return // the error sticks in the backend and finish reports it
		}
		b.handle = r.comm.IAllReduce(r.ctx, collective.F32(b.host), collective.Sum)
		r.sent++
	}
}

// finish waits until every gradient is the sum over all workers.
func (r *reducer) finish() error {
	for i := range r.sent {
		b := &r.buckets[i]
		if err := b.handle.Wait(r.ctx); err != nil {
			return err
		}
		if b.staged {
			r.be.Upload(b.grads, b.host)
		}
	}
	return r.be.Sync()
}
