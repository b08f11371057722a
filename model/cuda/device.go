//go:build cuda && cgo && linux

package cuda

import (
	"errors"
	"fmt"
	"time"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels"
	"vgid/model/cuda/internal/upload"
)

// Device implements backend.Device on one GPU. Operations are queued on
// one stream; uploads run on another, copies for the collectives on
// two more (hostcopy.go).
// It is used by one goroutine at a time. scratch is empty between operations, and memory.held lists
// every allocation that is not yet freed.
type Device struct {
	backend.Failure
	dev     *driver.Device
	opt     Options
	stream  *driver.Stream
	modules []*driver.Module
	kernels map[string]*driver.Kernel
	lt      *driver.Lt // nil: products run on kernels of our own
	ltWhy   error      // why there is no lt
	ltLacks bool       // it has been said that lt does not do every product

	closed  bool
	uploads upload.Queue
	back    []byte // page-locked: downloads pass through it
	fault   *fault
	memory  account
	scratch []driver.Ptr // of the operation at hand
	copies  copyStreams
	args    args
}

var (
	_ backend.Device         = (*Device)(nil)
	_ backend.HostCopier     = (*Device)(nil)
	_ backend.Accountant     = (*Device)(nil)
	_ backend.MemoryReporter = (*Device)(nil)
)

// Devices is the number of devices that this process can use.
func Devices() (int, error) {
	if err := driver.Load(driver.FromEnv()); err != nil {
		return 0, err
	}
	return driver.Devices()
}

// NoDevice reports whether err says that this machine has no device, or none that
// its driver offers to this process: to compute on another device would help.
func NoDevice(err error) bool { return driver.Absent(err) }

// Lost reports whether err says that the device stopped working during the
// process, which can do no more with it; what lies in files is intact.
func Lost(err error) bool { return driver.Lost(err) }

// Open takes hold of a device by its number among the visible ones.
func Open(ordinal int, o Options) (backend.Backend, error) {
	b, err := OpenDevice(ordinal, o)
	if err != nil {
		return nil, err
	}
	return backend.New(b), nil
}

// OpenDevice is the device of Open.
// Tests take it to ask for what only this device has; without backend.New nothing is checked.
func OpenDevice(ordinal int, o Options) (*Device, error) {
	from := driver.FromEnv()
	if err := driver.Load(from); err != nil {
		return nil, err
	}
	d, err := driver.Open(ordinal)
	if err != nil {
		return nil, err
	}
	b := &Device{dev: d, opt: o.withDefaults(), kernels: map[string]*driver.Kernel{}}
	if err := b.start(from.Library); err != nil {
		return nil, errors.Join(err, b.free())
	}
	return b, nil
}

// start makes everything that a backend holds; free takes apart as much of it
// as there is.
func (b *Device) start(library string) error {
	d := b.dev
	if d.Major < 8 {
		return fmt.Errorf("%s has compute capability %d.%d; the kernels need 8.0 (Ampere) or newer", d.Name, d.Major, d.Minor)
	}
	var err error
	if b.stream, err = d.NewStream(); err != nil {
		return err
	}
	// A pool that keeps freed memory spares a call of the operating system for each allocation.
	if d.MemoryPools {
		if err := d.KeepPool(); err != nil {
			return err
		}
	}
	if err := b.loadKernels(); err != nil {
		return err
	}
	if err := b.uploads.Start(d, b.stream, b.opt.StagingBytes); err != nil {
		return err
	}
	if b.back, err = d.HostAlloc(min(b.opt.StagingBytes, 8<<20)); err != nil {
		return err
	}
	if b.fault, err = b.newFault(); err != nil {
		return err
	}
	if err := b.copies.start(d); err != nil {
		return err
	}
	b.openLt(library)
	b.memory.peak = b.memory.use // what was tried is not the caller's work
	return b.Err()
}

// loadKernels hands the driver PTX, which it compiles for the card at hand.
func (b *Device) loadKernels() error {
	texts, err := kernels.Modules()
	if err != nil {
		return err
	}
	loaded, begin := map[string]*driver.Module{}, time.Now()
	for name, ptx := range texts {
		m, err := b.dev.Load(ptx)
		switch driver.Code(err) {
		case 0:
		case driver.NoCompiler:
			return fmt.Errorf("the driver's compiler is missing (libnvidia-ptxjitcompiler.so.1), which the kernels need; it comes with the driver, into containers with NVIDIA_DRIVER_CAPABILITIES=compute,utility")
		case driver.UnsupportedPTX:
			return fmt.Errorf("the driver (CUDA %s) is too old for the kernels, which are PTX 7.8 of CUDA 11.8; update NVIDIA's driver", version(b.dev.DriverVersion))
		default:
			return fmt.Errorf("kernels %s do not load on %s: %w", name, b.dev.Name, err)
		}
		b.modules = append(b.modules, m)
		loaded[name] = m
	}
	if s := time.Since(begin).Seconds(); s > 2 {
		b.opt.warn("the driver compiled the kernels for %s in %.1f s; it keeps them in its cache (~/.nv/ComputeCache, or CUDA_CACHE_PATH)", b.dev.Name, s)
	}
	for _, k := range kernels.All() {
		m := loaded[k.Module]
		if m == nil {
			return fmt.Errorf("kernel %s: there is no PTX of %s; run make ptx", k.Name, k.Module)
		}
		if b.kernels[k.Name], err = m.Kernel(k.Name); err != nil {
			return err
		}
	}
	return nil
}

// version writes 13000 as 13.0.
func version(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// Name implements backend.Device.
func (b *Device) Name() string {
	products := "own products"
	if b.lt != nil {
		products = fmt.Sprintf("cuBLASLt %d.%d", b.lt.Version()/10000, b.lt.Version()/100%100)
	}
	return fmt.Sprintf("cuda(%s, %s)", b.dev.Name, products)
}

// Traits implements backend.Device.
func (b *Device) Traits() backend.Traits {
	t := backend.Traits{Overlaps: true, Workspace: true, Accounts: true}
	if b.opt.Precision == BFloat16 {
		t.Activations = backend.BF16
	}
	return t
}

// Info describes the device.
func (b *Device) Info() driver.Info { return b.dev.Info }

// Sync implements backend.Device.
// It waits for both: uploads that no operation has used, and the operations.
func (b *Device) Sync() {
	if b.Err() == nil {
		b.Fail(b.uploads.Receive())
	}
	b.Fail(b.fault.fetch(b.stream))
	if b.Err() == nil {
		b.Fail(b.stream.Synchronize())
	}
	if b.Err() == nil {
		b.Fail(b.fault.read())
	}
}

// Close implements backend.Device.
func (b *Device) Close() error {
	b.closed = true
	// Frees are in stream order: wait for them. What failed before has been
	// reported by Sync.
	_ = b.uploads.Synchronize()
	_ = b.stream.Synchronize()
	return b.free()
}

// free may be called on a device that start has left unfinished. An error that was reported before
// is not repeated.
func (b *Device) free() error {
	var errs []error
	note := func(err error) {
		if !errors.Is(b.Err(), err) {
			errs = append(errs, err)
		}
	}
	if b.lt != nil {
		b.lt.Close()
	}
	b.copies.close(note)
	if b.fault != nil {
		b.fault.close(b, note)
	}
	for p := range b.memory.held {
		b.release(p)
	}
	if b.back != nil {
		note(b.dev.HostFree(b.back))
	}
	b.uploads.Close(note)
	if b.stream != nil {
		_ = b.stream.Synchronize()
		note(b.stream.Close())
	}
	for _, m := range b.modules {
		note(m.Close())
	}
	note(b.dev.Close())
	if b.Err() != nil {
		return nil // a device that failed takes no more calls; Sync has said so
	}
	return errors.Join(errs...)
}
