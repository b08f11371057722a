//go:build cuda && cgo && linux

package cuda

import (
	"cmp"
	"fmt"
	"os"
)

// The first holds 882 rows of 152,064 logits in float32, and of a divergence half as many.
const (
	defaultLogitBytes   = 512 << 20
	defaultStagingBytes = 64 << 20
	ltWorkspace         = 32 << 20 // what NVIDIA recommends for Hopper
)

func (o Options) withDefaults() Options {
	o.LogitBytes = cmp.Or(o.LogitBytes, defaultLogitBytes)
	o.StagingBytes = cmp.Or(o.StagingBytes, defaultStagingBytes)
	o.CuBLASLt = cmp.Or(o.CuBLASLt, os.Getenv("VGID_CUBLASLT"))
	return o
}

func (o *Options) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(fmt.Sprintf(format, args...))
	}
}
