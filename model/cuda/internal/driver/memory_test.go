//go:build cuda && cgo && linux

package driver_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels"
)

// The device reads page-locked memory when the copy's turn comes, and without
// the host; of other memory it makes a copy first.
func TestLaunchPinned(t *testing.T) {
	d := open(t, 0)
	s := must(d.NewStream())(t)
	p := must(d.Alloc(8, s))(t)
	pinned, back := must(d.HostAlloc(4))(t), must(d.HostAlloc(8))(t)
	plain := make([]byte, 4)
	before := driver.SimulatedCounter("pageable")
	ok(t, s.Upload(p, pinned))
	if n := driver.SimulatedCounter("pageable") - before; n != 0 {
		t.Errorf("%d copies from page-locked memory count as others", n)
	}
	ok(t, s.Upload(p+4, plain))
	if n := driver.SimulatedCounter("pageable") - before; n != 1 {
		t.Errorf("%d copies through memory that is not page-locked, want 1", n)
	}
	floats(pinned)[0], floats(plain)[0] = 5, 5
	ok(t, s.Download(back, p))
	ok(t, s.Synchronize())
	if got := floats(back); got[0] != 5 || got[1] != 0 {
		t.Errorf("copied %v, want 5, written before the copy's turn, and 0, written after the call", got)
	}
	ok(t, d.Free(p, s))
	ok(t, s.Close())
	ok(t, d.HostFree(pinned))
	ok(t, d.HostFree(back))
}

// Memory of one stream exists for another after an event, and only surely then.
func TestEventsOrderAllocations(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		failed := 0
		const rounds = 20
		for range rounds {
			t.Run("", func(t *testing.T) { // a context a round: errors stick
				d := open(t, 0)
				k := add(t, d)
				s, u, e := must(d.NewStream())(t), must(d.NewStream())(t), must(d.NewEvent(false))(t)
				a := must(d.Alloc(64, s))(t)
				ok(t, e.Record(s))
				if ordered {
					ok(t, u.Wait(e))
				}
				ok(t, sum(k, u, a, a, a, 16))
				if err := u.Synchronize(); driver.Code(err) == driver.IllegalAddress {
					failed++
				} else {
					ok(t, err)
					ok(t, d.Free(a, u))
				}
				ok(t, s.Close())
				ok(t, u.Close())
				ok(t, e.Close())
			})
		}
		if ordered && failed > 0 || !ordered && (failed == 0 || failed == rounds) {
			t.Errorf("with an event %v: %d of %d kernels came before their memory", ordered, failed, rounds)
		}
	}
}

// More shared memory than usual is asked for by the launch.
func TestLaunchShared(t *testing.T) {
	d := open(t, 0)
	s, k := must(d.NewStream())(t), add(t, d)
	a := must(d.Alloc(64, s))(t)
	launch := func(shared int) error {
		return k.Launch(s, driver.Dim{X: 1}, driver.Dim{X: 32}, shared, []uint64{uint64(a), 0, uint64(a), 0, uint64(a), 0, 0, 0})
	}
	for _, bytes := range []int{48 << 10, 200 << 10, 227 << 10} {
		if err := launch(bytes); err != nil {
			t.Errorf("%d bytes of shared memory: %v", bytes, err)
		}
	}
	if err := launch(227<<10 + 1); err == nil {
		t.Error("more shared memory was given than there is")
	}
	ok(t, s.Synchronize())
	ok(t, d.Free(a, s))
	ok(t, s.Close())
}

// Two processes compute in the same memory, which one names to the other.
func TestPeerProcess(t *testing.T) {
	d := open(t, 0)
	s := must(d.NewStream())(t)
	host := must(d.HostAlloc(64))(t)
	a, pooled := must(d.AllocShareable(64))(t), must(d.Alloc(64, s))(t)
	floats(host)[15] = 21
	ok(t, s.Upload(a, host))
	ok(t, s.Synchronize())
	h := must(d.Share(a))(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("VGID_TEST_ATTACH=%x", h[:]))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the other process: %v %s", err, out)
	}
	ok(t, s.Download(host, a))
	ok(t, s.Synchronize())
	if got := floats(host)[15]; got != 42 {
		t.Errorf("the other process doubled 21 to %v", got)
	}
	if _, err := d.Share(pooled); err == nil {
		t.Error("memory of a pool was shared")
	}
	if _, err := d.Attach(h); err == nil {
		t.Error("a process attached its own memory")
	}
	if _, err := d.Attach(driver.Handle{}); err == nil {
		t.Error("a handle of nothing was attached")
	}
	if err := d.Detach(a); err == nil {
		t.Error("memory was detached that is not another's")
	}
	ok(t, d.FreeShareable(a))
	ok(t, d.Free(pooled, s))
	ok(t, s.Close())
	ok(t, d.HostFree(host))
}

// attach is the other process: it doubles what the handle names.
func attach(handle string) error {
	var h driver.Handle
	if _, err := hex.Decode(h[:], []byte(handle)); err != nil {
		return err
	}
	d, err := driver.Open(0)
	if err != nil {
		return err
	}
	modules, err := kernels.Modules()
	if err != nil {
		return err
	}
	m, err := d.Load(modules["elementwise"])
	if err != nil {
		return err
	}
	k, err := m.Kernel("add")
	if err != nil {
		return err
	}
	s, err := d.NewStream()
	if err != nil {
		return err
	}
	p, err := d.Attach(h)
	if err != nil {
		return err
	}
	if err := sum(k, s, p, p, p, 16); err != nil {
		return err
	}
	if err := s.Synchronize(); err != nil {
		return err
	}
	if err := d.Detach(p); err != nil {
		return err
	}
	if err := sum(k, s, p, p, p, 16); err != nil {
		return err
	}
	if err := s.Synchronize(); driver.Code(err) != driver.IllegalAddress {
		return errors.Join(errors.New("detached memory is still there"), err)
	}
	return nil
}
