package transporttest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"vgid/collective/frame"
	"vgid/collective/schedule"
)

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
			if got, _ := tr.Connections(); got != want[r] {
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
