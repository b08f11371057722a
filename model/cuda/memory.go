//go:build cuda && cgo && linux

package cuda

import (
	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/upload"
)

// buffer is device memory.
// ptr is 0 once it has been freed. Its length in bytes is never 0, since the driver has no empty
// allocation.
type buffer struct {
	backend.Storage
	ptr  driver.Ptr
	uses upload.Uses
}

// touch orders operations queued from now on after the copies into a buffer,
// and later copies into it after them.
func (b *Device) touch(buf *buffer) {
	if b.Err() == nil {
		b.Fail(b.uploads.Touch(&buf.uses))
	}
}

// account knows what memory is held for. What is in held is exactly what the
// driver has given and not been given back, workspace included, so that Close can
// free it and an error can list it.
type account struct {
	purpose backend.Purpose
	use     backend.MemoryUse
	peak    backend.MemoryUse // use when its total was greatest
	held    map[driver.Ptr]holding
}

// holding is what memory was taken for, and how much.
type holding struct {
	purpose backend.Purpose
	bytes   int64
}

// For implements backend.Accountant.
func (b *Device) For(p backend.Purpose) backend.Purpose {
	before := b.memory.purpose
	b.memory.purpose = p
	return before
}

// Memory implements backend.Accountant.
func (b *Device) Memory() backend.MemoryUse { return b.memory.use }

// Peak implements backend.Accountant.
func (b *Device) Peak() backend.MemoryUse { return b.memory.peak }

// FreeBytes implements backend.MemoryReporter: what the device has left, after
// this process's pool has given back what it keeps unused, so that others on the
// device see that, too, and what the pool could not give back. It waits for the
// frees that are queued.
func (b *Device) FreeBytes() (int64, error) {
	if err := b.stream.Synchronize(); err != nil {
		return 0, err
	}
	if !b.dev.MemoryPools {
		free, _, err := b.dev.MemoryInfo()
		return free, err
	}
	if err := b.dev.TrimPool(); err != nil {
		return 0, err
	}
	free, _, err := b.dev.MemoryInfo()
	if err != nil {
		return 0, err
	}
	reserved, used, err := b.dev.PoolInfo()
	return free + reserved - used, err
}

// allocate takes memory that work queued from now on may use.
func (b *Device) allocate(p backend.Purpose, bytes int64) (driver.Ptr, error) {
	ptr, err := b.take(p, bytes)
	if driver.Code(err) == driver.OutOfMemory {
		return 0, b.noMemory(p, bytes)
	}
	return ptr, err
}

// take is allocate with the driver's error, for memory that can be done without.
func (b *Device) take(p backend.Purpose, bytes int64) (driver.Ptr, error) {
	ptr, err := b.dev.Alloc(bytes, b.stream)
	if err != nil {
		return 0, err
	}
	m := &b.memory
	if m.held == nil {
		m.held = map[driver.Ptr]holding{}
	}
	m.held[ptr] = holding{p, bytes}
	m.use.Add(p, bytes)
	if m.use.Total() > m.peak.Total() {
		m.peak = m.use
	}
	return ptr, nil
}

// release gives memory back once the work queued so far is done with it.
func (b *Device) release(ptr driver.Ptr) {
	h := b.memory.held[ptr]
	delete(b.memory.held, ptr)
	b.memory.use.Add(h.purpose, -h.bytes)
	b.Fail(b.dev.Free(ptr, b.stream))
}

// noMemory says what was asked for and what is held.
func (b *Device) noMemory(p backend.Purpose, bytes int64) error {
	free, err := b.FreeBytes()
	if err != nil {
		return err
	}
	return &backend.MemoryError{Device: b.dev.Name, Purpose: p, Asked: bytes, Held: b.memory.use, Free: free, Total: b.dev.Memory}
}

// Alloc implements backend.Device.
// Zeros are queued as well: the host does not wait for them.
func (b *Device) Alloc(dt backend.DType, n int) (backend.Buffer, error) {
	buf := &buffer{Storage: backend.NewStorage(dt, n)}
	bytes := int64(max(1, n)) * int64(dt.Size())
	ptr, err := b.allocate(b.memory.purpose, bytes)
	if err != nil {
		return nil, err
	}
	if err := b.stream.Zero(ptr, bytes); err != nil {
		return nil, err
	}
	buf.ptr = ptr
	b.touch(buf)
	return buf, nil
}

// Free implements backend.Device.
func (b *Device) Free(buf backend.Buffer) {
	d := buf.(*buffer)
	b.touch(d) // not before what is copied to it
	b.release(d.ptr)
	d.ptr = 0
}
