package collbench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"vgid/collective"
)

// period is after how many elements the values that go in, and so their sums, repeat.
const period = 7

// value is element i of what a rank puts in. Ranks that stand for each other, and elements that were moved to
// another place, show; and sums of up to exactRanks ranks are exact in every type.
func value(rank, i int) int { return (3*(i%period) + 5*rank + 1) % period }

// exactRanks is for how many ranks every sum is exact: bfloat16 holds all whole numbers up
// to 256.
const exactRanks = 256 / (period - 1)

// of is element i of what the ranks put in: one of them, or the sum of all n.
func of(from, n, i int) int {
	if from != all {
		return value(from, i)
	}
	sum := 0
	for r := range n {
		sum += value(r, i)
	}
	return sum
}

// appendElement adds a small whole number as an element.
func appendElement(b []byte, t collective.DType, v int) []byte {
	le := binary.LittleEndian
	switch t {
	case collective.TypeF32:
		return le.AppendUint32(b, math.Float32bits(float32(v)))
	case collective.TypeF64:
		return le.AppendUint64(b, math.Float64bits(float64(v)))
	case collective.TypeBF16: // the upper half of a float32; the lower one is zero up to 256
		return le.AppendUint16(b, uint16(math.Float32bits(float32(v))>>16))
	case collective.TypeF16: // 5 bits of exponent and 10 of fraction where float32 has 8 and 23
		if v == 0 {
			return le.AppendUint16(b, 0)
		}
		return le.AppendUint16(b, uint16(math.Float32bits(float32(v))>>13-(127-15)<<10))
	case collective.TypeI32:
		return le.AppendUint32(b, uint32(v))
	case collective.TypeI64:
		return le.AppendUint64(b, uint64(v))
	}
	return append(b, byte(v))
}

// fill writes into a buffer what the ranks put in, from an element on.
func fill(b []byte, t collective.DType, from, n, start int) {
	var pattern []byte
	for i := range period {
		pattern = appendElement(pattern, t, of(from, n, start+i))
	}
	for done := copy(b, pattern); done < len(b); done *= 2 {
		copy(b[done:], b[:done])
	}
}

// check compares what came out with what had to.
func check(b []byte, t collective.DType, want []piece, n int) error {
	size := t.Size()
	block := make([]byte, period*1024*size)
	at := 0 // elements
	for _, p := range want {
		fill(block, t, p.from, n, p.start)
		for left := p.count * size; left > 0; {
			due := block[:min(left, len(block))]
			got := b[at*size:][:len(due)]
			if !bytes.Equal(got, due) {
				i := 0
				for bytes.Equal(got[i*size:][:size], due[i*size:][:size]) {
					i++
				}
				return fmt.Errorf("element %d is %#x, want %#x, as %v in little-endian order", at+i, got[i*size:][:size], due[i*size:][:size], t)
			}
			at, left = at+len(due)/size, left-len(due)
		}
	}
	return nil
}
