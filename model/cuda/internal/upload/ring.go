//go:build cuda && cgo && linux

package upload

import "vgid/model/cuda/internal/driver"

// ring is page-locked memory that uploads pass through, in two halves: while the
// device reads one, the host fills the other. The host waits only when it comes
// to a half that the device has not read to its end.
// A piece that take gave is filled and its copy queued before the next take.
type ring struct {
	d    *driver.Device
	mem  []byte
	half int              // that is being filled, 0 or 1
	head int              // bytes of it that are taken
	read [2]*driver.Event // each half's last copy
}

// ringAlign is the alignment of pieces, in bytes.
const ringAlign = 16

func newRing(d *driver.Device, bytes int) (*ring, error) {
	r := &ring{d: d}
	var err error
	if r.mem, err = d.HostAlloc(bytes); err != nil {
		return r, err
	}
	for i := range r.read {
		if r.read[i], err = d.NewEvent(false); err != nil {
			return r, err
		}
	}
	return r, nil
}

// most is the largest piece.
func (r *ring) most() int { return len(r.mem) / 2 / ringAlign * ringAlign }

// take gives n bytes that copies queued on s from now on may read.
func (r *ring) take(n int, s *driver.Stream) ([]byte, error) {
	if r.head+n > r.most() {
		if err := r.turn(s); err != nil {
			return nil, err
		}
	}
	from := r.half*r.most() + r.head
	r.head += (n + ringAlign - 1) / ringAlign * ringAlign
	return r.mem[from : from+n], nil
}

// turn goes on to the other half once its copies are done.
func (r *ring) turn(s *driver.Stream) error {
	if err := r.read[r.half].Record(s); err != nil {
		return err
	}
	r.half, r.head = 1-r.half, 0
	return r.read[r.half].Synchronize() // at once where none was recorded yet
}

func (r *ring) close(note func(error)) {
	for _, e := range r.read {
		if e != nil {
			note(e.Close())
		}
	}
	if r.mem != nil {
		note(r.d.HostFree(r.mem))
	}
}
