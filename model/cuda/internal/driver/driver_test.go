//go:build cuda && cgo && linux

package driver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels"
	"vgid/model/cuda/internal/kernels/simbuild"
	"vgid/model/cuda/internal/sim"
)

// library is the simulated device.
var library string

func TestMain(m *testing.M) {
	if os.Getenv("VGID_TEST_LOAD") != "" {
		fmt.Print(driver.Load(driver.FromEnv()))
		os.Exit(0)
	}
	lib, err := sim.Library(context.Background())
	if errors.Is(err, simbuild.ErrNoCompiler) {
		println("SKIPPED: simulated device:", err.Error())
		os.Exit(0)
	}
	if err == nil {
		library = lib
		err = driver.Load(driver.Options{Library: lib, Simulation: "devices=2,memory=1000000,seed=5"})
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	if h := os.Getenv("VGID_TEST_ATTACH"); h != "" {
		if err := attach(h); err != nil {
			println(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A process without a driver, or with one that does not suit, starts all the
// same (gorgonia.org/cu would end it) and says in one line what is wrong.
func TestLoadFails(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		says string
	}{
		{"no driver", []string{"VGID_CUDA_DRIVER=/nowhere/libcuda.so.1"}, "no CUDA driver: /nowhere/libcuda.so.1"},
		{"no card", []string{"VGID_CUDA_SIM=devices=0"}, "finds no card"},
		{"empty list", []string{"CUDA_VISIBLE_DEVICES="}, `CUDA_VISIBLE_DEVICES is ""`},
		{"wrong list", []string{"CUDA_VISIBLE_DEVICES=3"}, `CUDA_VISIBLE_DEVICES is "3"`},
		{"broken driver", []string{"VGID_CUDA_SIM=init=999"}, "does not start (cuInit: CUresult 999): is the kernel module"},
		{"fabric not up", []string{"VGID_CUDA_SIM=init=802"}, "fabricmanager"},
		{"another failure", []string{"VGID_CUDA_SIM=init=805"}, "look at nvidia-smi"},
		{"not a driver", []string{"VGID_CUDA_DRIVER=libm.so.6"}, "libm.so.6 is not a CUDA driver"},
		{"unknown setting", []string{"VGID_CUDA_SIM=speed=9"}, `no setting "speed"`},
		{"fine", nil, "<nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(append(os.Environ(), "VGID_TEST_LOAD=1", "VGID_CUDA_DRIVER="+library), c.env...)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.says) || strings.Contains(string(out), "\n") {
				t.Errorf("%v %q, want one line with %q", err, out, c.says)
			}
		})
	}
}

func open(t *testing.T, ordinal int) *driver.Device {
	t.Helper()
	d, err := driver.Open(ordinal)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func floats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

func add(t *testing.T, d *driver.Device) *driver.Kernel {
	t.Helper()
	modules, err := kernels.Modules()
	ok(t, err)
	m := must(d.Load(modules["elementwise"]))(t)
	t.Cleanup(func() { ok(t, m.Close()) })
	return must(m.Kernel("add"))(t)
}

// sum queues c = a + b over n floats.
func sum(k *driver.Kernel, s *driver.Stream, c, a, b driver.Ptr, n int) error {
	l := kernels.Layout(n, backend.F32)
	g := kernels.Elementwise(1, n)
	return k.Launch(s, driver.Dim{X: g.Grid[0], Y: g.Grid[1]}, driver.Dim{X: g.Block[0], Y: g.Block[1]}, 0,
		[]uint64{uint64(c), l, uint64(a), l, uint64(b), l, 1, uint64(n)})
}

// One kernel from host to host: pinned memory, allocation in stream order, a
// launch, and nothing runs before something waits.
func TestLaunch(t *testing.T) {
	d := open(t, 0)
	if !d.Simulated || d.Major != 9 || d.Memory != 1000000 || d.SharedPerBlock != 227<<10 {
		t.Errorf("device %+v", d.Info)
	}
	s, k := must(d.NewStream())(t), add(t, d)
	const n = 1003
	host := must(d.HostAlloc(4 * n))(t)
	for i := range n {
		floats(host)[i] = float32(i)
	}
	a, b := must(d.Alloc(4*n, s))(t), must(d.Alloc(4*n, s))(t)
	ok(t, s.Upload(a, host))
	ok(t, s.Copy(b, a, 4*n))
	ok(t, sum(k, s, b, a, b, n))
	ok(t, s.Download(host, b))
	if floats(host)[10] != 10 {
		t.Fatal("work ran before anything waited for it")
	}
	ok(t, s.Synchronize())
	for i, v := range floats(host) {
		if v != float32(2*i) {
			t.Fatalf("element %d is %v, want %v", i, v, 2*i)
		}
	}
	ok(t, d.Free(a, s))
	ok(t, d.Free(b, s))
	ok(t, s.Close())
	ok(t, d.HostFree(host))
}

// Streams are ordered by events and by nothing else: without the event some
// order of the streams reads too early.
func TestEventsOrderStreams(t *testing.T) {
	d := open(t, 0)
	k := add(t, d)
	for _, ordered := range []bool{true, false} {
		right := 0
		const rounds = 20
		for range rounds {
			s, u := must(d.NewStream())(t), must(d.NewStream())(t)
			e := must(d.NewEvent(false))(t)
			a := must(d.Alloc(64, s))(t)
			host := must(d.HostAlloc(64))(t)
			ok(t, s.Zero(a, 64))
			ok(t, s.Synchronize())
			floats(host)[0] = 21
			ok(t, s.Upload(a, host))
			ok(t, sum(k, s, a, a, a, 16))
			ok(t, e.Record(s))
			if ordered {
				ok(t, u.Wait(e))
			}
			back := must(d.HostAlloc(64))(t)
			ok(t, u.Download(back, a))
			ok(t, u.Synchronize())
			if floats(back)[0] == 42 {
				right++
			}
			ok(t, s.Synchronize())
			ok(t, d.Free(a, s))
			ok(t, s.Close())
			ok(t, u.Close())
			ok(t, e.Close())
			ok(t, d.HostFree(host))
			ok(t, d.HostFree(back))
		}
		if ordered && right != rounds {
			t.Errorf("the event did not hold back %d of %d copies", rounds-right, rounds)
		}
		if !ordered && (right == 0 || right == rounds) {
			t.Errorf("without an event %d of %d copies came in time; some should, some should not", right, rounds)
		}
	}
}

func TestGraphReplays(t *testing.T) {
	d := open(t, 0)
	s, k := must(d.NewStream())(t), add(t, d)
	a := must(d.Alloc(64, s))(t)
	host := must(d.HostAlloc(64))(t)
	floats(host)[3] = 1
	ok(t, s.Upload(a, host))
	g := must(s.Capture(func() error { return sum(k, s, a, a, a, 16) }))(t)
	for range 3 {
		ok(t, g.Launch(s))
	}
	ok(t, s.Download(host, a))
	ok(t, s.Synchronize())
	if got := floats(host)[3]; got != 8 {
		t.Errorf("after three replays of doubling, 1 is %v", got)
	}
	ok(t, g.Close())
	ok(t, d.Free(a, s))
	ok(t, s.Close())
	ok(t, d.HostFree(host))
}

func TestPeerCopy(t *testing.T) {
	d, peer := open(t, 0), open(t, 1)
	s, u := must(d.NewStream())(t), must(peer.NewStream())(t)
	a, b := must(d.Alloc(64, s))(t), must(peer.Alloc(64, u))(t)
	host := must(peer.HostAlloc(64))(t)
	floats(host)[0] = 7
	ok(t, u.Upload(b, host))
	ok(t, u.Synchronize())
	ok(t, s.CopyFrom(a, peer, b, 64))
	floats(host)[0] = 0
	ok(t, s.Download(host, a))
	ok(t, s.Synchronize())
	if floats(host)[0] != 7 {
		t.Errorf("copied %v, want 7", floats(host)[0])
	}
	if err := s.Upload(b, host); err == nil {
		t.Error("a copy to another device's memory was taken")
	}
	ok(t, d.Free(a, s))
	ok(t, peer.Free(b, u))
	ok(t, s.Close())
	ok(t, u.Close())
	ok(t, peer.HostFree(host))
}

// What a kernel must not do ends as an error of the device, which sticks until
// the context is given up, and not as the end of the process.
func TestKernelFaults(t *testing.T) {
	for name, c := range map[string]struct {
		call func(d *driver.Device, s *driver.Stream, k *driver.Kernel, a driver.Ptr) error
		code int
		says string
	}{
		"past the end": {func(d *driver.Device, s *driver.Stream, k *driver.Kernel, a driver.Ptr) error {
			return sum(k, s, a, a, a, 2000)
		}, driver.IllegalAddress, "access to"},
		"freed": {func(d *driver.Device, s *driver.Stream, k *driver.Kernel, a driver.Ptr) error {
			if err := d.Free(a, s); err != nil {
				return err
			}
			return sum(k, s, a, a, a, 16)
		}, driver.IllegalAddress, "access to"},
		"not an address": {func(d *driver.Device, s *driver.Stream, k *driver.Kernel, a driver.Ptr) error {
			return sum(k, s, 16, a, a, 16)
		}, driver.IllegalAddress, "access to"},
		"half a float": {func(d *driver.Device, s *driver.Stream, k *driver.Kernel, a driver.Ptr) error {
			return sum(k, s, a+2, a, a, 16)
		}, driver.Misaligned, "does not begin on a multiple"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, 0)
			s, k := must(d.NewStream())(t), add(t, d)
			a := must(d.Alloc(4000, s))(t)
			err := c.call(d, s, k, a)
			if err == nil {
				err = s.Synchronize()
			}
			if driver.Code(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			if again := sum(k, s, a, a, a, 1); driver.Code(again) != c.code {
				t.Errorf("the error did not stick: %v", again)
			}
			ok(t, s.Close())
		})
	}
}

// A product that would like a workspace does without where there is none.
func TestLaunchProduct(t *testing.T) {
	d := open(t, 0)
	lt := must(d.OpenLt(library))(t)
	defer lt.Close()
	s := must(d.NewStream())(t)
	const m, n, k = 3, 5, 128
	host := must(d.HostAlloc(4 * (m + n) * k))(t)
	for i := range floats(host) {
		floats(host)[i] = float32(i*i%9 - 4)
	}
	a, c := must(d.Alloc(int64(len(host)), s))(t), must(d.Alloc(4*m*n, s))(t)
	ok(t, s.Upload(a, host))
	p := driver.Product{A: driver.R32F, B: driver.R32F, D: driver.R32F, Bias: driver.None, Compute: driver.Float32,
		TransB: true, M: m, N: n, K: k, LDA: k, LDB: k, LDD: n, AlignA: 16, AlignB: 16, AlignD: 16, Workspace: 1 << 20}
	var results [2][]float32
	for i, there := range []bool{true, false} {
		asked := 0
		var work driver.Ptr
		ok(t, lt.Multiply(s, p, 1, a, a+4*m*k, 0, c, 0, func(bytes int) driver.Ptr {
			asked++
			if there {
				work = must(d.Alloc(int64(bytes), s))(t)
			}
			return work
		}))
		if asked != 1 {
			t.Errorf("a workspace was asked for %d times", asked)
		}
		back := must(d.HostAlloc(4 * m * n))(t)
		ok(t, s.Download(back, c))
		ok(t, s.Synchronize())
		results[i] = append([]float32{}, floats(back)...)
		ok(t, d.HostFree(back))
		if there {
			ok(t, d.Free(work, s))
		}
	}
	x, y := floats(host)[:m*k], floats(host)[m*k:]
	for i := range m * n {
		want := float32(0)
		for j := range k {
			want += x[i/n*k+j] * y[i%n*k+j]
		}
		if results[0][i] != want || results[1][i] != want {
			t.Errorf("element %d is %g with a workspace and %g without, want %g", i, results[0][i], results[1][i], want)
		}
	}
	ok(t, d.Free(a, s))
	ok(t, d.Free(c, s))
	ok(t, s.Close())
	ok(t, d.HostFree(host))
}

// A fault in Go is still Go's.
func TestGoKeepsItsFaults(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var p *int
	*p = 1
}

func TestRefusals(t *testing.T) {
	d := open(t, 0)
	s, k := must(d.NewStream())(t), add(t, d)
	defer s.Close()
	a := must(d.Alloc(64, s))(t)
	far, e := must(open(t, 1).NewStream())(t), must(d.NewEvent(false))(t)
	cell := []uint64{uint64(a), 0, uint64(a), 0, uint64(a), 0, 1, 1}
	for name, err := range map[string]error{
		"more memory than there is": func() error { _, err := d.Alloc(2e6, s); return err }(),
		"no such device":            func() error { _, err := driver.Open(2); return err }(),
		"no PTX":                    func() error { _, err := d.Load("ELF"); return err }(),
		"too new PTX":               func() error { _, err := d.Load(".version 99.0\n.target sm_80"); return err }(),
		"PTX of another device":     func() error { _, err := d.Load(".version 7.8\n.target sm_120"); return err }(),
		"block too large":           k.Launch(s, driver.Dim{X: 1}, driver.Dim{X: 1025}, 0, cell),
		"block above the kernel's":  k.Launch(s, driver.Dim{X: 1}, driver.Dim{X: 512}, 0, cell),
		"grid too high":             k.Launch(s, driver.Dim{X: 1, Y: 65536}, driver.Dim{X: 32}, 0, cell),
		"too much shared memory":    k.Launch(s, driver.Dim{X: 1}, driver.Dim{X: 32}, 300<<10, cell),
		"another device's stream":   k.Launch(far, driver.Dim{X: 1}, driver.Dim{X: 32}, 0, cell),
		"another device's event":    e.Record(far),
		"time without a clock": func() error {
			ok(t, e.Record(s))
			ok(t, e.Synchronize())
			_, err := e.Since(e)
			return err
		}(),
		"event that is gone": func() error {
			gone := must(d.NewEvent(false))(t)
			ok(t, gone.Close())
			return s.Wait(gone)
		}(),
		"no page-locked memory": func() error { _, err := d.HostAlloc(0); return err }(),
		"double free": func() error {
			b, err := d.Alloc(64, s)
			ok(t, err)
			ok(t, d.Free(b, s))
			return d.Free(b, s)
		}(),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %v", name, err)
		}
	}
	ok(t, s.Synchronize())
	ok(t, d.Free(a, s))
	ok(t, e.Close())
	ok(t, far.Close())
}
