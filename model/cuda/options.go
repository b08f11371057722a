package cuda

import "fmt"

// Options of a device.
// Zero values mean the defaults (defaults.go). Sizes are in bytes.
type Options struct {
	Precision Precision
	// CuBLASLt names the library to use; empty is what VGID_CUBLASLT says, or looks
	// where it usually is, and "none" does without.
	CuBLASLt string
	// LogitBytes bounds the logits that exist at once in LinearCE and LinearKL.
	LogitBytes int
	// StagingBytes is the page-locked memory that uploads pass through.
	StagingBytes int
	// Warn, when set, is told in a line what makes work slower than it could be:
	// no cuBLASLt, or kernels that the driver had to compile. Nothing fails by it.
	Warn func(line string)
}

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
