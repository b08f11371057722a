package kernels

var rows = []Kernel{
	{"check_index", "rows", "error* op:i32 index* stride:i64 lowest:i32 limit:i32 rows:i64", 256,
		"Writes the first index outside [lowest, limit) to the four I32 at error, as (op, row, index, limit), unless error[0] is already set. Launch with Single(256)."},
	{"gather_rows", "rows", "dst@ src@ index* stride:i64 limit:i32 rows:i64 cols:i64", 256,
		"dst[i] = src[index[i·stride]], a zero row where the index is not in [0, limit). Elementwise(rows, cols), not flattened."},
	{"scatter_rows", "rows", "dst@ src@ index* stride:i64 limit:i32 rows:i64 cols:i64", 256,
		"dst[index[i·stride]] = src[i], nothing where the index is not in [0, limit). Elementwise(rows, cols), not flattened."},
	{"scatter_add_rows", "rows", "dst@ src@ index* stride:i64 limit:i32 rows:i64 cols:i64", 256,
		"dst[index[i·stride]] += src[i], repeated indices in row order, nothing where the index is not in [0, limit). ScatterAdd(rows, cols)."},
	{"argmax", "rows", "dst* dst_stride:i64 src@ rows:i64 cols:i64", 256,
		"dst[i·dst_stride] = column of the largest element of row i, the first of equals. PerRow(rows, cols, 256)."},
}

// The geometry of these is part of the result: another order of the sums gives
// other last bits.
var norms = []Kernel{
	{"rms_norm", "norm", "y@ rstd@ x@ w@ eps:f32 rows:i64 cols:i64", 512, "As backend.RMSNorm. PerRow(rows, cols, 512)."},
	{"rms_norm_backward", "norm", "dx@ dy@ x@ w@ rstd@ rows:i64 cols:i64", 512, "dx of backend.RMSNormBackward; dw comes from norm_weight_parts. PerRow(rows, cols, 512)."},
	{"layer_norm", "norm", "y@ stats@ x@ w@ b@ eps:f32 rows:i64 cols:i64", 512, "As backend.LayerNorm. PerRow(rows, cols, 512)."},
	{"layer_norm_backward", "norm", "dx@ dy@ x@ w@ stats@ rows:i64 cols:i64", 512, "dx of backend.LayerNormBackward; dw comes from norm_weight_parts, db from sum_rows_parts of dy. PerRow(rows, cols, 512)."},
}

var reductions = []Kernel{
	{"sum_rows_parts", "reduce", "part* src@ per_part:i64 rows:i64 cols:i64", 128,
		"part[p·cols + c] = Σ src over rows p·per_part … Parts gives geometry, parts and per_part; part is scratch of parts·cols f32. Then sum_parts."},
	{"norm_weight_parts", "reduce", "part* dy@ x@ stats@ layer:i32 per_part:i64 rows:i64 cols:i64", 128,
		"The same for Σ dy·(x-mean)·rstd, stats being rstd (layer 0) or (mean, rstd) (layer 1)."},
	{"sum_parts", "reduce", "dst@ part* parts:i64 cols:i64", 128, "dst [1, cols] += the parts, in order. Columns(cols)."},
	{"sum_squares_parts", "reduce", "part* x@ rows:i64 cols:i64", 256,
		"A share of Σ x² per block. SumSquares gives geometry and parts; part is scratch of parts f64. Flatten first. Then sum_squares_finish."},
	{"sum_squares_finish", "reduce", "dst@ part* parts:i64", 256, "dst [1, 1] += the parts. Single(256)."},
}

var optimizers = []Kernel{
	{"adamw", "optimizer", "p@ g@ m@ v@ norm_sq@ clip_norm:f32 beta1:f32 beta2:f32 rate:f32 root:f32 eps:f32 decay:f32 rows:i64 cols:i64", 256,
		"As backend.AdamW: rate = lr/(1-β1^step), root = 1/√(1-β2^step), decay = 1-lr·weight_decay; no norm_sq, no clipping. Elementwise(rows, cols), flattened."},
}

// Single is one block.
func Single(threads int) Geometry {
	return Geometry{Grid: [3]int{1, 1, 1}, Block: [3]int{threads, 1, 1}}
}

// threadsFor is a block that covers cols columns at four a thread, if it may.
func threadsFor(cols, largest int) int {
	n := 32
	for 4*n < cols && n < largest {
		n *= 2
	}
	return n
}

// PerRow is a block a row.
func PerRow(rows, cols, threads int) Geometry {
	return Geometry{Grid: [3]int{min(rows, 1<<30), 1, 1}, Block: [3]int{threadsFor(cols, threads), 1, 1}}
}

// ScatterAdd is the geometry of scatter_add_rows.
func ScatterAdd(rows, cols int) Geometry {
	n := threadsFor(cols, 256)
	return Geometry{Grid: [3]int{(cols + 4*n - 1) / (4 * n), min(rows, 65535), 1}, Block: [3]int{n, 1, 1}}
}

// Parts says how sums over rows are cut into parts, and covers them.
func Parts(rows, cols int) (g Geometry, parts, perPart int) {
	perPart = max(32, (rows+127)/128)
	parts = (rows + perPart - 1) / perPart
	return Geometry{Grid: [3]int{(cols + 511) / 512, parts, 1}, Block: [3]int{128, 1, 1}}, parts, perPart
}

// Columns is a thread a column.
func Columns(cols int) Geometry {
	return Geometry{Grid: [3]int{(cols + 127) / 128, 1, 1}, Block: [3]int{128, 1, 1}}
}

// SumSquares covers a matrix with at most 1024 blocks, each of which leaves one
// part.
func SumSquares(rows, cols int) (g Geometry, parts int) {
	x := min((cols+1023)/1024, 1024)
	y := min(rows, 1024/max(1, x))
	return Geometry{Grid: [3]int{x, y, 1}, Block: [3]int{256, 1, 1}}, x * y
}
