// Package reduce is the arithmetic of the collectives: the element types, the
// operations that make one element of several, and the loops that apply them to
// memory as it was received. Nothing here knows of ranks or messages.
//
// What a reduction means:
//   - Integers wrap, as in Go and in C's unsigned types; Avg divides the wrapped
//     sum and rounds towards zero.
//   - Floats follow IEEE 754, rounding to nearest, ties to even. Min and Max give
//     NaN where any rank has NaN, and -0 counts as less than +0.
//   - BF16 and F16 are widened to float32, combined there, and rounded to the type
//     after every combination, so that a partial result is as wide on the wire as
//     the input. With u = 2⁻⁸ for BF16 and 2⁻¹¹ for F16 (half a unit in the last
//     place, relative) a sum over n ranks errs by at most ((1+u)ⁿ⁻¹ - 1)·Σ|xᵢ|, as
//     long as nothing overflows or is subnormal; Avg adds one rounding more.
//
// Which ranks are combined in which order is decided by who calls; for floats it
// decides the last bits.
package reduce

import "fmt"

// Op is how elements of several ranks become one.
type Op uint8

// Reductions. Avg is Sum divided by the number of ranks. The numbers go over the
// wire: new ones come last.
const (
	Sum Op = iota
	Avg
	Min
	Max
	Prod
	endOp
)

// Valid reports whether this program knows the operation.
func (o Op) Valid() bool { return o < endOp }

func (o Op) String() string {
	if o.Valid() {
		return [...]string{"sum", "avg", "min", "max", "prod"}[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// DType is the type of an element.
type DType uint8

// Element types. Bytes are moved but not reduced, whatever they stand for; U8 are
// numbers. The numbers of the types go over the wire: new ones come last.
const (
	F32 DType = iota
	F64
	I64
	Bytes
	BF16 // the upper half of a float32
	F16  // IEEE 754 binary16
	I32
	U8
	endDType
)

var types = [endDType]struct {
	name string
	size int
}{F32: {"f32", 4}, F64: {"f64", 8}, I64: {"i64", 8}, Bytes: {"bytes", 1}, BF16: {"bf16", 2}, F16: {"f16", 2}, I32: {"i32", 4}, U8: {"u8", 1}}

// Valid reports whether this program knows the type.
func (d DType) Valid() bool { return d < endDType }

// Reducible reports whether elements of the type can be combined.
func (d DType) Reducible() bool { return d.Valid() && d != Bytes }

// Size is the bytes of one element, 1 for a type that is not known.
func (d DType) Size() int {
	if d.Valid() {
		return types[d].size
	}
	return 1
}

func (d DType) String() string {
	if d.Valid() {
		return types[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}
