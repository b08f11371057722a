package transporttest

import (
	"fmt"
	"testing"

	"vgid/collective/frame"
)

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
