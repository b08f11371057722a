// Package spans is about memory that lies in several places and is spoken of as
// one: the blocks of a message, the pieces of a frame as a network delivered it.
package spans

import "unsafe"

// Total is the bytes of all spans.
func Total(spans [][]byte) int {
	n := 0
	for _, m := range spans {
		n += len(m)
	}
	return n
}

// Append adds a span to others. One that begins where the last ends, in the same
// allocation, makes that longer, so that both are sent without a copy; an empty
// one adds nothing.
func Append(spans [][]byte, m []byte) [][]byte {
	if len(m) == 0 {
		return spans
	}
	if k := len(spans) - 1; k >= 0 && follows(spans[k], m) {
		spans[k] = spans[k][:len(spans[k])+len(m)]
		return spans
	}
	return append(spans, m)
}

// follows reports whether b begins where a ends. The capacity of a does not reach
// beyond its allocation, so that two which lie beside each other by chance are not
// taken for one.
func follows(a, b []byte) bool {
	return cap(a) >= len(a)+len(b) && unsafe.Pointer(unsafe.SliceData(b)) == unsafe.Add(unsafe.Pointer(unsafe.SliceData(a)), len(a))
}

// Cut appends to out what lies in bytes [from, from+n) of the spans together, or
// less at their end.
func Cut(out, spans [][]byte, from, n int) [][]byte {
	for _, m := range spans {
		if n <= 0 {
			break
		}
		if from >= len(m) {
			from -= len(m)
			continue
		}
		m = m[from:]
		from = 0
		m = m[:min(len(m), n)]
		n -= len(m)
		out = append(out, m)
	}
	return out
}

// Gather copies the spans to dst, one after another.
func Gather(dst []byte, spans [][]byte) {
	for _, m := range spans {
		dst = dst[copy(dst, m):]
	}
}
