package collective

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"vgid/collective/frame"
	"vgid/collective/schedule"
)

// layout says how a buffer is cut into the parts of the ranks, which lie in it in
// rank order without gaps.
type layout struct {
	starts   []int // of each part and the end, in elements
	checksum uint32
}

// partsOf has parts of given lengths.
func partsOf(counts []int) layout {
	l := layout{starts: make([]int, len(counts)+1)}
	for i, n := range counts {
		l.starts[i+1] = l.starts[i] + n
	}
	return l
}

// equalParts cuts count elements as schedule.Segment does.
func equalParts(count, n int) layout {
	l := layout{starts: make([]int, n+1)}
	for i := range n {
		_, l.starts[i+1] = schedule.Segment(count, n, i)
	}
	return l
}

// givenParts has parts of the lengths that the caller names, together as long as
// all. Ranks compare the checksum of the lengths.
func givenParts(counts []int, n int, all Buf) (layout, error) {
	if len(counts) != n {
		return layout{}, fmt.Errorf("lengths of %d parts are given for %d ranks", len(counts), n)
	}
	left := all.Len()
	lengths := make([]byte, 0, 8*n)
	for r, k := range counts {
		if k < 0 {
			return layout{}, fmt.Errorf("the part of rank %d has the length %d", r, k)
		}
		if left -= k; left < 0 {
			break
		}
		lengths = binary.LittleEndian.AppendUint64(lengths, uint64(k))
	}
	if left != 0 {
		return layout{}, fmt.Errorf("the parts %v do not add up to the %d elements of the buffer", counts, all.Len())
	}
	l := partsOf(counts)
	l.checksum = frame.Checksum(lengths)
	return l, nil
}

// length is the elements of a part, total those of all.
func (l layout) length(i int) int { return l.starts[i+1] - l.starts[i] }
func (l layout) total() int       { return l.starts[len(l.starts)-1] }

// of is part i of a buffer.
func (l layout) of(b Buf, i int) []byte { return b.elements(l.starts[i], l.starts[i+1]) }

// isPart checks the buffer that holds the part of a rank beside the whole.
func (l layout) isPart(rank int, part, whole Buf) error {
	switch {
	case part.dtype != whole.dtype:
		return fmt.Errorf("a part of %v goes with a buffer of %v", part.dtype, whole.dtype)
	case part.Len() != l.length(rank):
		return fmt.Errorf("the part of rank %d has %d elements, its buffer %d", rank, l.length(rank), part.Len())
	case !same(part.raw, l.of(whole, rank)) && overlap(part.raw, whole.raw):
		return fmt.Errorf("the buffers overlap, but one is not the part of rank %d in the other", rank)
	}
	return nil
}

// fits checks buffers of the same length, of which one may be the other.
func fits(in, out Buf) error {
	switch {
	case in.dtype != out.dtype:
		return fmt.Errorf("elements of %v go in and of %v come out", in.dtype, out.dtype)
	case in.Len() != out.Len():
		return fmt.Errorf("%d elements go in and %d come out", in.Len(), out.Len())
	case !same(in.raw, out.raw) && overlap(in.raw, out.raw):
		return errors.New("the buffers of what goes in and what comes out overlap without being the same")
	}
	return nil
}

// reducible checks an operation on elements.
func reducible(b Buf, op Op) error {
	if !b.dtype.Reducible() || !op.Valid() {
		return fmt.Errorf("cannot reduce %v by %v", b.dtype, op)
	}
	return nil
}

// first is the first error of several.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// segments cuts a buffer into n nearly equal parts, the blocks of a plan.
func segments(b Buf, n int, plan *schedule.Plan) func(i int) []byte {
	return func(i int) []byte {
		lo, hi := schedule.Segment(b.Len(), n, plan.Part(i))
		return b.elements(lo, hi)
	}
}

// copyOver copies one buffer to another, unless they are the same.
func copyOver(out, in Buf) {
	if !same(out.raw, in.raw) {
		copy(out.raw, in.raw)
	}
}

// same reports whether two slices are the same memory; empty ones are.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || unsafe.SliceData(a) == unsafe.SliceData(b))
}

// overlap reports whether two slices share memory.
func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	p, q := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return p < q+uintptr(len(b)) && q < p+uintptr(len(a))
}
