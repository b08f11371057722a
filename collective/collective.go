// Package collective lets the worker processes of a job compute together: the
// collective operations of MPI among a fixed set of ranks.
//
// Every rank makes the same calls in the same order. Every frame on the wire
// says which call it belongs to (job, communicator, epoch, sequence number,
// operation, element type, count, root), so ranks that disagree get a
// *MismatchError naming both sides instead of wrong sums or a hang. A call
// that cannot end because a peer died, froze or gave up returns a *RankError.
// Either error ends the communicator on every rank: the first cause is told to
// all peers, and later calls return it at once.
//
// Begin reading at Comm, which says what must always hold and of which parts it
// is put together; then allreduce.go, which is how every operation is made: a
// plan of package schedule, which a pass executes on memory, with the arithmetic
// of package reduce.
// Transport is all that a network has to give: package mem has one in memory,
// for tests, and package wire one over gRPC.
package collective

import (
	"unsafe"

	"vgid/collective/frame"
	"vgid/collective/internal/watch"
	"vgid/collective/reduce"
)

// Op is how elements of several ranks become one; package reduce says what it
// means for each type.
type Op = reduce.Op

// Reductions.
const (
	Sum  = reduce.Sum
	Avg  = reduce.Avg // Sum divided by the number of ranks, for integers rounded towards zero
	Min  = reduce.Min // NaN where a rank has NaN, as Max
	Max  = reduce.Max
	Prod = reduce.Prod
)

// DType is the element type of a Buf.
type DType = reduce.DType

// Element types.
const (
	TypeF32   = reduce.F32
	TypeF64   = reduce.F64
	TypeBF16  = reduce.BF16
	TypeF16   = reduce.F16
	TypeI32   = reduce.I32
	TypeI64   = reduce.I64
	TypeU8    = reduce.U8
	TypeBytes = reduce.Bytes // cannot be reduced
)

// What callers have to name of package frame, which holds what communicators and
// transports have in common.
type (
	Transport     = frame.Transport
	Header        = frame.Header
	Call          = frame.Call
	RankError     = frame.RankError
	MismatchError = frame.MismatchError
)

// Kinds of calls.
const (
	CallAllReduce      = frame.CallAllReduce
	CallBroadcast      = frame.CallBroadcast
	CallAllGather      = frame.CallAllGather
	CallBarrier        = frame.CallBarrier
	CallReduce         = frame.CallReduce
	CallReduceScatter  = frame.CallReduceScatter
	CallReduceScatterV = frame.CallReduceScatterV
	CallAllGatherV     = frame.CallAllGatherV
	CallGather         = frame.CallGather
	CallGatherV        = frame.CallGatherV
	CallScatter        = frame.CallScatter
	CallScatterV       = frame.CallScatterV
	CallAllToAll       = frame.CallAllToAll
	CallAllToAllV      = frame.CallAllToAllV
	CallSplit          = frame.CallSplit
	CallSend           = frame.CallSend
	CallRecv           = frame.CallRecv
)

// ErrClosed is the cause of calls on a closed communicator.
var ErrClosed = frame.ErrClosed

// Late and Slow are what Options.OnLate and OnSlow are told.
type (
	Late = watch.Late
	Slow = watch.Slow
)

// Buf is a view of the caller's memory. The caller neither reads nor writes
// that memory while an operation on it runs. After a failed operation its
// content is unspecified.
type Buf struct {
	dtype DType
	raw   []byte // whole elements, aligned for the type
}

// F32 views float32 values.
func F32(v []float32) Buf { return Buf{TypeF32, rawBytes(v)} }

// F64 views float64 values.
func F64(v []float64) Buf { return Buf{TypeF64, rawBytes(v)} }

// BF16 views the bits of bfloat16 values.
func BF16(v []uint16) Buf { return Buf{TypeBF16, rawBytes(v)} }

// F16 views the bits of IEEE 754 binary16 values.
func F16(v []uint16) Buf { return Buf{TypeF16, rawBytes(v)} }

// I32 views int32 values.
func I32(v []int32) Buf { return Buf{TypeI32, rawBytes(v)} }

// I64 views int64 values.
func I64(v []int64) Buf { return Buf{TypeI64, rawBytes(v)} }

// U8 views uint8 values, numbers that can be reduced.
func U8(v []uint8) Buf { return Buf{TypeU8, v} }

// Bytes views bytes, which can be moved but not reduced.
func Bytes(v []byte) Buf { return Buf{TypeBytes, v} }

// Raw views memory as elements of a type. It holds whole elements and is aligned
// for them.
func Raw(t DType, v []byte) Buf { return Buf{t, v} }

// DType is the element type.
func (b Buf) DType() DType { return b.dtype }

// Len is the number of elements.
func (b Buf) Len() int { return len(b.raw) / b.dtype.Size() }

// elements is the part [lo, hi), counted in elements.
func (b Buf) elements(lo, hi int) []byte {
	size := b.dtype.Size()
	return b.raw[lo*size : hi*size]
}

func rawBytes[T float32 | float64 | int32 | int64 | uint16](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(v[0])))
}
