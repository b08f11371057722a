package kernels

// Geometry is how a kernel is launched.
type Geometry struct {
	Grid, Block [3]int
	Shared      int // bytes of dynamic shared memory
}

// Flatten views matrices of one shape as one row when rows follow each other
// without gaps in all of them, which lets a vector cross row ends. strides are
// those of every operand.
func Flatten(rows, cols int, strides ...int) (r, c int) {
	if rows <= 1 {
		return rows, cols
	}
	for _, s := range strides {
		if s != cols {
			return rows, cols
		}
	}
	return 1, rows * cols
}

// Elementwise covers a [rows, cols] matrix, four columns a thread.
func Elementwise(rows, cols int) Geometry {
	const threads = 256
	groups := (cols + 3) / 4
	x := 1
	for x < groups && x < threads {
		x *= 2
	}
	y := threads / x
	return Geometry{
		Grid:  [3]int{min((groups+x-1)/x, 1<<20), min((rows+y-1)/y, 65535), 1},
		Block: [3]int{x, y, 1},
	}
}
