package cpu

import "vgid/model/cpu/internal/simd"

const (
	// kBlock is the depth of a packed block: a panel of B of that depth is 16 or
	// 32 KiB.
	kBlock = 256
	// rowBlock rows of packed A (144 KiB at full depth) stay in the second-level
	// cache while panels of B pass by. It is a multiple of every tile's height.
	rowBlock = 144
	// colBlock columns of packed B (256 KiB at full depth) do so for the other
	// order of loops. It is a multiple of every tile's width.
	colBlock = 256
	// splits is into how many chunks a multiplication is cut when it is large
	// enough: several per thread, so that a disturbed thread does not hold up
	// the others.
	splits = 8
	// packLimit bounds the operand that is packed whole, in elements (2 MiB): it
	// is to be read again from a cache.
	packLimit = 1 << 19
	// dotRows is the height up to which dot products of unpacked rows beat
	// packing a transposed B.
	dotRows = 24
	// narrowCols is the width up to which A is read in place: a panel of rows is
	// fetched once, and B packed to that width stays in the second-level cache.
	narrowCols = 256
	// smallA is the size of an A, in elements, that one thread reads in place
	// however wide the result: it stays in the first-level cache as it is. More
	// threads share a wide result by columns, each packing its own.
	smallA = 4096
	// smallDepth is the height up to which B is read in place as well: the
	// multiplications of attention.
	smallDepth = 128
	// serialWork is the count of multiply-adds below which waking a second
	// thread costs more than it saves: 2 µs.
	serialWork = 1 << 17
)

// strategy is how a multiplication is carried out; it depends on shape alone,
// and with it the order of every sum.
type strategy uint8

const (
	packBoth   strategy = iota // pack the smaller operand whole, the other by chunks
	dotProduct                 // few rows times a transposed matrix: dot products in place
	narrow                     // not too many columns or a small A: A in place, B packed whole or in place too
)

// plan chooses the strategy and how the work is cut: for one thread no finer
// than the caches ask.
//
// serial changes only how finely the work is cut and whether a small A is read in place. Both
// leave the chain of multiply-adds of an element as it is; dot products, which do not, are
// chosen without looking at it.
func (t *gemmTask) plan(serial bool) {
	t.tile, t.inPlace, t.packing = simd.CurrentTile(), false, false
	rows, cols := t.tile.Rows, t.tile.Cols
	// Blocks of equal depth, up to half as deep again as kBlock, so that none is left with a
	// few columns only.
	blocks := max(1, (t.k+kBlock/2-1)/kBlock)
	t.depth = ((t.k+blocks-1)/blocks + 7) &^ 7
	splits := splits
	if serial {
		splits = 1
	}
	aInPlace := t.a.h == nil && t.a.cs == 1
	switch {
	case aInPlace && t.b.rs == 1 && t.m <= dotRows && t.k >= 16 && t.n >= 4:
		t.strategy, t.byRows = dotProduct, false
		t.step = cut(t.n, 4, 16, 256, splits)
	case aInPlace && t.m > t.directRows() && (t.n <= narrowCols || serial && t.m*t.k <= smallA):
		t.strategy, t.byRows = narrow, true
		t.inPlace = t.b.h == nil && t.b.cs == 1 && (simd.InPlace() || t.n%cols == 0) && t.k <= smallDepth
		if t.m < splits*rows {
			rows = 6 // half a tile costs less than an idle thread
		}
		t.step = cut(t.m, rows, rows, rowBlock, splits)
	case t.m > t.n:
		t.strategy, t.byRows = packBoth, true
		t.step = cut(t.m, 24, 24, rowBlock, splits)
	default:
		t.strategy, t.byRows = packBoth, false
		t.step = cut(t.n, cols, 32, colBlock, splits)
	}
}

// directRows is the height up to which a row-major B is read in place where A
// is packed: fewer panels than that do not repay a copy.
func (t *gemmTask) directRows() int { return 2 * t.tile.Rows }

// cut returns the length of a chunk of n: a multiple of unit within bounds.
func cut(n, unit, least, most, splits int) int {
	return min(max(up((n+splits-1)/splits, unit), least), most)
}

// up rounds n up to a multiple of unit; pieces is how many units that is.
func up(n, unit int) int     { return (n + unit - 1) / unit * unit }
func pieces(n, unit int) int { return (n + unit - 1) / unit }

// chunks is the number of chunks of the phase at hand.
func (t *gemmTask) chunks() int {
	switch {
	case t.packing:
		return pieces(t.to-t.from, t.depth) * pieces(t.wholeDim(), t.packStep())
	case t.byRows:
		return pieces(t.m, t.step)
	}
	return pieces(t.n, t.step)
}

// wholeDim is the other dimension of the operand that is packed whole.
func (t *gemmTask) wholeDim() int {
	if t.byRows {
		return t.n
	}
	return t.m
}

// packStep is a chunk of that: some panels of either tile.
func (t *gemmTask) packStep() int {
	if t.byRows {
		return 4 * t.tile.Cols
	}
	return 48
}

// padded is wholeDim in full panels.
func (t *gemmTask) padded() int {
	if t.byRows {
		return up(t.n, t.tile.Cols)
	}
	return up(t.m, t.tile.Rows)
}

// pass sets the range of k whose packed operand stays within packLimit.
func (t *gemmTask) pass(from int) {
	per := max(1, packLimit/(t.padded()*t.depth)) * t.depth
	t.from, t.to = from, min(from+per, t.k)
}
