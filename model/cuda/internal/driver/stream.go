//go:build cuda && cgo && linux

package driver

// #include <cuda.h>
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// Stream is a queue of work; streams run beside each other, and beside the null
// stream, unless events order them.
type Stream struct {
	d *Device
	s cu.Stream
}

// NewStream makes a stream.
func (d *Device) NewStream() (*Stream, error) {
	s := &Stream{d: d}
	err := d.do("cuStreamCreate", func() (err error) {
		s.s, err = cu.MakeStream(cu.NonBlocking)
		return err
	})
	return s, err
}

// Synchronize waits for the queued work.
func (s *Stream) Synchronize() error { return s.d.do("cuStreamSynchronize", s.s.Synchronize) }

// Wait lets the work queued from now on wait for the event.
func (s *Stream) Wait(e *Event) error {
	return s.d.do("cuStreamWaitEvent", func() error { return s.s.Wait(e.e, 0) })
}

// Follow lets the work queued from now on wait for what is queued on another stream. The event may be used
// again at once: a wait is for the mark that the event had when the wait was queued.
func (s *Stream) Follow(earlier *Stream, e *Event) error {
	if err := e.Record(earlier); err != nil {
		return err
	}
	return s.Wait(e)
}

// Close ends the stream.
func (s *Stream) Close() error { return s.d.do("cuStreamDestroy", s.s.Destroy) }

func (s *Stream) c() C.CUstream { return *(*C.CUstream)(unsafe.Pointer(&s.s)) }

// Event marks a point in a stream.
type Event struct {
	d *Device
	e cu.Event
}

// NewEvent makes an event; one that does not time costs less.
func (d *Device) NewEvent(timing bool) (*Event, error) {
	e := &Event{d: d}
	flags := cu.BlockingSyncEvent
	if !timing {
		flags |= cu.DisableTiming
	}
	err := d.do("cuEventCreate", func() (err error) {
		e.e, err = cu.MakeEvent(flags)
		return err
	})
	return e, err
}

// Record marks the present end of a stream's queue.
func (e *Event) Record(s *Stream) error {
	return e.d.do("cuEventRecord", func() error { return e.e.Record(s.s) })
}

// Synchronize waits until the work before the mark is done.
func (e *Event) Synchronize() error { return e.d.do("cuEventSynchronize", e.e.Synchronize) }

// Done reports whether the work before the mark is done.
func (e *Event) Done() (bool, error) {
	err := e.d.do("cuEventQuery", e.e.Query)
	if Code(err) == NotReady {
		return false, nil
	}
	return err == nil, err
}

// Since is the time in seconds between two marks that have both been reached.
func (e *Event) Since(start *Event) (float64, error) {
	var ms float64
	err := e.d.do("cuEventElapsedTime", func() (err error) {
		ms, err = start.e.Elapsed(e.e)
		return err
	})
	return ms / 1e3, err
}

// Close frees the event.
func (e *Event) Close() error {
	return e.d.do("cuEventDestroy", func() error { return cu.DestroyEvent(&e.e) })
}
