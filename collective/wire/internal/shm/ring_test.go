package shm

import (
	"bytes"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// memory is that of a lane, in the ordinary memory of this process.
func memory(ring int) []byte {
	words := make([]uint64, Size(ring)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), Size(ring))
}

// What is read is what was written, in its order, however the two ends take turns.
func TestRingKeepsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := memory(MinRing)
		w, r := newWriter(mem, 1), newReader(mem, 1)
		var next, seen byte
		for range rapid.IntRange(1, 60).Draw(t, "turns") {
			p := make([]byte, rapid.IntRange(0, MinRing+100).Draw(t, "bytes"))
			for i := range p {
				p[i] = next + byte(i)
			}
			n, err := w.put(p)
			if err != nil {
				t.Fatal(err)
			}
			if next += byte(n); rapid.Bool().Draw(t, "published") {
				w.publish()
			}
			ready, err := r.ready()
			if err != nil || ready > MinRing {
				t.Fatalf("%d bytes are ready: %v", ready, err)
			}
			for left := rapid.IntRange(0, ready).Draw(t, "taken"); left > 0; {
				piece := r.piece(left)
				for _, b := range piece {
					if b != seen {
						t.Fatalf("%d was read where %d was written", b, seen)
					}
					seen++
				}
				left -= len(piece)
				r.free(len(piece))
			}
		}
	})
}

// A ring takes as much as it has, and no more until something was read.
func TestRingIsBounded(t *testing.T) {
	mem := memory(MinRing)
	w, r := newWriter(mem, 0), newReader(mem, 0)
	if n, err := w.put(bytes.Repeat([]byte{7}, 2*MinRing)); n != MinRing || err != nil {
		t.Fatalf("an empty ring takes %d bytes, %v", n, err)
	}
	if n, _ := w.put([]byte{1}); n != 0 {
		t.Fatal("a full ring takes more")
	}
	w.publish()
	w.writerAsks.Store(100)
	if n, err := r.ready(); n != MinRing || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if r.free(99) {
		t.Error("who waits for 100 bytes is woken for 99")
	}
	if !r.free(1) || w.writerAsks.Load() != 0 {
		t.Error("who waits for 100 bytes is not woken for them")
	}
	if n, _ := w.put(make([]byte, 200)); n != 100 {
		t.Errorf("%d bytes go where 100 were read", n)
	}
}

// Numbers that a correct peer cannot have written are refused.
func TestRingRefusesDamage(t *testing.T) {
	for _, head := range []uint64{MinRing + 1, 1 << 40, ^uint64(0), 63} {
		mem := memory(MinRing)
		r := newReader(mem, 0)
		r.words.head.Store(64)
		if n, err := r.ready(); n != 64 || err != nil {
			t.Fatal(n, err)
		}
		r.words.head.Store(head)
		if n, err := r.ready(); err == nil {
			t.Errorf("behind 64, %d bytes written are taken for %d that are ready", head, n)
		}
	}
	for _, tail := range []uint64{1001, ^uint64(0), 499} {
		mem := memory(MinRing)
		w := newWriter(mem, 0)
		_, _ = w.put(make([]byte, 1000))
		w.publish()
		w.words.tail.Store(500)
		if n, err := w.room(); n != MinRing-500 || err != nil {
			t.Fatal(n, err)
		}
		w.words.tail.Store(tail)
		if n, err := w.room(); err == nil {
			t.Errorf("%d of 1000 bytes read are taken for room of %d", tail, n)
		}
	}
}
