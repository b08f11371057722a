package collective

import "golang.org/x/sys/cpu"

// addAVX2 sets d[i] += s[i] for n elements, n a multiple of 32.
//
//go:noescape
func addAVX2(d, s *float32, n int)

var hasAVX2 = cpu.X86.HasAVX2

func addF32(d, s []float32) {
	whole := len(d) &^ 31
	if !hasAVX2 || whole == 0 {
		addF32Plain(d, s)
		return
	}
	s = s[:len(d)]
	addAVX2(&d[0], &s[0], whole)
	addF32Plain(d[whole:], s[whole:])
}
