//go:build !amd64

package simd

// avx2 is false for good here, so that the compiler drops the assembly calls.
// It is a variable because tests assign it.
var avx2 = false
