package collective

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func FuzzDecodeHeader(f *testing.F) {
	h := Header{Call: CallAllReduce, Reduce: Max, DType: TypeI64, Job: 1, Comm: 2, Epoch: 3, Seq: 4, Count: 5, Root: 6, Chunk: 7, Chunks: 8, Length: 9}
	good := h.AppendTo(nil)
	f.Add(good)
	f.Add(good[:63])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			return
		}
		if again := h.AppendTo(nil); !bytes.Equal(again, b[:HeaderSize]) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", b[:HeaderSize], h, again)
		}
		_ = h.String()
	})
}

func FuzzDecodeAbort(f *testing.F) {
	f.Add(encodeAbort(1, &MismatchError{Rank: 1, Peer: 0})[1:])
	f.Add(encodeAbort(1, &RankError{Rank: 1, Peer: 2, Err: ErrClosed})[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := decodeAbort(0, 1, 3, b); err == nil || err.Error() == "" {
			t.Fatalf("%q gives %v", b, err)
		}
	})
}

// TestHeaderDamageIsFound flips every bit of a header.
func TestHeaderDamageIsFound(t *testing.T) {
	h := Header{Call: CallBroadcast, DType: TypeF64, Job: 77, Epoch: 1, Seq: 2, Count: 1000, Chunks: 3, Length: 64}
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

// TestCombineAnyPieces cuts the source anywhere, also inside elements.
func TestCombineAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 200).Draw(t, "n")
		a, b, want := make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range n {
			a[i], b[i] = rand.Float32(), rand.Float32()
			want[i] = a[i] + b[i]
		}
		src := rawBytes(b)
		var pieces [][]byte
		for len(src) > 0 {
			k := rapid.IntRange(0, min(len(src), 150)).Draw(t, "cut")
			pieces = append(pieces, slices.Clone(src[:k]))
			src = src[k:]
		}
		combine(TypeF32, Sum, rawBytes(a), pieces)
		if !slices.Equal(a, want) {
			t.Fatalf("%v, want %v", a, want)
		}
	})
}

func TestAddKernelEqualsPlain(t *testing.T) {
	for n := range 300 {
		for off := range 3 {
			x, y := make([]float32, n+off), make([]float32, n+off)
			for i := range x {
				x[i], y[i] = rand.Float32(), rand.Float32()
			}
			p := slices.Clone(x)
			addF32Plain(p[off:], y[off:])
			addF32(x[off:], y[off:])
			if !slices.Equal(x, p) {
				t.Fatalf("n=%d off=%d differs", n, off)
			}
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	x, y := make([]float32, 4096), make([]float32, 4096)
	for name, f := range map[string]func(d, s []float32){"kernel": addF32, "plain": addF32Plain} {
		b.Run(fmt.Sprint(name), func(b *testing.B) {
			b.SetBytes(4 * 4096)
			for b.Loop() {
				f(x, y)
			}
		})
	}
}
