package cuda

import "fmt"

// Precision is how far what passes through a device may be rounded. Weights
// that are trained, their gradients and moments, statistics and losses are
// float32 in each.
type Precision uint8

const (
	// Float32 rounds nothing further than float32 does.
	Float32 Precision = iota
	// TF32 lets cuBLASLt round float32 operands of products to 10 bits of
	// mantissa, which tensor cores multiply some eight times faster.
	TF32
	// BFloat16 keeps activations and their gradients in bfloat16, and makes
	// products of a bfloat16 and a float32 operand round the latter, as
	// PyTorch's autocast does.
	BFloat16
)

var precisions = map[string]Precision{"float32": Float32, "tf32": TF32, "bfloat16": BFloat16}

// ParsePrecision reads a precision's name.
func ParsePrecision(name string) (Precision, error) {
	p, ok := precisions[name]
	if !ok {
		return 0, fmt.Errorf("precision %q: must be float32, tf32 or bfloat16", name)
	}
	return p, nil
}
