package kernels

import "math"

var heads = []Kernel{
	{"cross_entropy", "heads", "loss@ logits@ target@ weight@ fault* first_row:i32 rows:i32 vocab:i32", 512,
		"loss[r] = -log softmax(logits[r])[target[r]]; with weight, logits[r] becomes weight[r]·(softmax(logits[r]) - onehot). " +
			"fault is one i32, 0 before; a target outside the vocabulary makes it 0x7FFFFFFF - (first_row + r) of the first such row. HeadRows."},
	{"kl_divergence", "heads", "loss@ student@ teacher@ weight@ rate_s:f32 rate_t:f32 scale:f32 rows:i32 vocab:i32", 512,
		"loss[r] = scale·KL(softmax(teacher[r]·rate_t) ‖ softmax(student[r]·rate_s)); with weight, student[r] becomes " +
			"weight[r]·scale·rate_s·(softmax(student[r]·rate_s) - softmax(teacher[r]·rate_t)). Rates are 1/temperature. HeadRows."},
}

// HeadRows launches a head over a chunk of rows, a block each.
func HeadRows(rows int) Geometry {
	return Geometry{Grid: [3]int{rows, 1, 1}, Block: [3]int{512, 1, 1}}
}

// HeadChunk is how many rows of logits fit into so many bytes, at least one,
// and the stride of a row: vocab rounded up to 8, which keeps rows on 16 bytes.
// A chunk of the cross-entropy takes rows·stride·logitSize bytes, one of the
// divergence twice that.
func HeadChunk(bytes, vocab, logitSize int, divergence bool) (rows, stride int) {
	stride = (vocab + 7) / 8 * 8
	row := stride * logitSize
	if divergence {
		row *= 2
	}
	return max(1, bytes/row), stride
}

// HeadFault gives the first row whose target is outside the vocabulary from
// what cross_entropy left in fault, or -1.
func HeadFault(fault int32) int {
	if fault == 0 {
		return -1
	}
	return math.MaxInt32 - int(fault)
}
