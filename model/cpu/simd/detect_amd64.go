package simd

import "golang.org/x/sys/cpu"

// avx2 says whether the assembly runs here. Tests turn it off to reach the
// portable code.
var avx2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA
