//go:build cuda && cgo && linux

package cuda

import (
	"fmt"
	"unsafe"

	"vgid/model/backend"
	"vgid/model/cuda/driver"
)

// copyStreams carry the copies that run beside the operations: out while the
// backward pass goes on, in while later buckets are still reduced.
type copyStreams struct{ out, in *driver.Stream }

func (c *copyStreams) start(d *driver.Device) error {
	var err error
	if c.out, err = d.NewStream(); err != nil {
		return err
	}
	c.in, err = d.NewStream()
	return err
}

func (c *copyStreams) close(note func(error)) {
	for _, s := range []*driver.Stream{c.out, c.in} {
		if s != nil {
			note(s.Close())
		}
	}
}

// hostCopy implements backend.HostCopy.
type hostCopy struct {
	b    *Backend
	t    operand
	host []byte
	done [2]*driver.Event // operations before the copy, the copy itself
	err  error
}

// NewHostCopy implements backend.HostCopier.
func (b *Backend) NewHostCopy(t backend.Tensor) (backend.HostCopy, error) {
	o := b.operand("host copy", t)
	if b.err != nil {
		return nil, b.err
	}
	if o.dt != backend.F32 || !t.Dense() {
		return nil, fmt.Errorf("host copy: %v is not a dense f32 tensor", t)
	}
	c := &hostCopy{b: b, t: o}
	var err error
	if c.host, err = b.dev.HostAlloc(4 * max(1, t.Len())); err != nil {
		return nil, err
	}
	for i := range c.done {
		if c.done[i], err = b.dev.NewEvent(false); err != nil {
			c.Free()
			return nil, err
		}
	}
	return c, nil
}

func (c *hostCopy) Values() []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(c.host))), c.t.rows*c.t.cols)
}

func (c *hostCopy) bytes() []byte { return c.host[:4*c.t.rows*c.t.cols] }

// between queues f on a side stream after what is queued on another.
func (c *hostCopy) between(side, after *driver.Stream, f func() error) error {
	for _, step := range []func() error{
		func() error { return c.done[0].Record(after) },
		func() error { return side.Wait(c.done[0]) },
		f,
		func() error { return c.done[1].Record(side) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *hostCopy) Fetch() {
	c.err = c.b.err
	if c.err == nil {
		out := c.b.copies.out
		c.err = c.between(out, c.b.stream, func() error { return out.Download(c.bytes(), c.t.ptr) })
		c.b.fail(c.err)
	}
}

func (c *hostCopy) Arrived() bool {
	done, err := c.done[1].Done()
	return done || err != nil // Wait reports the error
}

func (c *hostCopy) Wait() error {
	if c.err != nil {
		return c.err
	}
	return c.done[1].Synchronize()
}

// Store needs no wait for the operations: none writes between Fetch and Store.
func (c *hostCopy) Store() {
	if c.b.err != nil {
		return
	}
	in := c.b.copies.in
	err := in.Upload(c.t.ptr, c.bytes())
	if err == nil {
		err = c.done[1].Record(in)
	}
	if err == nil {
		err = c.b.stream.Wait(c.done[1])
	}
	c.b.fail(err)
}

func (c *hostCopy) Free() {
	for _, e := range c.done {
		if e != nil {
			if err := e.Close(); err != nil {
				c.b.fail(err)
			}
		}
	}
	if c.host != nil && !c.b.closed {
		if err := c.b.dev.HostFree(c.host); err != nil {
			c.b.fail(err)
		}
		c.host = nil
	}
}
