// Package simd holds the single-threaded inner loops of the CPU backend: the
// matrix-multiplication kernel and the vector functions of the operations
// around it, in AVX2 and FMA assembly with a portable Go version of each. The
// matrix-multiplication kernel has an AVX-512 version besides.
//
// Lengths are taken from the first slice; the others must be at least as long,
// or the functions panic. Where the results of the two versions differ it is
// by rounding only. The assembly is generated: see the asm folder.
package simd

//go:generate sh -c "cd asm && go run . -pkg simd -out ../kernels_amd64.s -stubs ../stubs_amd64.go -other ../stubs_other.go"

import "runtime"

// A Level is an instruction set that kernels exist for.
type Level uint8

// Levels, each with all that comes before it. Above AVX2 only the
// matrix-multiplication kernel differs.
const (
	Portable Level = iota
	AVX2
	AVX512
)

func (l Level) String() string { return [...]string{"portable", "avx2", "avx512"}[l] }

// Current is the level in use: the highest that this machine has.
func Current() Level {
	switch {
	case avx512:
		return AVX512
	case avx2:
		return AVX2
	}
	return Portable
}

// Limit keeps every function at or below a level, and returns what undoes
// that. It is for tests and benchmarks: it must not be called while other
// goroutines compute.
// A level that the machine lacks is not reached by it.
func Limit(to Level) (restore func()) {
	was2, was512 := avx2, avx512
	avx2, avx512 = avx2 && to >= AVX2, avx512 && to >= AVX512
	return func() { avx2, avx512 = was2, was512 }
}

// Pause waits for about n pause instructions (some tens of cycles each)
// without giving up the processor, the body of a spin loop.
// Portable code lets another goroutine run instead.
func Pause(n int) {
	if avx2 {
		pause(n)
		return
	}
	runtime.Gosched()
}
