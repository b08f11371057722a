package frame

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"vgid/collective/reduce"
)

// FuzzDecodeHeader decodes anything, and the same with the checksum that its bytes have, or
// nothing would come beyond that.
func FuzzDecodeHeader(f *testing.F) {
	h := Header{Call: CallAllReduce, Reduce: reduce.Max, DType: reduce.I64, Job: 1, Comm: 2, Epoch: 3, Seq: 4, Count: 5, Root: 6, Chunk: 7, Chunks: 8, Length: 9, AsBF16: true, Hosts: 10}
	good := h.AppendTo(nil)
	f.Add(good)
	f.Add(good[:HeaderSize-1])
	f.Add([]byte{})
	for c := range endCall {
		h.Call = c
		f.Add(h.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		try := func(b []byte) {
			h, err := DecodeHeader(b)
			if err != nil {
				return
			}
			if again := h.AppendTo(nil); !bytes.Equal(again, b[:HeaderSize]) {
				t.Fatalf("%x decodes to %+v, which encodes to %x", b[:HeaderSize], h, again)
			}
			if whole := h.Whole(); !h.SameCall(&whole) || h.String() == "" {
				t.Fatalf("%+v is another call than the whole of it", h)
			}
		}
		try(b)
		if len(b) >= HeaderSize {
			sum := Checksum(b[:HeaderSize-4])
			try(binary.LittleEndian.AppendUint32(bytes.Clone(b[:HeaderSize-4]), sum))
		}
	})
}

// TestHeaderDamageIsFound flips every bit of a header.
func TestHeaderDamageIsFound(t *testing.T) {
	h := Header{Call: CallBroadcast, DType: reduce.F64, Job: 77, Epoch: 1, Seq: 2, Count: 1000, Chunks: 3, Length: 64, AsBF16: true, Hosts: 5}
	good := h.AppendTo(nil)
	if got, err := DecodeHeader(good); err != nil || got != h {
		t.Fatalf("%+v, %v, want %+v", got, err, h)
	}
	for bit := range HeaderSize * 8 {
		bad := slices.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := DecodeHeader(bad); err == nil {
			t.Errorf("bit %d flipped passes", bit)
		}
	}
}
