// Package frame holds what communicators and transports have in common: the frames
// that go between ranks, the header that says which call a frame belongs to, what
// a transport has to give, and the errors that name ranks.
package frame

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"

	"vgid/collective/reduce"
	"vgid/collective/schedule"
)

// HeaderSize is the length of an encoded Header in bytes.
const HeaderSize = 72

const (
	headerMagic   = 0x44494756 // "VGID" in little-endian order
	headerVersion = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Call is the kind of a collective operation.
type Call uint8

// Operations. The numbers go over the wire: new ones come last.
const (
	CallAllReduce Call = iota + 1
	CallBroadcast
	CallAllGather
	CallBarrier
	CallReduce
	CallReduceScatter
	CallReduceScatterV
	CallAllGatherV
	CallGather
	CallGatherV
	CallScatter
	CallScatterV
	CallAllToAll
	CallAllToAllV
	CallSplit
	CallSend
	CallRecv
	endCall
)

// LastCall is the call of the highest number.
const LastCall = endCall - 1

// Trait says what a call is like, for headers and their words.
type Trait uint8

// Traits.
const (
	Reducing Trait = 1 << iota
	FromRoot       // it has a root
	Parts          // its parts have lengths that all ranks know
	Tagged         // it is a message, with a tag
	Pairs          // its parts have lengths that only the two ends of a message know
)

var calls = [endCall]struct {
	name   string
	traits Trait
}{
	CallAllReduce:      {"all-reduce", Reducing},
	CallBroadcast:      {"broadcast", FromRoot},
	CallAllGather:      {"all-gather", 0},
	CallBarrier:        {"barrier", 0},
	CallReduce:         {"reduce", Reducing | FromRoot},
	CallReduceScatter:  {"reduce-scatter", Reducing},
	CallReduceScatterV: {"reduce-scatter-v", Reducing | Parts},
	CallAllGatherV:     {"all-gather-v", Parts},
	CallGather:         {"gather", FromRoot},
	CallGatherV:        {"gather-v", FromRoot | Pairs},
	CallScatter:        {"scatter", FromRoot},
	CallScatterV:       {"scatter-v", FromRoot | Pairs},
	CallAllToAll:       {"all-to-all", 0},
	CallAllToAllV:      {"all-to-all-v", Pairs},
	CallSplit:          {"split", 0},
	CallSend:           {"send", Tagged},
	CallRecv:           {"recv", Tagged},
}

func (c Call) Is(t Trait) bool { return c < endCall && calls[c].traits&t != 0 }

func (c Call) String() string {
	if c > 0 && c < endCall {
		return calls[c].name
	}
	return fmt.Sprintf("call(%d)", uint8(c))
}

// Header goes before the payload of every frame and says which call the frame
// belongs to and which part of it this is.
type Header struct {
	Call      Call
	Reduce    reduce.Op
	DType     reduce.DType
	Algorithm schedule.Algorithm
	Job       uint64 // hash of the job's name
	Comm      uint32
	Epoch     uint64 // generation of the set of ranks
	Seq       uint64 // number of the call within the communicator
	// Count is the elements of the whole call; where only the ends of a message
	// know how many it has, those of the message.
	Count uint64
	// Root is a rank, or the tag of a message, or where the parts of the ranks differ the checksum of their
	// lengths.
	Root   uint32
	Chunk  uint32 // number of this frame among those of the call from one rank to another
	Chunks uint32 // frames that Count elements make
	Length uint32 // payload bytes
	// AsBF16 says that the elements, F32 in memory, travel as BF16.
	AsBF16 bool
	// Hosts is a checksum of which ranks share a host, as far as the sender was told; 0 if
	// all do.
	Hosts uint32
}

// AppendTo appends the HeaderSize bytes of h: little-endian fields and a
// CRC-32C of them. Operation and element type share a byte; three bytes are spare.
func (h *Header) AppendTo(b []byte) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = le.AppendUint32(b, headerMagic)
	b = append(b, headerVersion, byte(h.Call), byte(h.Reduce)<<4|byte(h.DType)&15, byte(h.Algorithm))
	b = le.AppendUint64(b, h.Job)
	b = le.AppendUint64(b, h.Epoch)
	b = le.AppendUint64(b, h.Seq)
	b = le.AppendUint64(b, h.Count)
	b = le.AppendUint32(b, h.Comm)
	b = le.AppendUint32(b, h.Root)
	b = le.AppendUint32(b, h.Chunk)
	b = le.AppendUint32(b, h.Chunks)
	b = le.AppendUint32(b, h.Length)
	wire := uint32(0)
	if h.AsBF16 {
		wire = 1
	}
	b = le.AppendUint32(b, wire)
	b = le.AppendUint32(b, h.Hosts)
	return le.AppendUint32(b, Checksum(b[start:]))
}

// DecodeHeader reads the first HeaderSize bytes of b. It refuses anything that
// AppendTo cannot have written.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("collective: frame of %d bytes is shorter than its %d-byte header", len(b), HeaderSize)
	}
	le := binary.LittleEndian
	if m := le.Uint32(b); m != headerMagic {
		return Header{}, fmt.Errorf("collective: frame starts with %#x, not with the magic %#x", m, headerMagic)
	}
	if b[4] != headerVersion {
		return Header{}, fmt.Errorf("collective: frame of version %d, this program speaks %d: run one version on all ranks", b[4], headerVersion)
	}
	if got, want := le.Uint32(b[HeaderSize-4:]), Checksum(b[:HeaderSize-4]); got != want {
		return Header{}, fmt.Errorf("collective: frame header is damaged: checksum %#x, want %#x", got, want)
	}
	h := Header{
		Call: Call(b[5]), Reduce: reduce.Op(b[6] >> 4), DType: reduce.DType(b[6] & 15), Algorithm: schedule.Algorithm(b[7]),
		Job: le.Uint64(b[8:]), Epoch: le.Uint64(b[16:]), Seq: le.Uint64(b[24:]), Count: le.Uint64(b[32:]),
		Comm: le.Uint32(b[40:]), Root: le.Uint32(b[44:]), Chunk: le.Uint32(b[48:]), Chunks: le.Uint32(b[52:]),
		Length: le.Uint32(b[56:]), AsBF16: b[60] == 1, Hosts: le.Uint32(b[64:]),
	}
	if h.Call == 0 || h.Call >= endCall || !h.Reduce.Valid() || !h.DType.Valid() || !h.Algorithm.Valid() {
		return Header{}, fmt.Errorf("collective: frame header names %v %v %v %v, which this program does not know", h.Call, h.Reduce, h.DType, h.Algorithm)
	}
	if wire := le.Uint32(b[60:]); wire > 1 {
		return Header{}, fmt.Errorf("collective: frame header says %#x of how elements travel, which this program does not know", wire)
	}
	return h, nil
}

// SameCall reports whether two frames belong to the same call made the same
// way; which part of it they carry does not matter.
func (h *Header) SameCall(o *Header) bool { return h.Whole() == o.Whole() }

// Whole is what the headers of all frames of a call have in common.
func (h *Header) Whole() Header {
	w := *h
	w.Chunk, w.Length = 0, 0
	if w.Call.Is(Pairs) {
		w.Count, w.Chunks = 0, 0
	}
	return w
}

// String names the call in the words of an error message.
func (h Header) String() string {
	s := fmt.Sprintf("%v #%d", h.Call, h.Seq)
	if h.Call.Is(Reducing) {
		s += fmt.Sprintf(" %v", h.Reduce)
	}
	switch {
	case h.Call == CallBarrier:
	case h.Call.Is(Pairs):
		s += fmt.Sprintf(" of %v", h.DType)
	default:
		s += fmt.Sprintf(" of %d %v", h.Count, h.DType)
	}
	if h.AsBF16 {
		s += " as bf16"
	}
	if h.Call.Is(FromRoot) {
		s += fmt.Sprintf(" from root %d", h.Root)
	}
	if h.Call.Is(Tagged) {
		s += fmt.Sprintf(" with tag %d", h.Root)
	}
	if h.Call.Is(Parts) {
		s += fmt.Sprintf(" in parts of lengths with the checksum %08x", h.Root)
	}
	s += fmt.Sprintf(" (epoch %d, communicator %d, %v, %d chunks", h.Epoch, h.Comm, h.Algorithm, h.Chunks)
	if h.Hosts != 0 {
		s += fmt.Sprintf(", hosts with the checksum %08x", h.Hosts)
	}
	return s + ")"
}

func JobHash(job string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(job))
	return h.Sum64()
}

// Checksum is the CRC-32C that headers end with.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
