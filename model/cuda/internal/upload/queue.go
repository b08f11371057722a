//go:build cuda && cgo && linux

package upload

import "vgid/model/cuda/internal/driver"

// Queue carries uploads on a stream of its own. Its zero value holds nothing and may be closed.
//
// A copy knows the operations before it by marks in their queue. One is made before an upload when operations
// were queued since the last, which ends an epoch; a buffer remembers the epoch it was touched in (Uses).
// The operations wait for copies 1 to received, so that a buffer whose copied is not greater is
// there already.
type Queue struct {
	operations *driver.Stream // the caller's
	stream     *driver.Stream
	ring       *ring

	marks    [16]*driver.Event // the ends of the latest epochs, epoch e at e % 16
	epoch    int64             // the present one, from 1
	touched  bool              // an operation was queued in it
	awaited  int64             // the copies wait for the end of this epoch
	arrival  *driver.Event     // of the copies that an operation waits for
	copies   int64             // queued so far
	received int64             // of these, the operations wait for the first ones
}

// Uses is what a buffer remembers of its place in both queues. A buffer begins with the zero value.
type Uses struct {
	touched int64 // the epoch of the last operation on it
	copied  int64 // the number of the last copy into it
}

// Start makes what the queue holds: a stream beside that of the operations, and page-locked memory of so many
// bytes. After an error Close takes apart as much of it as there is.
func (q *Queue) Start(d *driver.Device, operations *driver.Stream, bytes int) error {
	q.operations, q.epoch = operations, 1
	var err error
	if q.stream, err = d.NewStream(); err != nil {
		return err
	}
	if q.arrival, err = d.NewEvent(false); err != nil {
		return err
	}
	for i := range q.marks {
		if q.marks[i], err = d.NewEvent(false); err != nil {
			return err
		}
	}
	q.ring, err = newRing(d, bytes)
	return err
}

// Synchronize waits for the copies.
func (q *Queue) Synchronize() error { return q.stream.Synchronize() }

// Close gives back what Start has made, and tells note what fails.
func (q *Queue) Close(note func(error)) {
	if q.stream != nil {
		note(q.stream.Close()) // after its copies
	}
	for _, e := range append(q.marks[:], q.arrival) {
		if e != nil {
			note(e.Close())
		}
	}
	if q.ring != nil {
		q.ring.close(note)
	}
}

// Most is the number of bytes that one copy carries; more go piece by piece.
func (q *Queue) Most() int { return q.ring.most() }

// Touch orders operations queued from now on after the copies into a buffer,
// and later copies into it after them.
func (q *Queue) Touch(u *Uses) (err error) {
	if u.copied > q.received {
		err = q.Receive()
	}
	u.touched, q.touched = q.epoch, true
	return err
}

// Receive lets the operations queued from now on wait for all copies so far.
func (q *Queue) Receive() error {
	if q.received == q.copies {
		return nil
	}
	q.received = q.copies
	return q.operations.Follow(q.stream, q.arrival)
}

// Stage copies host memory into a buffer, beside the operations. src may change when it has returned.
func (q *Queue) Stage(u *Uses, dst driver.Ptr, src []byte) error {
	err := q.admit(u)
	if err == nil {
		err = q.send(dst, src)
	}
	u.copied = q.copies
	return err
}

// StageTemp copies host memory to memory that was allocated for the operation queued next, after what is
// queued so far and before that. src may change when it has returned.
// Fresh memory may be what an operation before has just freed, so the copy waits for all of them.
func (q *Queue) StageTemp(dst driver.Ptr, src []byte) error {
	if err := q.stream.Follow(q.operations, q.arrival); err != nil {
		return err
	}
	if err := q.send(dst, src); err != nil {
		return err
	}
	return q.Receive()
}

// admit lets copies queued from now on wait for the operations that touched a
// buffer.
func (q *Queue) admit(u *Uses) error {
	if q.touched {
		_, e := q.mark(q.epoch)
		if err := e.Record(q.operations); err != nil {
			return err
		}
		q.epoch, q.touched = q.epoch+1, false
	}
	if u.touched <= q.awaited {
		return nil
	}
	epoch, e := q.mark(u.touched)
	q.awaited = epoch
	return q.stream.Wait(e)
}

// mark is the event that ends an epoch; of those forgotten, a later one.
// A later epoch's end is later, too: to wait for it is never wrong, only longer.
func (q *Queue) mark(epoch int64) (int64, *driver.Event) {
	epoch = max(epoch, q.epoch-int64(len(q.marks)))
	return epoch, q.marks[epoch%int64(len(q.marks))]
}

// send queues copies through the ring, piece by piece.
func (q *Queue) send(dst driver.Ptr, src []byte) error {
	// One number for all pieces: the event is recorded behind the last.
	q.copies++
	for len(src) > 0 {
		n := min(len(src), q.ring.most())
		to, err := q.ring.take(n, q.stream)
		if err != nil {
			return err
		}
		copy(to, src)
		if err := q.stream.Upload(dst, to); err != nil {
			return err
		}
		src, dst = src[n:], dst+driver.Ptr(n)
	}
	return nil
}
