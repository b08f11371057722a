// Package backend is the narrow waist between the training engine and the
// machine it runs on: a Tensor is a strided view of device memory, and a
// Backend is about thirty fused operations on tensors.
//
// There are two sides to it. The engine holds a Backend, which checks every
// call; a machine is a Device, which is only asked for what fits. New puts the
// one in front of the other, so that shapes, types and ownership are checked in
// one place (checked.go), in the same words on every machine, the estimate's
// included, and a test that wants a device to fail wraps a Device.
//
// Three rules hold for every Backend, and the compliance suite in
// backend/compliance checks them:
//
//   - Operations are queued, not awaited. They may run asynchronously (a CUDA
//     stream) or at once (the CPU); only Download* and Sync wait.
//   - Operations do not return errors. As on a CUDA stream, the first failure
//     (a shape that does not fit, a lost device, no memory) sticks, later
//     operations do nothing, and Sync and Download* report it.
//   - Results do not depend on how work was split over threads: the same
//     inputs give the same bits on the same backend.
//
// Activations are packed: a batch of sequences of different lengths is one
// [tokens, width] matrix without padding, and Seqs says which rows belong to
// which sequence.
//
// Begin with Operations and Device; tensor.go has the views, philox.go what is
// random.
package backend

import "fmt"

// DType is the element type of a buffer.
type DType uint8

// Element types. A backend may keep F32 buffers in a wider type (the
// reference backend keeps float64), never in a narrower one.
const (
	F32 DType = iota
	BF16
	I32
)

// Size reports the bytes an element takes in storage and in files.
func (d DType) Size() int {
	if d == BF16 {
		return 2
	}
	return 4
}

func (d DType) String() string {
	switch d {
	case F32:
		return "f32"
	case BF16:
		return "bf16"
	case I32:
		return "i32"
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Operations are what a device computes, on a Backend and on the Device behind
// it.
//
// In the comments, T is a count of tokens (rows), and "accumulates" means
// += into the destination, everything else overwrites. Optional tensors are
// passed as the zero Tensor. Destinations never overlap sources unless the
// comment says so.
type Operations interface {
	// Upload copies host values (row-major, dense) into dst, converting to its
	// dtype. The source may be reused as soon as Upload returns.
	Upload(dst Tensor, src []float32)
	UploadInts(dst Tensor, src []int32)
	// Fill sets every element of dst to v.
	Fill(dst Tensor, v float32)
	// Copy copies src to dst of the same shape, converting the dtype.
	Copy(dst, src Tensor)
	// Add: dst = a + b. dst may be a or b.
	Add(dst, a, b Tensor)
	// Axpy: y += alpha·x.
	Axpy(y Tensor, alpha float32, x Tensor)
	// Scale: x *= alpha.
	Scale(x Tensor, alpha float32)

	// MatMul: c = alpha·op(a)·op(b) + beta·c (+ bias, a [1, n] row added to
	// every row of the result). op transposes where asked. With Beta 0 the old
	// content of c is not read. b may be BF16: a frozen weight, here and below
	// widened exactly.
	MatMul(c, a, b Tensor, p MatMul)
	// SumRows: dst [1, n] += Σ_rows src [T, n]. Gives bias gradients.
	SumRows(dst, src Tensor)

	// GatherRows: dst[i] = src[idx[i]], idx [T, 1] I32. A negative index gives
	// a zero row; one past the end is an error, here and below. Embedding
	// look-up, position look-up, response selection. src may be BF16.
	GatherRows(dst, src, idx Tensor)
	// ScatterRows: dst[idx[i]] = src[i]; negative indices are skipped. Indices
	// are distinct. Image-token merge, KV-cache append.
	ScatterRows(dst, src, idx Tensor)
	// ScatterAddRows: dst[idx[i]] += src[i]; negative indices are skipped,
	// repeated ones are summed in row order. The gradient of GatherRows.
	ScatterAddRows(dst, src, idx Tensor)

	// RMSNorm: y = x·rstd·w with rstd = 1/√(mean(x²)+eps), per row. w is
	// [1, n]; rstd [T, 1] is kept for the backward pass.
	RMSNorm(y, rstd, x, w Tensor, eps float32)
	// RMSNormBackward accumulates into dx and, when given, dw [1, n].
	RMSNormBackward(dx, dw, dy, x, w, rstd Tensor)
	// LayerNorm: y = (x-mean)·rstd·w + b, per row; stats [T, 2] keeps (mean, rstd).
	LayerNorm(y, stats, x, w, b Tensor, eps float32)
	// LayerNormBackward accumulates into dx and, when given, dw and db [1, n].
	LayerNormBackward(dx, dw, db, dy, x, w, stats Tensor)

	// Activate: y = f(x).
	Activate(y, x Tensor, f Activation)
	// ActivateBackward: dx = dy·f'(x). dx may be dy.
	ActivateBackward(dx, dy, x Tensor, f Activation)
	// SwiGLU: y = silu(gate)·up.
	SwiGLU(y, gate, up Tensor)
	// SwiGLUBackward writes dgate and dup.
	SwiGLUBackward(dgate, dup, dy, gate, up Tensor)
	// Dropout: y = x·mask/(1-p), mask drawn from Philox keyed by key and, for
	// row i, by rows[i] (I32 [T, 2]: sample, position): column c is kept when
	// Keep(Key.Block(c/4, position, sample)[c%4], p). So the mask does not
	// depend on how samples were batched. y may be x. The backward pass is the
	// same call on the gradient.
	Dropout(y, x Tensor, p float32, key Key, rows Tensor)
	// Random fills row i of dst from Philox keyed by key and sample[i]
	// (I32 [rows, 1]). See philox.go for the exact stream.
	Random(dst Tensor, dist Distribution, key Key, sample Tensor)

	// RoPE rotates, in place, each head of x [T, heads·dim] by the angles whose
	// cosines and sines are given per token, [T, dim/2]: the "rotate half"
	// convention of the Hugging Face models, pairs (i, i+dim/2). inverse rotates
	// back, which is the gradient. Per-token tables make M-RoPE a matter of
	// what the host puts in them.
	RoPE(x, cos, sin Tensor, heads int, inverse bool)

	// Attention: o = softmax(scale·q·kᵀ)·v per head and sequence, q and o
	// [Tq, heads·dim], k and v [Tk, kvHeads·dim]; head h reads KV head
	// h/(heads/kvHeads). lse [Tq, heads], the log-sum-exp of the scaled scores,
	// is optional and needed by the backward pass. A query that sees no key gets
	// a zero row and lse -Inf. Rows outside every sequence are left alone.
	Attention(o, lse, q, k, v Tensor, p Attention)
	// AttentionBackward writes dq, dk, dv, recomputing the probabilities from lse.
	AttentionBackward(dq, dk, dv, do, o, lse, q, k, v Tensor, p Attention)

	// Patchify lays out images [n, c·h·w] (planar CHW) as dst
	// [n·(h/patch)·(w/patch), c·patch·patch], patches row by row, so that a
	// non-overlapping convolution is one MatMul with its [out, c·p·p] weight.
	Patchify(dst, images Tensor, channels, height, width, patch int)

	// ArgMax: dst[i] = index of the largest element of row i (the first of
	// equals), dst [T, 1] I32; -1 where an element of the row is NaN or
	// infinite, so that no choice is ever made among broken scores.
	ArgMax(dst, src Tensor)

	// LinearCE is the language-model head and cross-entropy in one, in chunks
	// of rows so that the [T, vocab] logits never exist at once:
	//   loss[i] = -log softmax(h[i]·wᵀ)[target[i]]
	// h [T, d], w [vocab, d], target [T, 1] I32, loss [T, 1]. When given, dh
	// accumulates Σ weight[i]·∂loss[i]/∂h and dw the same for w; weight [T, 1]
	// is then required and may be negative (gradient ascent). Without dw, w may
	// be BF16.
	LinearCE(loss, dh, dw, h, w, target, weight Tensor)
	// LinearKL is the same for the forward Kullback-Leibler divergence between
	// two heads:
	//   loss[i] = scale · KL( softmax(ht[i]·wtᵀ/τt) ‖ softmax(h[i]·wᵀ/τs) )
	// Gradients flow to the student (h, w) only. wt may be w, and BF16.
	LinearKL(loss, dh, dw, h, w, ht, wt, weight Tensor, p KL)

	// SumSquares: dst[0] += Σ x². dst is [1, 1].
	SumSquares(dst, x Tensor)
	// AdamW updates p and the moments m, v from gradient g (Loshchilov &
	// Hutter 2019). When normSq [1, 1] is given and ClipNorm > 0, g is scaled by
	// min(1, ClipNorm/√normSq) first, on the device; g itself is not changed.
	AdamW(p, g, m, v, normSq Tensor, h AdamW)
}

// Backend runs the operations of one device, and checks each before it does: an
// argument that does not fit sticks as an error that names the operation and
// every tensor of it. It is used by one goroutine at a time; the device may use
// several threads inside. New makes one.
type Backend interface {
	Operations

	// Name identifies the device in logs and reports, e.g. "cpu(avx2, 2 threads)".
	Name() string
	// Traits are what the device can do; they never change.
	Traits() Traits
	// Device is what does the work, for what only one kind of device has. Work
	// that is given to it directly is not checked.
	Device() Device

	// Alloc returns a zeroed buffer of n elements.
	Alloc(dt DType, n int) (Buffer, error)
	// Free gives a buffer back; views of it are invalid from now on.
	Free(b Buffer)
	// Download waits for the queue and copies src into dst (row-major, dense).
	Download(dst []float32, src Tensor) error
	DownloadInts(dst []int32, src Tensor) error
	// Sync waits for every queued operation and returns the sticky error.
	Sync() error
	// Close releases threads and device memory. What is used after it sticks as
	// an error; a second Close does nothing.
	Close() error

	// Adopt makes a buffer of the little-endian elements of dt in memory that
	// exists already, such as a mapped file, so that frozen weights need no copy.
	// It must stay mapped until the buffer is freed. Operations read it; one that
	// would write to it fails. It refuses memory that is not aligned to the
	// element. An error unless Traits.Adopts.
	Adopt(dt DType, b []byte) (Buffer, error)
	// NewHostCopy makes a twin of a dense F32 tensor in host memory. Its content
	// is arbitrary until the first Fetch. An error unless Traits.Overlaps.
	NewHostCopy(t Tensor) (HostCopy, error)
	// Host is the memory of a dense F32 tensor, where the host reads and writes it in
	// place; else nil. Operations that were queued before it are over.
	Host(t Tensor) []float32
	// FreeBytes is the memory that new buffers can take now; an error where that
	// is not known.
	FreeBytes() (int64, error)

	// For says what buffers allocated from now on are for, and returns what was
	// said before; see the function For.
	For(p Purpose) Purpose
	// Memory is what is held now, by what it is for, and Peak what was held when
	// most was: nothing unless Traits.Accounts.
	Memory() MemoryUse
	Peak() MemoryUse
}

// MatMul holds the options of Operations.MatMul.
type MatMul struct {
	TransA, TransB bool
	Alpha, Beta    float32
	Bias           Tensor // optional, [1, n]
}

// Activation names an element-wise function.
type Activation uint8

// The activations of the supported families.
const (
	GELU      Activation = iota // x·Φ(x), exact (erf)
	GELUTanh                    // the tanh approximation
	QuickGELU                   // x·σ(1.702x), CLIP
	SiLU                        // x·σ(x)
)

func (a Activation) String() string {
	return [...]string{"gelu", "gelu_tanh", "quick_gelu", "silu"}[a]
}

// Attention holds the options of Operations.Attention.
type Attention struct {
	Q, KV                   Seqs // the same number of sequences
	Heads, KVHeads, HeadDim int
	Scale                   float32
	// Causal lets query j of a sequence with lq queries and lk keys see keys
	// 0 … lk-lq+j, so one rule covers training (lq = lk) and decoding (lq = 1).
	Causal bool
}

// KL holds the options of Operations.LinearKL.
type KL struct {
	TeacherTemp, StudentTemp float32 // τt, τs; 0 means 1
	Scale                    float32 // 0 means 1; τ² keeps gradients comparable over τ
}

// AdamW holds the hyper-parameters of one update. Step counts from 1.
type AdamW struct {
	LR, Beta1, Beta2, Eps, WeightDecay float32
	ClipNorm                           float32
	Step                               int
}
