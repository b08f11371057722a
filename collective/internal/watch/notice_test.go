package watch

import (
	"testing"

	"vgid/collective/frame"
)

func FuzzDecodeAbort(f *testing.F) {
	f.Add(encodeAbort(1, &frame.MismatchError{Rank: 1, Peer: 0})[1:])
	f.Add(encodeAbort(1, &frame.RankError{Rank: 1, Peer: 2, Err: frame.ErrClosed})[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := decodeAbort(0, 1, 3, b); err == nil || err.Error() == "" {
			t.Fatalf("%q gives %v", b, err)
		}
	})
}
