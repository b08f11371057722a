package compliance

import (
	"fmt"
	"math"

	"vgid/model/backend"
)

// Rotations are checked both ways, as backward passes turn by the inverse.
var attention = []one{
	{"rope", func(s *suite) {
		// x is [rows, heads·dim]. The angles are the caller's, [rows, dim/2]: any numbers must do,
		// also such as are no cosine and sine of one angle.
		for _, z := range []struct{ rows, heads, dim int }{{0, 2, 8}, {1, 1, 2}, {5, 3, 6}, {17, 4, 32}, {40, 2, 64}, {9, 1, 80}} {
			x := s.floats(z.rows, z.heads*z.dim, s.normal)
			cos := s.floats(z.rows, z.dim/2, func() float64 { return 2*s.uniform() - 1 })
			sin := s.floats(z.rows, z.dim/2, func() float64 { return 2*s.uniform() - 1 })
			for _, inverse := range []bool{false, true} {
				// Operations in place are played on what the one before left, on the reference as on the device.
				what := fmt.Sprintf("%+v inverse=%v", z, inverse)
				s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
					be.RoPE(at(x), at(cos), at(sin), z.heads, inverse)
				})
				s.same("rope", what, x)
			}
			s.finish(fmt.Sprintf("rope %+v", z))
		}
	}},
	{"attention", func(s *suite) {
		// Every shape both ways: vision towers and decoders share the kernels.
		for _, z := range attentionShapes {
			for _, causal := range []bool{false, true} {
				s.attend(z, causal, 1)
			}
		}
	}},
	{"attention with large scores", func(s *suite) {
		// Scores in the hundreds: only softmax after subtracting the maximum lives.
		s.attend(attentionShape{2, 1, 16, []int32{9, 5}, []int32{9, 5}}, true, 8)
	}},
}

// kvHeads divides heads (grouped-query attention); lq and lk are the lengths of the sequences of
// a batch.
// Queries are [Σlq, heads·dim], keys and values [Σlk, kvHeads·dim].
type attentionShape struct {
	heads, kvHeads, dim int
	lq, lk              []int32
}

// attentionShapes have head sizes that are no multiple of a vector register (1, 5, 80), and lengths
// below, at and above the tiles of the kernels (33, 70, 130).
var attentionShapes = []attentionShape{
	{1, 1, 1, []int32{1}, []int32{1}},
	{4, 4, 32, []int32{17}, []int32{17}},
	{4, 2, 8, []int32{5, 9, 1, 3}, []int32{5, 9, 1, 3}},
	{6, 1, 16, []int32{7, 4}, []int32{7, 4}},
	{1, 1, 80, []int32{6}, []int32{6}},
	{4, 2, 32, []int32{1, 1, 1}, []int32{12, 1, 40}}, // decoding
	{2, 2, 5, []int32{3, 2}, []int32{10, 2}},         // lk > lq
	{2, 1, 8, []int32{6, 3}, []int32{2, 3}},          // lq > lk: the first queries see nothing when causal
	{2, 2, 16, []int32{4, 0, 5}, []int32{4, 0, 5}},   // an empty sequence
	{2, 2, 8, []int32{0, 2}, []int32{3, 2}},          // keys nobody asks for
	{2, 2, 8, []int32{3, 2}, []int32{0, 2}},          // queries with nothing to see
	{2, 2, 8, nil, nil},
	{2, 2, 24, []int32{33, 70}, []int32{33, 70}},
	{2, 1, 64, []int32{130}, []int32{130}},
}

// pack puts sequences one after the other with rows of nobody between them,
// and says how many rows that takes.
// Packed batches of the program have no such rows; the interface allows them, and a kernel that
// reads to the next sequence's start instead of its own length is found by them.
func (s *suite) pack(lengths []int32) (backend.Seqs, int) {
	seqs := backend.Seqs{Len: lengths, Start: make([]int32, len(lengths))}
	rows := int32(s.rng.IntN(3))
	for i, n := range lengths {
		seqs.Start[i] = rows
		rows += n + int32(s.rng.IntN(3))
	}
	return seqs, int(rows)
}

// owned draws a matrix of the given width whose rows outside every sequence
// are NaN: they must not reach a result, not even times 0.
func owned(seqs backend.Seqs, width int, draw func() float64) func() float64 {
	drawn := 0
	return func() float64 {
		row := int32(drawn / width)
		drawn++
		for i, from := range seqs.Start {
			// twins draw in row-major order, from which the row is counted.
			if from <= row && row < from+seqs.Len[i] {
				return draw()
			}
		}
		return math.NaN()
	}
}

// onDevice gives the sequences their own copy on a backend.
// Kernels of a GPU read starts and lengths there; the CPU reads the host's.
func (s *suite) onDevice(be backend.Backend, seqs backend.Seqs) backend.Seqs {
	host := make([]int32, 0, 2*seqs.N())
	for i := range seqs.Start {
		host = append(host, seqs.Start[i], seqs.Len[i])
	}
	// [sequences, 2]: start and length. A buffer has an element at least, since devices may not
	// allocate none.
	seqs.Dev = backend.View(s.alloc(be, backend.I32, max(1, len(host))), 0, seqs.N(), 2)
	be.UploadInts(seqs.Dev, host)
	return seqs
}

// attend checks forward and backward of one shape. Forward runs twice, with and without the
// log-sum-exps, which are optional. Larger magnitudes have a tolerance of their own.
func (s *suite) attend(z attentionShape, causal bool, magnitude float64) {
	draw := func() float64 { return magnitude * s.normal() }
	qSeqs, qRows := s.pack(z.lq)
	kSeqs, kRows := s.pack(z.lk)
	qw, kw := z.heads*z.dim, z.kvHeads*z.dim
	// Outputs begin as NaN in all rows. Those of no sequence must keep it, which finish holds
	// against what was uploaded.
	q := s.floats(qRows, qw, owned(qSeqs, qw, draw))
	// k and v are columns of one matrix, as a fused projection leaves them.
	kv := s.floats(kRows, 2*kw, owned(kSeqs, 2*kw, draw))
	k, v := kv.cols(0, kw), kv.cols(kw, 2*kw)
	o, lse, bare := s.floats(qRows, qw, junk), s.floats(qRows, z.heads, junk), s.floats(qRows, qw, junk)
	do, dq := s.floats(qRows, qw, owned(qSeqs, qw, s.normal)), s.floats(qRows, qw, junk)
	dkv := s.floats(kRows, 2*kw, junk)
	dk, dv := dkv.cols(0, kw), dkv.cols(kw, 2*kw)
	p := backend.Attention{Heads: z.heads, KVHeads: z.kvHeads, HeadDim: z.dim, Causal: causal,
		Scale: float32(1 / math.Sqrt(float64(z.dim)))}
	what := fmt.Sprintf("%+v causal=%v", z, causal)
	s.call(func(be backend.Backend, at func(*twin) backend.Tensor) {
		p.Q, p.KV = s.onDevice(be, qSeqs), s.onDevice(be, kSeqs)
		be.Attention(at(o), at(lse), at(q), at(k), at(v), p)
		be.Attention(at(bare), backend.Tensor{}, at(q), at(k), at(v), p)
		be.AttentionBackward(at(dq), at(dk), at(dv), at(do), at(o), at(lse), at(q), at(k), at(v), p)
		be.Free(p.Q.Dev.Buf)
		be.Free(p.KV.Dev.Buf)
	})
	s.same("attention", what, o, lse, bare)
	op := "attention_backward"
	if magnitude > 1 {
		op = "attention_backward_large"
	}
	s.same(op, what, dq, dkv)
	s.finish(what)
}
