package hf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A float is NaN or infinite when all bits of its exponent are set. These are
// the exponents of the elements in a word of eight bytes, and one unit of each.
var exponents = map[string]struct {
	size      int
	mask, one uint64
}{
	"F32":  {4, 0x7f800000_7f800000, 0x00800000_00800000},
	"BF16": {2, 0x7f807f80_7f807f80, 0x00800080_00800080},
	"F16":  {2, 0x7c007c00_7c007c00, 0x04000400_04000400},
}

// NotFinite counts the elements of stored bytes that are NaN or infinite; 0 for
// dtypes other than F32, BF16 and F16. It runs at about the memory's speed.
// A word of eight bytes is tested as a whole, and looked at element by element only if the test
// says that one of them is not finite.
func NotFinite(raw []byte, dtype string) int {
	x, ok := exponents[dtype]
	if !ok {
		return 0
	}
	count := 0
	each := func(raw []byte) {
		for ; len(raw) >= x.size; raw = raw[x.size:] {
			var e uint64
			if x.size == 4 {
				e = uint64(binary.LittleEndian.Uint32(raw)) & x.mask & 0xffffffff
			} else {
				e = uint64(binary.LittleEndian.Uint16(raw)) & x.mask & 0xffff
			}
			if e == x.mask>>(64-8*x.size) {
				count++
			}
		}
	}
	// One unit more carries into the sign's place where all bits are set.
	signs := (x.mask + x.one) &^ x.mask
	for ; len(raw) >= 8; raw = raw[8:] {
		if w := binary.LittleEndian.Uint64(raw); (w&x.mask+x.one)&signs != 0 {
			each(raw[:8])
		}
	}
	each(raw)
	return count
}

// unfit counts the values that are NaN or infinite, and those that only become
// infinite when they are rounded to dtype; largest is the largest of those.
// v - v is 0 for every finite number, and NaN for all else. 65520 is halfway between the largest
// half and 65536.
func unfit(values []float32, dtype string) (broken, over int, largest float32) {
	for _, v := range values {
		if v-v != 0 {
			broken++
			continue
		}
		a := float32(math.Abs(float64(v)))
		if dtype == "F16" && a >= 65520 || dtype == "BF16" && a >= maxBF16 {
			over++
			largest = max(largest, a)
		}
	}
	return broken, over, largest
}

// maxBF16 is the first value that rounds to an infinite bfloat16, halfway
// between the largest one and 2^128.
var maxBF16 = math.Float32frombits(0x7f7f8000)

// CheckBF16 refuses values of a tensor that become infinite when they are
// rounded to bfloat16.
func CheckBF16(tensor string, values []float32) error {
	if _, over, largest := unfit(values, "BF16"); over > 0 {
		return fmt.Errorf("tensor %q: %d values overflow bfloat16 (the largest is %.6g); keep the weights as float32", tensor, over, largest)
	}
	return nil
}

// fitness collects what is unfit of one tensor.
type fitness struct {
	broken, over int
	largest      float32
}

// add looks at more values of the tensor.
func (f *fitness) add(values []float32, dtype string) {
	b, o, l := unfit(values, dtype)
	f.broken, f.over, f.largest = f.broken+b, f.over+o, max(f.largest, l)
}

// UnfitError refuses a tensor that holds what is not finite, or does once it is
// rounded to the type it is to be written in.
type UnfitError struct{ what string }

func (e *UnfitError) Error() string { return e.what }

// err is an UnfitError, or nil for a tensor that can be written.
func (f *fitness) err(t TensorInfo) error {
	switch names := map[string]string{"F16": "float16", "BF16": "bfloat16"}; {
	case f.broken > 0:
		return &UnfitError{fmt.Sprintf("%d of %d values are not finite (NaN/Inf): nothing is written; take weights from before they diverged or overflowed", f.broken, t.Elements())}
	case f.over > 0:
		wider := "bfloat16 or float32"
		if t.DType == "BF16" {
			wider = "float32"
		}
		return &UnfitError{fmt.Sprintf("%d of %d values overflow %s (the largest is %.4g): nothing is written; choose %s", f.over, t.Elements(), names[t.DType], f.largest, wider)}
	}
	return nil
}
