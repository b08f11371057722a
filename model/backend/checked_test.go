package backend_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/model/ref"
)

// spy counts the calls that reach a device, and can be told to fail.
type spy struct {
	*dry.Device
	ops, frees, syncs, downloads, closes int
	fails                                error // of the next Add
}

func newSpy(t backend.Traits) (backend.Backend, *spy) {
	be, _ := dry.New(dry.Options{Traits: t})
	s := &spy{Device: be.Device().(*dry.Device)}
	return backend.New(s), s
}

func (s *spy) Add(dst, a, b backend.Tensor) {
	s.ops++
	s.Fail(s.fails)
}
func (s *spy) Free(b backend.Buffer)                      { s.frees++; s.Device.Free(b) }
func (s *spy) Sync()                                      { s.syncs++ }
func (s *spy) Download(dst []float32, src backend.Tensor) { s.downloads++; s.Device.Download(dst, src) }
func (s *spy) Close() error                               { s.closes++; return errors.New("a leak") }

func matrix(t *testing.T, be backend.Backend, rows, cols int) backend.Tensor {
	t.Helper()
	b, err := be.Alloc(backend.F32, rows*cols)
	if err != nil {
		t.Fatal(err)
	}
	return backend.View(b, 0, rows, cols)
}

// Whoever finds the first failure, the device sees no later call, and every
// wait reports that failure.
func TestFirstFailureSticks(t *testing.T) {
	broken := errors.New("the device is lost")
	for _, c := range []struct {
		name string
		fail func(be backend.Backend, s *spy, x backend.Tensor)
		says string
		ops  int
	}{
		{"an argument", func(be backend.Backend, _ *spy, x backend.Tensor) { be.Add(x, x, x.RowRange(0, 1)) }, "b must be [2, 3]", 0},
		{"the device", func(be backend.Backend, s *spy, x backend.Tensor) { s.fails = broken; be.Add(x, x, x) }, broken.Error(), 1},
		{"a download", func(be backend.Backend, _ *spy, x backend.Tensor) { _ = be.Download(make([]float32, 5), x) }, "5 elements", 0},
	} {
		be, s := newSpy(backend.Traits{})
		x := matrix(t, be, 2, 3)
		c.fail(be, s, x)
		first := be.Sync()
		if first == nil || !strings.Contains(first.Error(), c.says) {
			t.Errorf("%s: error %v, want %q", c.name, first, c.says)
		}
		be.Add(x, x, x)
		be.Add(x, x, backend.Tensor{})
		if err := be.Download(make([]float32, 6), x); !errors.Is(err, first) {
			t.Errorf("%s: later it is %v", c.name, err)
		}
		if s.ops != c.ops || s.downloads+s.syncs != 0 {
			t.Errorf("%s: after a failure the device saw %d operations, %d downloads and %d waits", c.name, s.ops, s.downloads, s.syncs)
		}
	}
}

// A closed backend gives no memory, runs nothing and says so; the device is
// closed once.
func TestClosed(t *testing.T) {
	be, s := newSpy(backend.Traits{Adopts: true})
	x := matrix(t, be, 2, 3)
	if err := be.Close(); err == nil || err.Error() != "a leak" {
		t.Errorf("Close says %v", err)
	}
	if err := be.Close(); err != nil || s.closes != 1 {
		t.Errorf("closed %d times, then %v", s.closes, err)
	}
	be.Add(x, x, x)
	be.Free(x.Buf)
	if err := be.Sync(); err == nil || err.Error() != "dry: used after Close" || s.ops+s.frees != 0 {
		t.Errorf("error %v, %d operations, %d buffers freed", err, s.ops, s.frees)
	}
	if _, err := be.Alloc(backend.F32, 1); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Alloc says %v", err)
	}
	if _, err := be.Adopt(backend.F32, make([]byte, 8)); err == nil {
		t.Error("memory is adopted after Close")
	}
	if _, err := be.FreeBytes(); err == nil {
		t.Error("free memory is known after Close")
	}
}

// A buffer is its backend's alone, goes back once, and is refused afterwards.
func TestBuffersHaveOneOwner(t *testing.T) {
	be, s := newSpy(backend.Traits{})
	other, o := newSpy(backend.Traits{})
	x, y := matrix(t, be, 2, 3), matrix(t, other, 2, 3)
	be.Free(nil)
	be.Free(y.Buf)
	be.Free(x.Buf)
	be.Free(x.Buf)
	if s.frees != 1 || o.frees != 0 || x.Buf.Len() != 0 {
		t.Errorf("%d and %d buffers were freed, %d elements are left", s.frees, o.frees, x.Buf.Len())
	}
	be.Fill(x, 1)
	if err := be.Sync(); err == nil || !strings.Contains(err.Error(), "dst has been freed") {
		t.Errorf("a freed buffer gives %v", err)
	}
	other.Add(y, y, matrix(t, ref.New(), 2, 3))
	if err := other.Sync(); err == nil || !strings.Contains(err.Error(), "b belongs to another backend") || o.ops != 0 {
		t.Errorf("another's buffer gives %v", err)
	}
}

func TestAllocRefuses(t *testing.T) {
	be := ref.New()
	for name, f := range map[string]func() (backend.Buffer, error){
		"the count is negative": func() (backend.Buffer, error) { return be.Alloc(backend.F32, -1) },
		"unknown element type":  func() (backend.Buffer, error) { return be.Alloc(9, 1) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), "ref: ") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := be.Sync(); err != nil {
		t.Errorf("a refused Alloc sticks: %v", err)
	}
}

// What a device lacks is refused as unsupported, also where a wrapper hides it;
// what it has is refused when it is asked for wrongly.
func TestAbilities(t *testing.T) {
	all := backend.Traits{Adopts: true, Overlaps: true, Activations: backend.BF16, Workspace: true}
	full, s := newSpy(all)
	hidden := backend.New(struct{ backend.Device }{s})
	if got, want := full.Traits(), (backend.Traits{Adopts: true, Overlaps: true, Activations: backend.BF16, Workspace: true, Accounts: true, Empty: true}); got != want {
		t.Errorf("traits %+v", got)
	}
	if got, want := hidden.Traits(), (backend.Traits{Activations: backend.BF16, Workspace: true, Empty: true}); got != want {
		t.Errorf("hidden: traits %+v", got)
	}
	mem := make([]byte, 16)
	for _, be := range []backend.Backend{hidden, ref.New()} {
		x := matrix(t, be, 2, 3)
		_, adopt := be.Adopt(backend.F32, mem)
		_, twin := be.NewHostCopy(x)
		_, free := be.FreeBytes()
		for _, err := range []error{adopt, twin, free} {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v", be.Name(), err)
			}
		}
		if be.Host(x) != nil {
			t.Errorf("%s gives the host its memory", be.Name())
		}
		be.For(backend.Weights)
		if be.Memory() != (backend.MemoryUse{}) || be.Peak() != (backend.MemoryUse{}) || be.For(backend.Other) != backend.Other {
			t.Errorf("%s accounts for memory", be.Name())
		}
		if err := be.Sync(); err != nil {
			t.Errorf("%s: what it cannot do sticks: %v", be.Name(), err)
		}
	}
	for _, bad := range [][]byte{mem[:7], mem[1:9]} {
		if _, err := full.Adopt(backend.F32, bad); err == nil || !strings.Contains(err.Error(), "dry: cannot adopt") {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	b, err := full.Adopt(backend.F32, mem)
	if err != nil || b.Len() != 4 {
		t.Fatalf("%v", err)
	}
	if _, err := full.NewHostCopy(matrix(t, full, 4, 4).ColRange(0, 2)); err == nil || !strings.Contains(err.Error(), "not a dense f32") {
		t.Errorf("a twin of a strided tensor: %v", err)
	}
	full.Fill(backend.View(b, 0, 2, 2), 1)
	if err := full.Sync(); err == nil || !strings.Contains(err.Error(), "fill: f32[2, 2] is adopted memory") {
		t.Errorf("adopted memory is written to: %v", err)
	}
}

// The device's own copy of sequences is checked with the host's.
func TestSequencesOnTheDevice(t *testing.T) {
	for _, c := range []struct {
		dt         backend.DType
		rows, cols int
		says       string
	}{{backend.I32, 1, 2, ""}, {backend.F32, 1, 2, "key sequences cannot be f32"}, {backend.I32, 2, 2, "key sequences must be [1, 2]"}} {
		be, _ := newSpy(backend.Traits{})
		b, err := be.Alloc(c.dt, c.rows*c.cols)
		if err != nil {
			t.Fatal(err)
		}
		x, s := matrix(t, be, 2, 4), backend.Seqs{Start: []int32{0}, Len: []int32{2}}
		on := s
		on.Dev = backend.View(b, 0, c.rows, c.cols)
		be.Attention(x, backend.Tensor{}, x, x, x, backend.Attention{Q: s, KV: on, Heads: 2, KVHeads: 2, HeadDim: 2, Scale: 1})
		if err := be.Sync(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v [%d, %d]: %v", c.dt, c.rows, c.cols, err)
		}
	}
}

// Every operation refuses tensors that are not given: none goes to the device
// unchecked.
func TestEveryOperationIsChecked(t *testing.T) {
	ops := reflect.TypeFor[backend.Operations]()
	for i := range ops.NumMethod() {
		m := ops.Method(i)
		be := ref.New()
		var in []reflect.Value
		for j := range m.Type.NumIn() {
			in = append(in, reflect.Zero(m.Type.In(j)))
		}
		reflect.ValueOf(be).MethodByName(m.Name).Call(in)
		if err := be.Sync(); err == nil || !strings.Contains(err.Error(), "not given") {
			t.Errorf("%s of nothing: %v", m.Name, err)
		}
	}
}

// Checks and the way through them take no memory.
func TestChecksAllocateNothing(t *testing.T) {
	be, _ := newSpy(backend.Traits{})
	x := matrix(t, be, 4, 4)
	p := backend.Attention{Q: backend.Seqs{Start: []int32{0}, Len: []int32{4}}, KV: backend.Seqs{Start: []int32{0}, Len: []int32{4}}, Heads: 2, KVHeads: 2, HeadDim: 2, Scale: 1}
	for name, f := range map[string]func(){
		"add":       func() { be.Add(x, x, x) },
		"matmul":    func() { be.MatMul(x, x, x, backend.MatMul{Alpha: 1}) },
		"attention": func() { be.Attention(x, backend.Tensor{}, x, x, x, p) },
		"linear kl": func() {
			be.LinearKL(x.ColRange(0, 1), x, x, x, x, x, x, x.ColRange(0, 1), backend.KL{})
		},
		"sync": func() { _ = be.Sync() },
	} {
		if n := testing.AllocsPerRun(20, f); n != 0 {
			t.Errorf("%s: %v allocations a call", name, n)
		}
	}
	if err := be.Sync(); err != nil {
		t.Error(err)
	}
}
