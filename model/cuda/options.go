package cuda

// Options of a device.
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
