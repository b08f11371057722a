package collective

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"
)

// HeaderSize is the length of an encoded Header in bytes.
const HeaderSize = 64

const (
	headerMagic   = 0x44494756 // "VGID" in little-endian order
	headerVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header goes before the payload of every frame and says which call the frame
// belongs to and which part of it this is.
type Header struct {
	Call   Call
	Reduce Op
	DType  DType
	Job    uint64 // hash of the job's name
	Comm   uint32
	Epoch  uint64 // generation of the set of ranks
	Seq    uint64 // number of the call within the communicator
	Count  uint64 // elements of the whole call
	Root   uint32
	Chunk  uint32 // index of this frame within the call, per direction
	Chunks uint32 // frames of the call, per direction
	Length uint32 // payload bytes
}

// AppendTo appends the HeaderSize bytes of h: little-endian fields and a
// CRC-32C of them.
func (h *Header) AppendTo(b []byte) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = le.AppendUint32(b, headerMagic)
	b = append(b, headerVersion, byte(h.Call), byte(h.Reduce), byte(h.DType))
	b = le.AppendUint64(b, h.Job)
	b = le.AppendUint64(b, h.Epoch)
	b = le.AppendUint64(b, h.Seq)
	b = le.AppendUint64(b, h.Count)
	b = le.AppendUint32(b, h.Comm)
	b = le.AppendUint32(b, h.Root)
	b = le.AppendUint32(b, h.Chunk)
	b = le.AppendUint32(b, h.Chunks)
	b = le.AppendUint32(b, h.Length)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
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
	if got, want := le.Uint32(b[HeaderSize-4:]), crc32.Checksum(b[:HeaderSize-4], castagnoli); got != want {
		return Header{}, fmt.Errorf("collective: frame header is damaged: checksum %#x, want %#x", got, want)
	}
	h := Header{
		Call: Call(b[5]), Reduce: Op(b[6]), DType: DType(b[7]),
		Job: le.Uint64(b[8:]), Epoch: le.Uint64(b[16:]), Seq: le.Uint64(b[24:]), Count: le.Uint64(b[32:]),
		Comm: le.Uint32(b[40:]), Root: le.Uint32(b[44:]), Chunk: le.Uint32(b[48:]), Chunks: le.Uint32(b[52:]),
		Length: le.Uint32(b[56:]),
	}
	if h.Call == 0 || h.Call >= endCall || !h.Reduce.Valid() || !h.DType.Valid() {
		return Header{}, fmt.Errorf("collective: frame header names %v %v %v, which this program does not know", h.Call, h.Reduce, h.DType)
	}
	return h, nil
}

// sameCall reports whether two frames belong to the same call made the same
// way; which part of it they carry does not matter.
func (h *Header) sameCall(o *Header) bool {
	a, b := *h, *o
	a.Chunk, a.Length = b.Chunk, b.Length
	return a == b
}

// String names the call in the words of an error message.
func (h Header) String() string {
	s := fmt.Sprintf("%v #%d", h.Call, h.Seq)
	switch h.Call {
	case CallAllReduce:
		s += fmt.Sprintf(" %v of %d %v", h.Reduce, h.Count, h.DType)
	case CallBroadcast:
		s += fmt.Sprintf(" of %d %v from root %d", h.Count, h.DType, h.Root)
	case CallAllGather:
		s += fmt.Sprintf(" of %d %v", h.Count, h.DType)
	}
	return s + fmt.Sprintf(" (epoch %d, communicator %d, %d chunks)", h.Epoch, h.Comm, h.Chunks)
}

func hashJob(job string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(job))
	return h.Sum64()
}
