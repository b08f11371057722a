package train

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
//
// Where gradients are host memory they are reduced in place. From a device that
// copies in the background they are copied out beside the pass, and reduced once
// they have arrived; from others the pass waits for the copy.
type reducer struct {
	comm    *collective.Comm
	be      backend.Backend
	buckets []bucket
	ctx     context.Context // of the step in progress
	final   int             // buckets whose gradients are final
	sent    int             // of them, those whose reduction has begun
}

type bucket struct {
	end    int       // elements of the flat buffer up to its end
	host   []float32 // the gradients themselves, or their copy on the host
	copy   backend.HostCopy
	staged backend.Tensor // the gradients, where host is a plain copy
	handle *collective.Handle
}

// newReducer cuts the flat gradient buffer into buckets of about size bytes.
func newReducer(comm *collective.Comm, be backend.Backend, flat backend.Tensor, size int) (*reducer, error) {
	r := &reducer{comm: comm, be: be}
	if comm.Size() == 1 {
		return r, nil
	}
	for lo := 0; lo < flat.Len(); {
		hi := min(lo+max(1, size/4), flat.Len())
		b, err := newBucket(be, flat.ColRange(lo, hi))
		if err != nil {
			r.close()
			return nil, fmt.Errorf("gradients: %w", err)
		}
		b.end = hi
		r.buckets = append(r.buckets, b)
		lo = hi
	}
	return r, nil
}

func newBucket(be backend.Backend, grads backend.Tensor) (bucket, error) {
	if be.Traits().Overlaps {
		c, err := be.NewHostCopy(grads)
		if err != nil {
			return bucket{}, err
		}
		return bucket{host: c.Values(), copy: c}, nil
	}
	return bucket{host: make([]float32, grads.Len()), staged: grads}, nil
}

// close frees the copies.
func (r *reducer) close() {
	for _, b := range r.buckets {
		if b.copy != nil {
			b.copy.Free()
		}
	}
	r.buckets = nil
}

// begin starts a step: ready may be called from now on.
func (r *reducer) begin(ctx context.Context) { r.ctx, r.final, r.sent = ctx, 0, 0 }

// ready tells that the first n elements of the flat buffer are final. It is
// called during the backward pass, and does not wait where copies run beside it.
func (r *reducer) ready(n int) {
	for r.final < len(r.buckets) && r.buckets[r.final].end <= n {
		if c := r.buckets[r.final].copy; c != nil {
			c.Fetch()
		}
		r.final++
	}
	for r.sent < r.final && (r.buckets[r.sent].copy == nil || r.buckets[r.sent].copy.Arrived()) {
		if r.send() != nil {
			return // finish meets the same error
		}
	}
}

// send begins to reduce the next bucket, once it has arrived.
func (r *reducer) send() error {
	b := &r.buckets[r.sent]
	var err error
	switch {
	case b.copy != nil:
		err = b.copy.Wait()
	case !b.staged.IsZero():
		err = r.be.Download(b.host, b.staged)
	}
	if err != nil {
		return err
	}
	b.handle = r.comm.Async().AllReduce(r.ctx, collective.F32(b.host), collective.Sum)
	r.sent++
	return nil
}

// finish makes every gradient the sum over all workers, for what is queued from
// now on.
func (r *reducer) finish() error {
	for r.sent < r.final {
		if err := r.send(); err != nil {
			return err
		}
	}
	for i := range r.sent {
		b := &r.buckets[i]
		if err := b.handle.Wait(r.ctx); err != nil {
			return err
		}
		switch {
		case b.copy != nil:
			b.copy.Store()
		case !b.staged.IsZero():
			r.be.Upload(b.staged, b.host)
		}
	}
	return nil
}
