//go:build cuda && cgo && linux

package cuda

import "vgid/model/cuda/internal/driver"

// input carries uploads on a stream of their own, beside the operations. Two
// rules keep both right:
//
//   - an operation waits for the copies into the buffers it touches;
//   - a copy waits for the operations that touched its buffer, and for no later
//     ones: the input of the next pass arrives while this one still computes, if
//     the caller gives it another buffer.
//
// The second needs marks in the queue of operations. One is made before an
// upload when operations were queued since the last, which ends an epoch; a
// buffer remembers the epoch it was touched in.
type input struct {
	stream *driver.Stream
	ring   *ring

	marks    [16]*driver.Event // the ends of the latest epochs, epoch e at e % 16
	epoch    int64             // the present one, from 1
	touched  bool              // an operation was queued in it
	awaited  int64             // the copies wait for the end of this epoch
	arrival  *driver.Event     // of the copies that an operation waits for
	copies   int64             // queued so far
	received int64             // of these, the operations wait for the first ones
}

func (in *input) start(d *driver.Device, bytes int) error {
	in.epoch = 1
	var err error
	if in.stream, err = d.NewStream(); err != nil {
		return err
	}
	if in.arrival, err = d.NewEvent(false); err != nil {
		return err
	}
	for i := range in.marks {
		if in.marks[i], err = d.NewEvent(false); err != nil {
			return err
		}
	}
	in.ring, err = newRing(d, bytes)
	return err
}

func (in *input) close(note func(error)) {
	if in.stream != nil {
		note(in.stream.Close()) // after its copies
	}
	for _, e := range append(in.marks[:], in.arrival) {
		if e != nil {
			note(e.Close())
		}
	}
	if in.ring != nil {
		in.ring.close(note)
	}
}

// mark is the event that ends an epoch; of those forgotten, a later one.
func (in *input) mark(epoch int64) (int64, *driver.Event) {
	epoch = max(epoch, in.epoch-int64(len(in.marks)))
	return epoch, in.marks[epoch%int64(len(in.marks))]
}

// touch orders operations queued from now on after the copies into a buffer,
// and later copies into it after them.
func (b *Device) touch(buf *buffer) {
	if buf.copied > b.input.received {
		b.receive()
	}
	buf.touched, b.input.touched = b.input.epoch, true
}

// receive lets the operations queued from now on wait for all copies so far.
func (b *Device) receive() {
	in := &b.input
	if in.received < in.copies && b.Err() == nil {
		b.Fail(follow(b.stream, in.stream, in.arrival))
	}
	in.received = in.copies
}

// follow lets the work queued on one stream from now on wait for what is queued
// on another.
func follow(later, earlier *driver.Stream, e *driver.Event) error {
	if err := e.Record(earlier); err != nil {
		return err
	}
	return later.Wait(e)
}

// admit lets copies queued from now on wait for the operations that touched a
// buffer.
func (b *Device) admit(buf *buffer) {
	in := &b.input
	if in.touched {
		_, e := in.mark(in.epoch)
		b.Fail(e.Record(b.stream))
		in.epoch, in.touched = in.epoch+1, false
	}
	if buf.touched > in.awaited && b.Err() == nil {
		epoch, e := in.mark(buf.touched)
		b.Fail(in.stream.Wait(e))
		in.awaited = epoch
	}
}

// stage copies host memory into a buffer, beside the operations.
func (b *Device) stage(buf *buffer, dst driver.Ptr, src []byte) {
	b.admit(buf)
	b.send(dst, src)
	buf.copied = b.input.copies
}

// stageTemp copies host memory to memory that was allocated for the operation
// at hand.
func (b *Device) stageTemp(dst driver.Ptr, src []byte) {
	if b.Err() == nil {
		b.Fail(follow(b.input.stream, b.stream, b.input.arrival))
	}
	b.send(dst, src)
	b.receive()
}

// send queues copies through the ring, piece by piece.
func (b *Device) send(dst driver.Ptr, src []byte) {
	in := &b.input
	for len(src) > 0 && b.Err() == nil {
		n := min(len(src), in.ring.most())
		to, err := in.ring.take(n, in.stream)
		if err == nil {
			copy(to, src)
			err = in.stream.Upload(dst, to)
		}
		b.Fail(err)
		src, dst = src[n:], dst+driver.Ptr(n)
	}
	in.copies++
}
