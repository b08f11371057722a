// Package simd holds the single-threaded inner loops of the CPU backend: the
// matrix-multiplication kernel and the vector functions of the operations
// around it, in AVX2 and FMA assembly with a portable Go version of each.
//
// Lengths are taken from the first slice; the others must be at least as long,
// or the functions panic. Where the results of the two versions differ it is
// by rounding only. The assembly is generated: see the asm folder.
package simd

//go:generate sh -c "cd asm && go run . -pkg simd -out ../kernels_amd64.s -stubs ../stubs_amd64.go -other ../stubs_other.go"

import "runtime"

// Level names the instruction set in use.
func Level() string {
	if avx2 {
		return "avx2"
	}
	return "portable"
}

// SetPortable makes every function use (or stop using) its portable version
// and returns what undoes that. It is for tests and benchmarks: it must not be
// called while other goroutines compute.
func SetPortable(on bool) (restore func()) {
	was := avx2
	if on {
		avx2 = false
	}
	return func() { avx2 = was }
}

// Pause waits for about n pause instructions (some tens of cycles each)
// without giving up the processor, the body of a spin loop.
func Pause(n int) {
	if avx2 {
		pause(n)
		return
	}
	runtime.Gosched()
}
