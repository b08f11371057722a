//go:build cuda && cgo && linux

package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels/simbuild"
	"vgid/model/cuda/internal/sim"
)

// The simulated device runs its streams in an order that its seed draws, where
// events leave them one.
func TestMain(m *testing.M) {
	lib, err := sim.Library(context.Background())
	if errors.Is(err, simbuild.ErrNoCompiler) {
		fmt.Fprintln(os.Stderr, "SKIPPED: simulated device:", err)
		os.Exit(0)
	}
	if err == nil {
		err = driver.Load(driver.Options{Library: lib, Simulation: "seed=9"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const size = 48 // bytes of a buffer

// world is a device with a few buffers, and what they hold if everything is done
// in the order of the calls.
type world struct {
	t    *rapid.T
	d    *driver.Device
	ops  *driver.Stream
	q    Queue
	at   [3]driver.Ptr
	uses [3]Uses
	want [3][size]byte
}

func (w *world) ok(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// must gives v where there is no error.
func must[T any](v T, err error) func(w *world) T {
	return func(w *world) T {
		w.ok(err)
		return v
	}
}

// source is what is uploaded. It is written over when the call has returned, as
// the caller may.
func (w *world) source(upload func(src []byte) error) (sent [size]byte) {
	copy(sent[:], rapid.SliceOfN(rapid.Byte(), size, size).Draw(w.t, "bytes"))
	src := bytes.Clone(sent[:])
	w.ok(upload(src))
	clear(src)
	return sent
}

func (w *world) buffer(label string) int {
	return rapid.IntRange(0, len(w.at)-1).Draw(w.t, label)
}

// Whatever order the streams run in, buffers hold in the end what they would if each
// call had waited for the one before. A buffer is longer than half of the page-locked
// memory, so that copies go in pieces and the host waits for room.
func TestQueueKeepsTheOrderSimulated(t *testing.T) {
	d, err := driver.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, d: d}
		w.ops = must(d.NewStream())(w)
		w.ok(w.q.Start(d, w.ops, 2*(size-ringAlign)))
		for i := range w.at {
			w.at[i] = must(d.Alloc(size, w.ops))(w)
			w.ok(w.ops.Zero(w.at[i], size))
			w.ok(w.q.Touch(&w.uses[i]))
		}
		t.Repeat(map[string]func(*rapid.T){
			"upload": func(*rapid.T) {
				i := w.buffer("to")
				w.want[i] = w.source(func(src []byte) error { return w.q.Stage(&w.uses[i], w.at[i], src) })
			},
			"operate": func(*rapid.T) {
				from, to := w.buffer("from"), w.buffer("to")
				w.ok(w.q.Touch(&w.uses[from]))
				w.ok(w.q.Touch(&w.uses[to]))
				if from != to {
					w.ok(w.ops.Copy(w.at[to], w.at[from], size))
					w.want[to] = w.want[from]
				}
			},
			"operate on an upload": func(*rapid.T) {
				to := w.buffer("to")
				temp := must(d.Alloc(size, w.ops))(w)
				w.want[to] = w.source(func(src []byte) error { return w.q.StageTemp(temp, src) })
				w.ok(w.q.Touch(&w.uses[to]))
				w.ok(w.ops.Copy(w.at[to], temp, size))
				w.ok(d.Free(temp, w.ops))
			},
		})
		w.ok(w.q.Receive())
		got := must(d.HostAlloc(size))(w)
		for i := range w.at {
			w.ok(w.ops.Download(got, w.at[i]))
			w.ok(w.ops.Synchronize())
			if !bytes.Equal(got, w.want[i][:]) {
				t.Errorf("buffer %d holds %v, not %v", i, got, w.want[i])
			}
			w.ok(d.Free(w.at[i], w.ops))
		}
		w.ok(d.HostFree(got))
		w.q.Close(w.ok)
		w.ok(w.ops.Synchronize())
		w.ok(w.ops.Close())
	})
}
