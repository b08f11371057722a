//go:build cuda && cgo && linux

package cuda

import (
	"cmp"
	"fmt"
	"os"
)

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
