//go:build cuda && cgo && linux

package cuda

import "vgid/model/cuda/driver"

// ring is page-locked memory that uploads pass through: the caller's values are
// copied into it at once, and from there by the device when their turn comes.
// The host waits only when it is a whole ring ahead of the device.
type ring struct {
	d      *driver.Device
	mem    []byte
	head   int // where the next piece begins
	flight []piece
	spare  []*driver.Event
}

// piece is a stretch of the ring that the device may still read.
type piece struct {
	from, to int
	read     *driver.Event
}

const ringAlign = 16

func newRing(d *driver.Device, bytes int) (*ring, error) {
	mem, err := d.HostAlloc(bytes)
	return &ring{d: d, mem: mem}, err
}

// most is the largest piece, so that two fit.
func (r *ring) most() int { return len(r.mem) / 2 / ringAlign * ringAlign }

// upload copies n bytes that fill writes to device memory, in the stream's order.
func (r *ring) upload(s *driver.Stream, dst driver.Ptr, n int, fill func(to []byte)) error {
	p, err := r.take(n)
	if err != nil {
		return err
	}
	to := r.mem[p.from : p.from+n]
	fill(to)
	if err := s.Upload(dst, to); err != nil {
		r.spare = append(r.spare, p.read)
		return err
	}
	r.flight = append(r.flight, p)
	return p.read.Record(s)
}

// take reserves n bytes, waiting for the oldest pieces that lie there.
func (r *ring) take(n int) (piece, error) {
	n = (n + ringAlign - 1) / ringAlign * ringAlign
	if r.head+n > len(r.mem) {
		r.head = 0
	}
	p := piece{from: r.head, to: r.head + n}
	// Pieces lie in the order of the queue, so the ones in the way are the oldest.
	for len(r.flight) > 0 && r.overlaps(p) {
		old := r.flight[0]
		if err := old.read.Synchronize(); err != nil {
			return p, err
		}
		r.spare = append(r.spare, old.read)
		r.flight = r.flight[:copy(r.flight, r.flight[1:])]
	}
	r.head = p.to
	if k := len(r.spare); k > 0 {
		p.read, r.spare = r.spare[k-1], r.spare[:k-1]
		return p, nil
	}
	var err error
	p.read, err = r.d.NewEvent(false)
	return p, err
}

func (r *ring) overlaps(p piece) bool {
	for _, f := range r.flight {
		if f.from < p.to && p.from < f.to {
			return true
		}
	}
	return false
}

func (r *ring) close(note func(error)) {
	for _, p := range r.flight {
		r.spare = append(r.spare, p.read)
	}
	for _, e := range r.spare {
		note(e.Close())
	}
	if r.mem != nil {
		note(r.d.HostFree(r.mem))
	}
}
