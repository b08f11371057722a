//go:build !amd64

package simd

// avx2 and avx512 are false for good here, so that the compiler drops the
// assembly calls. They are variables because tests assign them.
var avx2, avx512 = false, false
