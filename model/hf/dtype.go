package hf

import (
	"encoding/binary"
	"math"
)

// dtypeBits gives the bits of an element of every dtype of the format, as
// safetensors 0.8.0 reads it; those without a case in convertF32 are readable
// through Raw only.
var dtypeBits = map[string]int64{
	"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
	"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
	"I16": 16, "U16": 16, "F16": 16, "BF16": 16,
	"I32": 32, "U32": 32, "F32": 32,
	"C64": 64, "F64": 64, "I64": 64, "U64": 64,
}

// elementBytes is the size of an element of a dtype of whole bytes.
// Types of less than a byte give 0: none of them is converted.
func elementBytes(dtype string) int64 { return dtypeBits[dtype] / 8 }

// F16ToF32 widens an IEEE 754 half; the conversion is exact.
// A product instead of a loop over leading zeros: subnormals cost no more than others.
func F16ToF32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	mag := uint32(h & 0x7fff)
	if mag >= 0x7c00 { // infinity and NaN keep their payload
		return math.Float32frombits(sign | 0x7f800000 | (mag&0x3ff)<<13)
	}
	// Shifted into place the exponent is 112 too small; the product with 2^112
	// corrects it and normalises subnormal halves at the same time.
	f := math.Float32frombits(mag<<13) * math.Float32frombits((112+127)<<23)
	return math.Float32frombits(sign | math.Float32bits(f))
}

// F32ToF16 rounds to the nearest half, ties to even; values beyond the range
// become infinities and NaN stays NaN.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN: its upper bits, and one that keeps it from being infinite
		return sign | 0x7e00 | uint16(b>>13)&0x3ff
	case b >= 0x47800000: // 65536 and above
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: subnormal
		// One ulp of 0.5 is 2^-24, the smallest half: the addition rounds for us.
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
	}
	b += 0xfff + b>>13&1 // half of what is cut off, less one bit unless the rest is odd
	return sign | uint16((b-112<<23)>>13)
}

// BF16ToF32 widens a bfloat16; the conversion is exact.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 rounds to the nearest bfloat16, ties to even; NaN stays NaN.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40 // or the bits that say NaN might all be cut off
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// convertF32 decodes little-endian elements of dtype from src into dst, whose
// length fixes the count. It reports whether dtype can be converted.
// I64, I32 and F64 are rounded to float32 where they do not fit.
func convertF32(dst []float32, src []byte, dtype string) bool {
	le := binary.LittleEndian
	src = src[:int64(len(dst))*elementBytes(dtype)]
	switch dtype {
	case "F32":
		for i := range dst {
			dst[i] = math.Float32frombits(le.Uint32(src[4*i:]))
		}
	case "F16":
		for i := range dst {
			dst[i] = F16ToF32(le.Uint16(src[2*i:]))
		}
	case "BF16":
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(le.Uint16(src[2*i:])) << 16)
		}
	case "F64":
		for i := range dst {
			dst[i] = float32(math.Float64frombits(le.Uint64(src[8*i:])))
		}
	case "I64":
		for i := range dst {
			dst[i] = float32(int64(le.Uint64(src[8*i:])))
		}
	case "I32":
		for i := range dst {
			dst[i] = float32(int32(le.Uint32(src[4*i:])))
		}
	case "U8", "BOOL":
		for i := range dst {
			dst[i] = float32(src[i])
		}
	default:
		return false
	}
	return true
}

// encodeF32 writes src as little-endian dtype (F32, F16 or BF16) into dst.
// Other types are refused before (checkStreams); dst has room for all of src.
func encodeF32(dst []byte, src []float32, dtype string) {
	le := binary.LittleEndian
	switch dtype {
	case "F32":
		for i, v := range src {
			le.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case "F16":
		for i, v := range src {
			le.PutUint16(dst[2*i:], F32ToF16(v))
		}
	case "BF16":
		for i, v := range src {
			le.PutUint16(dst[2*i:], F32ToBF16(v))
		}
	}
}
