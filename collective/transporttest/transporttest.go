// Package transporttest is the one suite of tests that every
// frame.Transport passes.
package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"vgid/collective/frame"
	"vgid/collective/schedule"
)

// Run tests a transport; open gives the n connected ends of a world.
func Run(t *testing.T, open func(t *testing.T, n int) []frame.Transport) {
	for name, test := range map[string]struct {
		size int
		do   func(*testing.T, []frame.Transport)
	}{
		"order":            {3, testOrder},
		"sizes":            {3, testSizes},
		"memory":           {3, testMemory},
		"unread lane":      {3, testUnreadLane},
		"either end":       {3, testEitherEnd},
		"lane closed":      {3, testLaneClosed},
		"full lane closed": {3, testLaneClosedFull},
		"messages":         {3, testMessages},
		"break":            {3, testBreak},
		"break at once":    {3, testBreakAtOnce},
		"loss":             {3, testLoss},
		"connections":      {9, testConnections},
		"nobody listens":   {3, testNobodyListens},
	} {
		t.Run(name, func(t *testing.T) {
			ts := open(t, test.size)
			defer func() {
				var wg sync.WaitGroup
				for _, tr := range ts {
					wg.Go(func() {
						if err := tr.Close(); err != nil {
							t.Errorf("rank %d: close: %v", tr.Rank(), err)
						}
					})
				}
				wg.Wait()
			}()
			for r, tr := range ts {
				if tr.Rank() != r || tr.Size() != len(ts) || tr.MaxPayload() < 1<<20 {
					t.Fatalf("end %d is rank %d of %d and takes %d bytes", r, tr.Rank(), tr.Size(), tr.MaxPayload())
				}
			}
			test.do(t, ts)
		})
	}
}

// header is that of a frame; a transport looks at the length alone.
func header(call uint64, length int) *frame.Header {
	return &frame.Header{Call: frame.CallBarrier, Seq: call, Length: uint32(length)}
}

// noise is what contents are cut from.
var noise = func() []byte {
	b := make([]byte, 64<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}()

// content is what the k-th frame of a stream holds, of any length.
func content(stream, k uint64, length int) []byte {
	b := make([]byte, 0, length)
	for at := (stream*7919 + k*104729) % uint64(len(noise)); len(b) < length; at = 0 {
		b = append(b, noise[at:min(uint64(len(noise)), at+uint64(length-len(b)))]...)
	}
	return b
}

// send sends a frame and waits until its memory is free.
func send(l frame.Lane, to int, h *frame.Header, payload []byte) error {
	sent := frame.NewInflight()
	sent.Add()
	err := l.Send(to, h, payload, sent)
	if err == nil {
		sent.Wait(nil)
	}
	return err
}

// receive takes a frame and compares it.
func receive(l frame.Lane, from int, call uint64, want []byte) error {
	f, err := l.Recv(from)
	if err != nil {
		return err
	}
	defer f.Release()
	got := make([]byte, f.Len())
	if err := f.Into(got); err != nil {
		return err
	}
	if f.Header != *header(call, len(want)) {
		return fmt.Errorf("header %+v from rank %d, want that of frame %d with %d bytes", f.Header, from, call, len(want))
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("frame %d from rank %d: %d bytes, or others than the %d that were sent", call, from, len(got), len(want))
	}
	return nil
}

// together runs functions at the same time and fails with their errors.
func together(t *testing.T, fs ...func() error) {
	t.Helper()
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// testOrder lets every pair of ranks talk both ways over several lanes at once.
func testOrder(t *testing.T, ts []frame.Transport) {
	const frames = 60
	length := func(k uint64) int { return int(k*k*k*7) % 70_001 }
	talk := func(id uint32, from, to int) (say, hear func() error) {
		stream := uint64(id)*100 + uint64(10*from+to)
		say = func() error {
			l, sent := ts[from].Lane(id), frame.NewInflight()
			for k := range uint64(frames) {
				sent.Add()
				if err := l.Send(to, header(k, length(k)), content(stream, k, length(k)), sent); err != nil {
					return err
				}
			}
			sent.Wait(nil)
			return nil
		}
		hear = func() error {
			l := ts[to].Lane(id)
			for k := range uint64(frames) {
				if err := receive(l, from, k, content(stream, k, length(k))); err != nil {
					return fmt.Errorf("lane %d: %w", id, err)
				}
			}
			return nil
		}
		return say, hear
	}
	var fs []func() error
	for _, id := range []uint32{0, 1, 2, 4000000000} {
		for from := range ts {
			for to := range ts {
				if from != to {
					say, hear := talk(id, from, to)
					fs = append(fs, say, hear)
				}
			}
		}
	}
	together(t, fs...)
	if ts[0].Lane(1) != ts[0].Lane(1) {
		t.Error("a lane is another when it is asked for again")
	}
}

// testSizes sends payloads of no bytes, of few, and of the most there may be.
func testSizes(t *testing.T, ts []frame.Transport) {
	sizes := []int{0, 1, 7, 1023, 1024, 1025, 8 << 10, 8<<10 + 1, 16 << 10, 1<<20 + 3, 0, ts[0].MaxPayload(), 0}
	together(t, func() error {
		for k, n := range sizes {
			if err := send(ts[0].Lane(0), 2, header(uint64(k), n), content(1, uint64(k), n)); err != nil {
				return err
			}
		}
		return nil
	}, func() error {
		for k, n := range sizes {
			if err := receive(ts[2].Lane(0), 0, uint64(k), content(1, uint64(k), n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// testMemory writes a payload anew as soon as it is said to be free.
func testMemory(t *testing.T, ts []frame.Transport) {
	const frames = 30
	for _, n := range []int{500, 5000, 50_000, 500_000} {
		id := uint32(n)
		together(t, func() error {
			payload := make([]byte, n)
			for k := range uint64(frames) {
				copy(payload, content(2, k, n))
				if err := send(ts[1].Lane(id), 0, header(k, n), payload); err != nil {
					return err
				}
			}
			return nil
		}, func() error {
			for k := range uint64(frames) {
				if err := receive(ts[0].Lane(id), 1, k, content(2, k, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// fill sends on a lane, whose frames nobody takes, until that fails, and returns
// why.
func fill(l frame.Lane, to int) error {
	payload, sent := make([]byte, 1<<20), frame.NewInflight()
	for k := uint64(0); ; k++ {
		sent.Add()
		if err := l.Send(to, header(k, len(payload)), payload, sent); err != nil {
			return err
		}
	}
}

// testUnreadLane lets nobody take the frames of one lane: others go on, both
// ways, with more bytes than a connection would store.
func testUnreadLane(t *testing.T, ts []frame.Transport) {
	full := make(chan struct{})
	go func() { defer close(full); _ = fill(ts[0].Lane(6), 1) }()
	const frames, n = 12, 1 << 20
	var fs []func() error
	for id := range uint32(3) {
		for _, from := range []int{0, 1} {
			fs = append(fs, func() error {
				for k := range uint64(frames) {
					if err := send(ts[from].Lane(id), 1-from, header(k, n), content(uint64(id), k, n)); err != nil {
						return err
					}
				}
				return nil
			}, func() error {
				for k := range uint64(frames) {
					if err := receive(ts[1-from].Lane(id), from, k, content(uint64(id), k, n)); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	together(t, fs...)
	ts[0].Break()
	<-full
}

// testEitherEnd opens lanes from one end, in which the other then finds frames,
// whichever rank is the higher.
func testEitherEnd(t *testing.T, ts []frame.Transport) {
	for i, pair := range [][2]int{{0, 2}, {2, 0}, {1, 2}, {2, 1}} {
		id := uint32(10 + i)
		if err := send(ts[pair[0]].Lane(id), pair[1], header(1, 3), []byte("abc")); err != nil {
			t.Fatal(err)
		}
		if err := receive(ts[pair[1]].Lane(id), pair[0], 1, []byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
}

// testLaneClosed closes a lane behind frames that are not taken yet: they come,
// then the end, and other lanes go on.
func testLaneClosed(t *testing.T, ts []frame.Transport) {
	for _, pair := range [][2]int{{0, 1}, {1, 0}} {
		from, to := ts[pair[0]].Lane(20+uint32(pair[0])), ts[pair[1]].Lane(20+uint32(pair[0]))
		for k := range uint64(2) {
			if err := send(from, pair[1], header(k, 9000), content(3, k, 9000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := from.Close(); err != nil {
			t.Fatal(err)
		}
		for k := range uint64(2) {
			if err := receive(to, pair[0], k, content(3, k, 9000)); err != nil {
				t.Fatalf("sent before the lane was closed: %v", err)
			}
		}
		if f, err := to.Recv(pair[0]); err == nil {
			t.Errorf("frame %+v behind the end of the lane", f.Header)
		}
		for k := range uint64(30) {
			_ = send(to, pair[0], header(k, 1<<20), make([]byte, 1<<20)) // whatever it says, it ends
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
	}
	testEitherEnd(t, ts)
}

// testLaneClosedFull closes a lane behind more than its window holds.
func testLaneClosedFull(t *testing.T, ts []frame.Transport) {
	const frames, n = 24, 1 << 20
	for _, pair := range [][2]int{{0, 1}, {1, 0}} {
		id := 20 + uint32(pair[0])
		from, to := ts[pair[0]].Lane(id), ts[pair[1]].Lane(id)
		together(t, func() error {
			sent := frame.NewInflight()
			for k := range uint64(frames) {
				sent.Add()
				if err := from.Send(pair[1], header(k, n), content(4, k, n), sent); err != nil {
					return err
				}
			}
			return from.Close()
		}, func() error {
			for k := range uint64(frames) {
				if err := receive(to, pair[0], k, content(4, k, n)); err != nil {
					return err
				}
			}
			return to.Close()
		})
	}
}

// told is what a watcher was told.
type told struct {
	mu    sync.Mutex
	cond  *sync.Cond
	heard map[int][]string
	lost  map[int]int
}

func watch(tr frame.Transport) *told {
	w := &told{heard: map[int][]string{}, lost: map[int]int{}}
	w.cond = sync.NewCond(&w.mu)
	tr.Watch(func(from int, msg []byte) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard[from] = append(w.heard[from], string(msg))
		w.cond.Broadcast()
	}, func(peer int, _ error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lost[peer]++
		w.cond.Broadcast()
	})
	return w
}

// until waits for something to be told.
func (w *told) until(is func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !is() {
		w.cond.Wait()
	}
}

// testMessages notifies before anybody watches, and past a lane that is full.
func testMessages(t *testing.T, ts []frame.Transport) {
	if err := ts[0].Notify(1, []byte("early")); err != nil {
		t.Fatal(err)
	}
	full := make(chan struct{})
	go func() { defer close(full); _ = fill(ts[0].Lane(0), 1) }()
	w := watch(ts[1])
	msg := []byte("first")
	for _, text := range []string{"first", "other"} {
		copy(msg, text) // the memory is the caller's again
		if err := ts[0].Notify(1, msg); err != nil {
			t.Fatal(err)
		}
	}
	w.until(func() bool { return len(w.heard[0]) == 3 })
	if !slices.Equal(w.heard[0], []string{"early", "first", "other"}) {
		t.Errorf("heard %q", w.heard[0])
	}
	ts[0].Break()
	<-full
}

// testBreak wakes all that waits at one end; its messages still reach the peers.
func testBreak(t *testing.T, ts []frame.Transport) {
	w := watch(ts[0])
	waits := make(chan error, 4)
	for _, id := range []uint32{0, 8} {
		if err := send(ts[0].Lane(id), 1, header(0, 0), nil); err != nil {
			t.Fatal(err)
		}
		if err := receive(ts[1].Lane(id), 0, 0, nil); err != nil {
			t.Fatal(err)
		}
		go func() { waits <- fill(ts[1].Lane(id), 0) }()
		go func() {
			_, err := ts[1].Lane(id).Recv(0)
			waits <- err
		}()
	}
	ts[1].Break()
	for range cap(waits) {
		if err := <-waits; err == nil {
			t.Error("something was received")
		}
	}
	if err := ts[1].Notify(0, []byte("why")); err != nil {
		t.Error(err)
	}
	w.until(func() bool { return len(w.heard[1]) == 1 })
	for _, id := range []uint32{0, 9} { // also in a lane that is new
		if _, err := ts[1].Lane(id).Recv(0); err == nil {
			t.Error("something is received behind the break")
		}
		if err := send(ts[1].Lane(id), 2, header(0, 0), nil); err == nil {
			t.Error("something is sent behind the break")
		}
	}
}

// testBreakAtOnce breaks while lanes are being opened.
func testBreakAtOnce(t *testing.T, ts []frame.Transport) {
	waits := make(chan error, 2*len(ts))
	for _, tr := range ts {
		for id := range uint32(2) {
			go func() {
				_, err := tr.Lane(id).Recv((tr.Rank() + 1) % len(ts))
				waits <- err
			}()
		}
	}
	for _, tr := range ts {
		tr.Break()
	}
	for range cap(waits) {
		if err := <-waits; err == nil {
			t.Error("something was received")
		}
	}
}

// testLoss closes one end: what waits for it ends, each peer is told once, and
// the others go on.
func testLoss(t *testing.T, ts []frame.Transport) {
	w := []*told{watch(ts[0]), watch(ts[1])}
	waits := make(chan error, 2)
	for r := range 2 {
		if err := send(ts[2].Lane(0), r, header(5, 4), []byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := receive(ts[r].Lane(0), 2, 5, []byte("last")); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := ts[r].Lane(0).Recv(2)
			waits <- err
		}()
	}
	if err := ts[2].Close(); err != nil {
		t.Fatal(err)
	}
	for r := range w {
		if err := <-waits; err == nil {
			t.Error("something comes from a rank that closed")
		}
		w[r].until(func() bool { return w[r].lost[2] == 1 })
	}
	_ = fill(ts[0].Lane(0), 2) // returns
	together(t, func() error { return send(ts[0].Lane(0), 1, header(1, 2), []byte("on")) },
		func() error { return receive(ts[1].Lane(0), 0, 1, []byte("on")) })
	if len(w[0].lost) != 1 || len(w[1].lost) != 1 || w[0].lost[2] != 1 {
		t.Errorf("lost %v and %v, want rank 2 alone, once", w[0].lost, w[1].lost)
	}
}

// testConnections counts connections: those of schedule.Links at the start, others
// when a frame needs them, whichever end is first, or when they are asked for;
// messages go along them.
func testConnections(t *testing.T, ts []frame.Transport) {
	want := make([]int, len(ts))
	count := func(when string) {
		t.Helper()
		for r, tr := range ts {
			if got := tr.Connections(); got != want[r] {
				t.Fatalf("%s rank %d has %d connections, want %d", when, r, got, want[r])
			}
		}
	}
	for r := range ts {
		want[r] = len(schedule.Links(r, len(ts)))
	}
	count("at the start")
	for _, pair := range [][2]int{{0, 5}, {6, 0}} {
		from, to := pair[0], pair[1]
		if ts[from].Notify(to, []byte("no")) == nil {
			t.Fatalf("ranks %v are connected from the start", pair)
		}
		together(t, func() error { return send(ts[from].Lane(0), to, header(1, 3), []byte("abc")) },
			func() error { return receive(ts[to].Lane(0), from, 1, []byte("abc")) })
		want[from]++
		want[to]++
		count("after a frame")
		w := watch(ts[to])
		if err := ts[from].Notify(to, []byte("yes")); err != nil {
			t.Fatal(err)
		}
		w.until(func() bool { return len(w.heard[from]) == 1 })
	}
	// Whoever is first sends before the other knows of it.
	for _, pair := range [][2]int{{1, 6}, {7, 1}} {
		if err := send(ts[pair[0]].Lane(0), pair[1], header(1, 3), []byte("abc")); err != nil {
			t.Fatal(err)
		}
		if err := receive(ts[pair[1]].Lane(0), pair[0], 1, []byte("abc")); err != nil {
			t.Fatal(err)
		}
		want[pair[0]]++
		want[pair[1]]++
	}
	count("after a frame that nobody waited for")
	for _, pair := range [][2]int{{2, 8}, {8, 2}} {
		ts[pair[0]].Open(pair[1])
	}
	for ts[2].Notify(8, []byte("yes")) != nil {
		time.Sleep(time.Millisecond)
	}
}

// testNobodyListens closes a world in which nobody has done anything.
func testNobodyListens(*testing.T, []frame.Transport) {}
