package cpu

import "vgid/model/cpu/simd"

const (
	panelRows = simd.PanelRows
	panelCols = simd.PanelCols

	// kBlock is the depth of a packed block: a panel of B (16 columns) of that
	// depth is 16 KiB, half of the first-level cache.
	kBlock = 256
	// rowBlock rows of packed A (144 KiB at full depth) stay in the second-level
	// cache while panels of B pass by.
	rowBlock = 24 * panelRows
	// colBlock columns of packed B (256 KiB at full depth) do so for the other
	// order of loops.
	colBlock = 16 * panelCols
	// splits is into how many chunks a multiplication is cut when it is large
	// enough: several per thread, so that a disturbed thread does not hold up
	// the others.
	splits = 8
	// packLimit bounds the operand that is packed whole, in elements.
	packLimit = 4 << 20
	// dotRows is the height up to which dot products of unpacked rows beat
	// packing a transposed B.
	dotRows = 24
	// directRows is the height up to which B is read in place: fewer panels
	// than that do not repay a copy.
	directRows = 2 * panelRows
	// narrowCols is the width up to which A is read in place.
	narrowCols = 2 * panelCols
	// smallA is the size of an A, in elements, that is read in place however
	// wide the result: it stays in the first-level cache as it is.
	smallA = 4096
	// smallDepth is the height up to which a B of whole panels is read in place
	// as well: the multiplications of attention.
	smallDepth = 128
	// serialWork is the count of multiply-adds below which waking a second
	// thread costs more than it saves.
	serialWork = 1 << 16
)

// strategy is how a multiplication is carried out; it depends on shape alone,
// and with it the order of every sum.
type strategy uint8

const (
	packBoth   strategy = iota // pack the smaller operand whole, the other by chunks
	dotProduct                 // few rows times a transposed matrix: dot products in place
	narrow                     // few columns or a small A: A in place, B packed whole
)

// plan chooses the strategy and how the work is cut.
func (t *gemmTask) plan() {
	blocks := max(1, (t.k+kBlock/2-1)/kBlock)
	t.depth = ((t.k+blocks-1)/blocks + 7) &^ 7
	aInPlace := t.a.h == nil && t.a.cs == 1
	switch {
	case aInPlace && t.b.rs == 1 && t.m <= dotRows && t.k >= 16 && t.n >= 4:
		t.strategy, t.byRows = dotProduct, false
		t.step = cut(t.n, 4, 16, 256)
	case aInPlace && t.m > directRows && (t.n <= narrowCols || t.m*t.k <= smallA):
		t.strategy, t.byRows = narrow, true
		t.inPlace = t.b.h == nil && t.b.cs == 1 && t.n%panelCols == 0 && t.k <= smallDepth
		t.step = cut(t.m, panelRows, panelRows, rowBlock)
	case t.m > t.n:
		t.strategy, t.byRows = packBoth, true
		t.step = cut(t.m, 4*panelRows, 4*panelRows, rowBlock)
	default:
		t.strategy, t.byRows = packBoth, false
		t.step = cut(t.n, panelCols, 2*panelCols, colBlock)
	}
}

// cut returns the length of a chunk of n: a multiple of unit within bounds.
func cut(n, unit, least, most int) int {
	return min(max(up((n+splits-1)/splits, unit), least), most)
}

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

func (t *gemmTask) packStep() int {
	if t.byRows {
		return 4 * panelCols
	}
	return 8 * panelRows
}

// padded is wholeDim in full panels.
func (t *gemmTask) padded() int {
	if t.byRows {
		return up(t.n, panelCols)
	}
	return up(t.m, panelRows)
}

// pass sets the range of k whose packed operand stays within packLimit.
func (t *gemmTask) pass(from int) {
	per := max(1, packLimit/(t.padded()*t.depth)) * t.depth
	t.from, t.to = from, min(from+per, t.k)
}
