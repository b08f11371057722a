package shm

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"vgid/collective/frame"
)

// Sizes of a lane's memory in bytes: a page of words, half of it for each direction, then
// the rings of the two directions.
const (
	wordsSize = 4096
	MinRing   = 256 << 10
	MaxRing   = 4 << 20
	// unit is what headers and payloads are padded to, so that elements of any type lie whole
	// and aligned in a ring.
	unit     = 64
	headSize = (frame.HeaderSize + unit - 1) &^ (unit - 1)
)

// padding is the number of bytes behind so many.
func padding(n int) int { return -n & (unit - 1) }

var zeros [unit]byte

// Size is the length of the memory of a lane with rings of so many bytes.
func Size(ring int) int { return wordsSize + 2*ring }

// validRing reports whether a ring may have so many bytes.
func validRing(n int) bool { return n >= MinRing && n <= MaxRing && n&(n-1) == 0 }

// words are what the two ends of a direction share beside the bytes. Each is written by one
// end and has a cache line of its own, two lines away from the next, because
// processors fetch lines in pairs.
type words struct {
	head       *atomic.Uint64 // bytes written so far
	tail       *atomic.Uint64 // bytes read so far
	readerAsks *atomic.Uint32 // bytes that the sleeping reader waits for; 0: it does not sleep
	writerAsks *atomic.Uint32 // room that the sleeping writer waits for
	writerLeft *atomic.Uint32 // 1: nothing more will be written
	readerLeft *atomic.Uint32 // 1: nothing more will be read
}

// direction gives the words and the bytes of one of the two directions of a lane.
func direction(mem []byte, which int) (w words, data []byte) {
	const apart = 128
	at := func(i int) unsafe.Pointer { return unsafe.Pointer(&mem[which*wordsSize/2+i*apart]) }
	ring := (len(mem) - wordsSize) / 2
	return words{
		head: (*atomic.Uint64)(at(0)), tail: (*atomic.Uint64)(at(1)),
		readerAsks: (*atomic.Uint32)(at(2)), writerAsks: (*atomic.Uint32)(at(3)),
		writerLeft: (*atomic.Uint32)(at(4)), readerLeft: (*atomic.Uint32)(at(5)),
	}, mem[wordsSize+which*ring:][:ring:ring]
}

// damage says that the other end of a ring breaks its rules.
func damage(what string, says, from, to uint64) error {
	return fmt.Errorf("the peer's shared memory is damaged: it has %s %d bytes, which is not between %d and %d", what, says, from, to)
}

// writer is the writing end of a ring.
//
// What must always hold: head is this end's own and never read back from the memory;
// what is read from there, the other end's tail, is read once and checked before
// it is used, so that nothing written there by a faulty peer has bytes written outside
// data, or over bytes that were not read.
type writer struct {
	words
	data       []byte
	next, head uint64 // written so far; told to the reader so far
	tail       uint64 // as the reader told last
}

func newWriter(mem []byte, which int) writer {
	w := writer{}
	w.words, w.data = direction(mem, which)
	return w
}

// room is the number of bytes that can be written now.
func (w *writer) room() (int, error) {
	t := w.words.tail.Load()
	learns()
	if t < w.tail || t > w.head {
		return 0, damage("read", t, w.tail, w.head)
	}
	w.tail = t
	return len(w.data) - int(w.next-t), nil
}

// put copies bytes to the ring as far as there is room, and gives their number; they are
// told to the reader by publish.
func (w *writer) put(p []byte) (int, error) {
	if len(w.data)-int(w.next-w.tail) < len(p) {
		if _, err := w.room(); err != nil {
			return 0, err
		}
	}
	n := min(len(p), len(w.data)-int(w.next-w.tail))
	at := int(w.next & uint64(len(w.data)-1))
	k := copy(w.data[at:], p[:n])
	copy(w.data, p[k:n])
	w.next += uint64(n)
	return n, nil
}

// publish tells the reader of what was written, and reports whether it sleeps and should be
// woken.
func (w *writer) publish() (wake bool) {
	if w.head == w.next {
		return false
	}
	w.head = w.next
	tells()
	w.words.head.Store(w.head)
	return wakes(w.readerAsks, w.head-w.tail)
}

// wakes takes the word by which an end asks for so many bytes, if they are there.
func wakes(asks *atomic.Uint32, there uint64) bool {
	n := asks.Load()
	return n != 0 && uint64(n) <= there && asks.CompareAndSwap(n, 0)
}

// reader is the reading end of a ring.
//
// What must always hold: tail is this end's own, and the other end's head is read once
// and checked, so that nothing is read outside data. The bytes themselves may
// change at any time.
type reader struct {
	words
	data []byte
	tail uint64 // read so far
	head uint64 // as the writer told last
}

func newReader(mem []byte, which int) reader {
	r := reader{}
	r.words, r.data = direction(mem, which)
	return r
}

// ready is the number of bytes that can be read now.
func (r *reader) ready() (int, error) {
	h := r.words.head.Load()
	learns()
	if h < r.head || h > r.tail+uint64(len(r.data)) {
		return 0, damage("written", h, r.head, r.tail+uint64(len(r.data)))
	}
	r.head = h
	return int(h - r.tail), nil
}

// piece gives bytes that lie beside each other, at most so many, which stay the reader's
// until they are freed.
func (r *reader) piece(most int) []byte {
	at := int(r.tail & uint64(len(r.data)-1))
	return r.data[at:min(len(r.data), at+min(most, int(r.head-r.tail)))]
}

// free gives bytes back to the writer, and reports whether it sleeps and should be woken.
func (r *reader) free(n int) (wake bool) {
	r.tail += uint64(n)
	tells()
	r.words.tail.Store(r.tail)
	return wakes(r.writerAsks, uint64(len(r.data))-(r.head-r.tail))
}
