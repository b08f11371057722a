package spans

import (
	"bytes"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// drawn is random memory in several places, and as one.
func drawn(t *rapid.T) (spans [][]byte, one []byte) {
	next := byte(0)
	for range rapid.IntRange(0, 5).Draw(t, "spans") {
		m := make([]byte, rapid.IntRange(0, 9).Draw(t, "length"))
		for i := range m {
			m[i], next = next, next+1
		}
		spans, one = append(spans, m), append(one, m...)
	}
	return spans, one
}

func TestPartsOfSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans, one := drawn(t)
		from, n := rapid.IntRange(0, 60).Draw(t, "from"), rapid.IntRange(0, 60).Draw(t, "n")
		lo := min(from, len(one))
		hi := min(lo+n, len(one))
		if got := slices.Concat(Cut(nil, spans, from, n)...); !bytes.Equal(got, one[lo:hi]) {
			t.Fatalf("%v cut at %d for %d gives %v", spans, from, n, got)
		}
		all := make([]byte, Total(spans))
		Gather(all, spans)
		if !bytes.Equal(all, one) {
			t.Fatalf("%v gathered gives %v", spans, all)
		}
	})
}

// Spans that lie beside each other are one; others are not, even if they do by
// chance.
func TestAppendJoinsNeighbours(t *testing.T) {
	b := []byte("abcdefgh")
	got := Append(Append(Append(Append(nil, b[0:2]), b[2:2]), b[2:5]), b[6:8])
	if len(got) != 2 || string(got[0]) != "abcde" || string(got[1]) != "gh" {
		t.Errorf("%q", got)
	}
	got[0][4] = 'x'
	if string(b) != "abcdxfgh" {
		t.Errorf("the joined span is other memory: %q", b)
	}
	if got := Append([][]byte{b[0:2:2]}, b[2:4]); len(got) != 2 {
		t.Errorf("a span that ends its allocation was made longer: %q", got)
	}
}

func TestScratchGivesNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Scratch
		for range 3 {
			var given [][]byte
			for range rapid.IntRange(0, 12).Draw(t, "times") {
				b := s.Take(rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5000), rapid.IntRange(0, kept)).Draw(t, "n"))
				if len(b) > 0 && uintptr(unsafe.Pointer(&b[0]))%8 != 0 {
					t.Fatalf("%d bytes are not aligned", len(b))
				}
				for i := range b {
					b[i] = byte(len(given) + 1)
				}
				given = append(given, b)
			}
			for k, b := range given {
				if bytes.Count(b, []byte{byte(k + 1)}) != len(b) {
					t.Fatalf("memory %d was given again", k)
				}
			}
			s.Reset()
		}
	})
}

// What a call needs each time, short or long, is there without allocating.
func TestScratchIsKept(t *testing.T) {
	var s Scratch
	if n := testing.AllocsPerRun(20, func() {
		for range 10 {
			s.Take(3000)
		}
		s.Reset()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
