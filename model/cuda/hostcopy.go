//go:build cuda && cgo && linux

package cuda

import (
	"unsafe"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
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
// host is page-locked, as copies that run beside others have to be; err is that of the last Fetch.
type hostCopy struct {
	b    *Device
	buf  *buffer
	t    operand
	host []byte
	done [2]*driver.Event // operations before the copy, the copy itself
	err  error
}

// NewHostCopy implements backend.HostCopier.
func (b *Device) NewHostCopy(t backend.Tensor) (backend.HostCopy, error) {
	buf := t.Buf.(*buffer)
	c := &hostCopy{b: b, buf: buf, t: place(buf, t)}
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

// Fetch implements backend.HostCopy. done[1] is recorded behind the copy, for Arrived and Wait.
func (c *hostCopy) Fetch() {
	c.b.touch(c.buf)
	if c.err = c.b.Err(); c.err != nil {
		return
	}
	out := c.b.copies.out
	c.err = out.Follow(c.b.stream, c.done[0])
	if c.err == nil {
		c.err = out.Download(c.bytes(), c.t.ptr)
	}
	if c.err == nil {
		c.err = c.done[1].Record(out)
	}
	c.b.Fail(c.err)
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
	if c.b.Err() != nil {
		return
	}
	in := c.b.copies.in
	err := in.Upload(c.t.ptr, c.bytes())
	if err == nil {
		err = c.b.stream.Follow(in, c.done[1])
	}
	c.b.Fail(err)
	c.b.touch(c.buf)
}

// After Close there is no device to free host memory from; events are closed either way.
func (c *hostCopy) Free() {
	for _, e := range c.done {
		if e != nil {
			c.b.Fail(e.Close())
		}
	}
	if c.host != nil && !c.b.closed {
		c.b.Fail(c.b.dev.HostFree(c.host))
		c.host = nil
	}
}
