//go:build !amd64

package collective

func addF32(d, s []float32) { addF32Plain(d, s) }
