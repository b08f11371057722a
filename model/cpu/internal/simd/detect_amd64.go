package simd

import "golang.org/x/sys/cpu"

// avx2 and avx512 say whether that assembly runs here. Tests turn them off to
// reach the other versions; GODEBUG=cpu.avx512f=off does so for a whole program.
var (
	avx2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	avx512 = avx2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2
)
