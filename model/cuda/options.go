//go:build cuda && cgo && linux

package cuda

import (
	"os"
	"path/filepath"
)

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

// ltCandidates are where cuBLASLt may be: where the dynamic linker looks, in a
// CUDA toolkit, in the Python packages that PyTorch brings.
func ltCandidates() []string {
	paths := []string{"libcublasLt.so.13", "libcublasLt.so.12"}
	patterns := []string{"/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib"}
	site := []string{
		"/usr/lib/python3*", "/usr/local/lib/python3*", "/opt/*/lib/python3*",
		os.Getenv("HOME") + "/.local/lib/python3*", os.Getenv("HOME") + "/.pyenv/versions/*/lib/python3*",
	}
	for _, env := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if dir := os.Getenv(env); dir != "" {
			patterns = append(patterns, dir+"/lib")
			site = append(site, dir+"/lib/python3*")
		}
	}
	for _, s := range site {
		for _, packages := range []string{"site-packages", "dist-packages"} {
			patterns = append(patterns, s+"/"+packages+"/nvidia/cu13/lib", s+"/"+packages+"/nvidia/cublas/lib")
		}
	}
	for _, version := range []string{"13", "12"} {
		for _, p := range patterns {
			found, _ := filepath.Glob(p + "/libcublasLt.so." + version) // only a malformed pattern fails
			paths = append(paths, found...)
		}
	}
	return paths
}
