//go:build cuda && cgo && linux

package cuda

import "os"

// Options of a backend.
type Options struct {
	Precision Precision
	// CuBLASLt names the library to use; empty looks where it usually is, and
	// "none" does without.
	CuBLASLt string
	// LogitBytes bounds the logits that exist at once in LinearCE and LinearKL.
	LogitBytes int
	// StagingBytes is the page-locked memory that uploads pass through.
	StagingBytes int
}

const (
	defaultLogitBytes   = 512 << 20
	defaultStagingBytes = 64 << 20
	ltWorkspace         = 32 << 20 // what NVIDIA recommends for Hopper
)

func (o Options) withDefaults() Options {
	if o.LogitBytes == 0 {
		o.LogitBytes = defaultLogitBytes
	}
	if o.StagingBytes == 0 {
		o.StagingBytes = defaultStagingBytes
	}
	if o.CuBLASLt == "" {
		o.CuBLASLt = os.Getenv("VGID_CUBLASLT")
	}
	return o
}
