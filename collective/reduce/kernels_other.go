//go:build !amd64

package reduce

func addF32(d, s []float32)              { addF32Plain(d, s) }
func widenBF16(d []float32, s []uint16)  { widenBF16Plain(d, s) }
func narrowBF16(d []uint16, s []float32) { narrowBF16Plain(d, s) }
func addBF16(d []float32, s []uint16)    { addBF16Plain(d, s) }
func widenF16(d []float32, s []uint16)   { widenF16Plain(d, s) }
func narrowF16(d []uint16, s []float32)  { narrowF16Plain(d, s) }
