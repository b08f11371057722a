package train

import (
	"context"
	"fmt"

	"vgid/collective"
	"vgid/collective/schedule"
	"vgid/model/backend"
	"vgid/model/params"
	"vgid/vgid/monitor"
)

// reducer sums gradients over the workers while the backward pass goes on, and where
// the optimizer's work is sharded it hands its results around afterwards.
// Gradients lie in one flat buffer in the order backward finishes them, so a
// bucket is a slice of it, sent as soon as the pass has got past its end. The
// order of buckets is the same on all ranks whatever their samples are.
//
// Where gradients are host memory they are reduced in place. From a device that
// copies in the background they are copied out beside the pass, and reduced once
// they have arrived; from others the pass waits for the copy.
//
// What must always hold: of a bucket, a rank has after finish the sum of all of it, or
// where sharded that of its own segment, in the same bits either way; and after gather
// the parameters that each rank has updated.
type reducer struct {
	calls   calls
	be      backend.Backend
	sharded bool
	buckets []bucket
	ctx     context.Context // of the step in progress
	final   int             // buckets whose gradients are final
	sent    int             // of them, those whose reduction has begun
	shared  int             // buckets whose parameters are on their way

	// What travelled since somebody took it. moves is the part of a bucket's bytes that every
	// worker has to send for a reduce-scatter or an all-gather: (n-1)/n.
	traffic monitor.Communication
	moves   float64
}

// calls are those of a communicator that the reducer makes.
type calls interface {
	AllReduce(ctx context.Context, b collective.Buf, op collective.Op) *collective.Handle
	ReduceScatter(ctx context.Context, in, out collective.Buf, op collective.Op) *collective.Handle
	AllGather(ctx context.Context, in, out collective.Buf) *collective.Handle
}

type bucket struct {
	from, end     int // its elements of the flat buffer
	lo, hi        int // of them, counted from the first, the segment of this rank
	grads, values backend.Tensor
	// The gradients themselves, or their copy on the host, in which the parameters travel,
	// too; inPlace tells which.
	host    []float32
	inPlace bool
	copy    backend.HostCopy // who makes the copy beside the pass; nil: the host waits
	handle  *collective.Handle
}

// newReducer cuts the flat gradient buffer into buckets of about size elements.
func newReducer(comm *collective.Comm, be backend.Backend, flat *params.Flat, size int, sharded bool) (*reducer, error) {
	r := &reducer{calls: comm.Async(), be: be, sharded: sharded, moves: 1 - 1/float64(comm.Size())}
	if comm.Size() == 1 {
		return r, nil
	}
	for from := 0; from < flat.Len(); {
		b := bucket{from: from, end: min(from+max(1, size), flat.Len())}
		b.lo, b.hi = schedule.Segment(b.end-b.from, comm.Size(), comm.Rank())
		b.grads, b.values = flat.Grads().ColRange(b.from, b.end), flat.Values().ColRange(b.from, b.end)
		if err := b.reach(be); err != nil {
			r.close()
			return nil, fmt.Errorf("gradients: %w", err)
		}
		r.buckets = append(r.buckets, b)
		from = b.end
	}
	return r, nil
}

// reach finds out how the host comes to the gradients.
func (b *bucket) reach(be backend.Backend) (err error) {
	if b.host = be.Host(b.grads); b.host != nil {
		b.inPlace = true
		return nil
	}
	if !be.Traits().Overlaps {
		b.host = make([]float32, b.grads.Len())
		return nil
	}
	if b.copy, err = be.NewHostCopy(b.grads); err == nil {
		b.host = b.copy.Values()
	}
	return err
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
func (r *reducer) begin(ctx context.Context) { r.ctx, r.final, r.sent, r.shared = ctx, 0, 0, 0 }

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
	case !b.inPlace:
		err = r.be.Download(b.host, b.grads)
	}
	if err != nil {
		return err
	}
	if r.sharded {
		b.handle = r.calls.ReduceScatter(r.ctx, collective.F32(b.host), collective.F32(b.host[b.lo:b.hi]), collective.Sum)
	} else {
		b.handle = r.calls.AllReduce(r.ctx, collective.F32(b.host), collective.Sum)
	}
	r.sent++
	return nil
}

// finish makes every gradient that this rank goes on with the sum over all workers, for
// what is queued from now on.
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
		moves := r.moves
		if !r.sharded { // an all-reduce is both
			moves *= 2
		}
		r.traffic.Add(int64(4*len(b.host)), moves, b.handle.Took())
		switch {
		case b.inPlace:
		case r.sharded:
			r.be.Upload(b.grads.ColRange(b.lo, b.hi), b.host[b.lo:b.hi])
		case b.copy != nil:
			b.copy.Store()
		default:
			r.be.Upload(b.grads, b.host)
		}
	}
	return nil
}

// updated tells that the parameters of this rank among the first n elements of the flat
// buffer have their new values, and begins to hand them around.
func (r *reducer) updated(n int) error {
	for ; r.shared < len(r.buckets); r.shared++ {
		b := &r.buckets[r.shared]
		if b.from+b.hi > n {
			break
		}
		out := b.parameters(r.be)
		if !b.inPlace {
			if err := r.be.Download(out[b.lo:b.hi], b.values.ColRange(b.lo, b.hi)); err != nil {
				return err
			}
		}
		b.handle = r.calls.AllGather(r.ctx, collective.F32(out[b.lo:b.hi]), collective.F32(out))
	}
	return nil
}

// parameters is where those of a bucket travel.
func (b *bucket) parameters(be backend.Backend) []float32 {
	if b.inPlace {
		return be.Host(b.values)
	}
	return b.host
}

// gather ends what updated has begun: this rank has all parameters.
func (r *reducer) gather() error {
	for i := range r.shared {
		b := &r.buckets[i]
		if err := b.handle.Wait(r.ctx); err != nil {
			return err
		}
		r.traffic.Add(int64(4*len(b.host)), r.moves, b.handle.Took())
		if !b.inPlace {
			r.be.Upload(b.values, b.host)
		}
	}
	return nil
}
