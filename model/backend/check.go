package backend

import (
	"fmt"
	"strings"
)

// The Check functions say whether the arguments of an operation fit each
// other: every implementation calls them first, so that a mistake reads the
// same on every device. They look at shapes, element types and the host's own
// copies only, never at device memory, and allocate only when they fail. An
// error names the operation, every tensor with its shape, and the reason.

// arg is a tensor of an operation with its name in the documentation.
type arg struct {
	name string
	t    Tensor
	kind argKind
}

type argKind uint8

const (
	float    argKind = iota // F32 or BF16
	integer                 // I32
	anything                // either
	optional                // F32 or BF16, or not given
)

func fail(op, why string, args []arg) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s (", op, why)
	for i, a := range args {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%s %s", a.name, a.t.String())
	}
	s.WriteString(")")
	return fmt.Errorf("%s", s.String())
}

// views checks each tensor alone: given, of the right type, inside its buffer.
func views(op string, args []arg) error {
	for i := range args {
		a := &args[i]
		if a.t.Buf == nil {
			if a.kind == optional {
				continue
			}
			return fail(op, a.name+" is not given", args)
		}
		if dt := a.t.Buf.DType(); a.kind != anything && (dt == I32) != (a.kind == integer) {
			return fail(op, fmt.Sprintf("%s cannot be %v", a.name, dt), args)
		}
		t := &a.t
		if t.Rows < 0 || t.Cols < 0 || t.Off < 0 || (t.Rows > 1 && t.Stride < t.Cols) {
			return fail(op, fmt.Sprintf("%s is no view: offset %d, stride %d", a.name, t.Off, t.Stride), args)
		}
		if t.Rows > 0 && t.Cols > 0 && t.Off+(t.Rows-1)*t.Stride+t.Cols > t.Buf.Len() {
			return fail(op, fmt.Sprintf("%s leaves its buffer of %d elements: offset %d, stride %d", a.name, t.Buf.Len(), t.Off, t.Stride), args)
		}
	}
	return nil
}

// shaped checks that t, when given, is [rows, cols].
func shaped(op, name string, t Tensor, rows, cols int, args []arg) error {
	if t.Buf == nil || (t.Rows == rows && t.Cols == cols) {
		return nil
	}
	return fail(op, fmt.Sprintf("%s must be [%d, %d]", name, rows, cols), args)
}

// alike checks that every given tensor has the shape of the first.
func alike(op string, args []arg) error {
	if err := views(op, args); err != nil {
		return err
	}
	for i := 1; i < len(args); i++ {
		if err := shaped(op, args[i].name, args[i].t, args[0].t.Rows, args[0].t.Cols, args); err != nil {
			return err
		}
	}
	return nil
}

// CheckUpload checks Upload of n values.
func CheckUpload(dst Tensor, n int) error {
	args := []arg{{"dst", dst, float}}
	if err := views("upload", args); err != nil {
		return err
	}
	return sameLen("upload", n, dst, args)
}

// CheckUploadInts checks UploadInts of n values.
func CheckUploadInts(dst Tensor, n int) error {
	args := []arg{{"dst", dst, integer}}
	if err := views("upload_ints", args); err != nil {
		return err
	}
	return sameLen("upload_ints", n, dst, args)
}

// CheckDownload checks Download into n values.
func CheckDownload(n int, src Tensor) error {
	args := []arg{{"src", src, float}}
	if err := views("download", args); err != nil {
		return err
	}
	return sameLen("download", n, src, args)
}

// CheckDownloadInts checks DownloadInts into n values.
func CheckDownloadInts(n int, src Tensor) error {
	args := []arg{{"src", src, integer}}
	if err := views("download_ints", args); err != nil {
		return err
	}
	return sameLen("download_ints", n, src, args)
}

func sameLen(op string, n int, t Tensor, args []arg) error {
	if n != t.Len() {
		return fail(op, fmt.Sprintf("the host slice has %d elements", n), args)
	}
	return nil
}

// CheckFill checks Fill.
func CheckFill(dst Tensor) error { return views("fill", []arg{{"dst", dst, anything}}) }

// CheckCopy checks Copy. Integers are copied to integers only.
func CheckCopy(dst, src Tensor) error {
	args := []arg{{"dst", dst, anything}, {"src", src, anything}}
	if err := alike("copy", args); err != nil {
		return err
	}
	if (dst.Buf.DType() == I32) != (src.Buf.DType() == I32) {
		return fail("copy", "integers and floats do not mix", args)
	}
	return nil
}

// CheckAdd checks Add.
func CheckAdd(dst, a, b Tensor) error {
	return alike("add", []arg{{"dst", dst, float}, {"a", a, float}, {"b", b, float}})
}

// CheckAxpy checks Axpy.
func CheckAxpy(y, x Tensor) error {
	return alike("axpy", []arg{{"y", y, float}, {"x", x, float}})
}

// CheckScale checks Scale.
func CheckScale(x Tensor) error { return views("scale", []arg{{"x", x, float}}) }

// CheckMatMul checks MatMul.
func CheckMatMul(c, a, b Tensor, p MatMul) error {
	args := []arg{{"c", c, float}, {"a", a, float}, {"b", b, float}, {"bias", p.Bias, optional}}
	if err := views("matmul", args); err != nil {
		return err
	}
	m, k := a.Rows, a.Cols
	if p.TransA {
		m, k = k, m
	}
	k2, n := b.Rows, b.Cols
	if p.TransB {
		k2, n = n, k2
	}
	if k != k2 || c.Rows != m || c.Cols != n {
		return fail("matmul", fmt.Sprintf("[%d, %d]·[%d, %d] does not give c (transA %v, transB %v)", m, k, k2, n, p.TransA, p.TransB), args)
	}
	return shaped("matmul", "bias", p.Bias, 1, n, args)
}

// CheckSumRows checks SumRows.
func CheckSumRows(dst, src Tensor) error {
	args := []arg{{"dst", dst, float}, {"src", src, float}}
	if err := views("sum_rows", args); err != nil {
		return err
	}
	return shaped("sum_rows", "dst", dst, 1, src.Cols, args)
}

// CheckGatherRows checks GatherRows, but for the values of idx.
func CheckGatherRows(dst, src, idx Tensor) error {
	return indexed("gather_rows", dst, src, dst, idx)
}

// CheckScatterRows checks ScatterRows, but for the values of idx.
func CheckScatterRows(dst, src, idx Tensor) error {
	return indexed("scatter_rows", dst, src, src, idx)
}

// CheckScatterAddRows checks ScatterAddRows, but for the values of idx.
func CheckScatterAddRows(dst, src, idx Tensor) error {
	return indexed("scatter_add_rows", dst, src, src, idx)
}

func indexed(op string, dst, src, perIndex, idx Tensor) error {
	args := []arg{{"dst", dst, float}, {"src", src, float}, {"idx", idx, integer}}
	if err := views(op, args); err != nil {
		return err
	}
	if dst.Cols != src.Cols {
		return fail(op, "dst and src differ in columns", args)
	}
	return shaped(op, "idx", idx, perIndex.Rows, 1, args)
}

// CheckIndex says which index of an operation is not below limit. Devices
// whose indices are in host memory call it on each; negative ones are the
// operation's own matter.
func CheckIndex(op string, i, index, limit int) error {
	if index < limit {
		return nil
	}
	return fmt.Errorf("%s: index %d of row %d is outside the %d rows it selects from", op, index, i, limit)
}

// CheckTarget says which target of LinearCE is not a row of the head.
func CheckTarget(i, target, vocab int) error {
	if target >= 0 && target < vocab {
		return nil
	}
	return fmt.Errorf("linear_ce: target %d of row %d is outside the vocabulary of %d", target, i, vocab)
}

// CheckRMSNorm checks RMSNorm.
func CheckRMSNorm(y, rstd, x, w Tensor) error {
	const op = "rms_norm"
	args := []arg{{"y", y, float}, {"rstd", rstd, float}, {"x", x, float}, {"w", w, float}}
	if err := views(op, args); err != nil {
		return err
	}
	if err := shaped(op, "y", y, x.Rows, x.Cols, args); err != nil {
		return err
	}
	if err := shaped(op, "rstd", rstd, x.Rows, 1, args); err != nil {
		return err
	}
	return shaped(op, "w", w, 1, x.Cols, args)
}

// CheckRMSNormBackward checks RMSNormBackward.
func CheckRMSNormBackward(dx, dw, dy, x, w, rstd Tensor) error {
	const op = "rms_norm_backward"
	args := []arg{{"dx", dx, float}, {"dw", dw, optional}, {"dy", dy, float}, {"x", x, float}, {"w", w, float}, {"rstd", rstd, float}}
	if err := views(op, args); err != nil {
		return err
	}
	if err := shaped(op, "dx", dx, x.Rows, x.Cols, args); err != nil {
		return err
	}
	if err := shaped(op, "dy", dy, x.Rows, x.Cols, args); err != nil {
		return err
	}
	if err := shaped(op, "rstd", rstd, x.Rows, 1, args); err != nil {
		return err
	}
	if err := shaped(op, "dw", dw, 1, x.Cols, args); err != nil {
		return err
	}
	return shaped(op, "w", w, 1, x.Cols, args)
}

// CheckLayerNorm checks LayerNorm.
func CheckLayerNorm(y, stats, x, w, b Tensor) error {
	const op = "layer_norm"
	args := []arg{{"y", y, float}, {"stats", stats, float}, {"x", x, float}, {"w", w, float}, {"b", b, float}}
	if err := views(op, args); err != nil {
		return err
	}
	if err := shaped(op, "y", y, x.Rows, x.Cols, args); err != nil {
		return err
	}
	if err := shaped(op, "stats", stats, x.Rows, 2, args); err != nil {
		return err
	}
	if err := shaped(op, "w", w, 1, x.Cols, args); err != nil {
		return err
	}
	return shaped(op, "b", b, 1, x.Cols, args)
}

// CheckLayerNormBackward checks LayerNormBackward.
func CheckLayerNormBackward(dx, dw, db, dy, x, w, stats Tensor) error {
	const op = "layer_norm_backward"
	args := []arg{{"dx", dx, float}, {"dw", dw, optional}, {"db", db, optional}, {"dy", dy, float}, {"x", x, float}, {"w", w, float}, {"stats", stats, float}}
	if err := views(op, args); err != nil {
		return err
	}
	if err := shaped(op, "dx", dx, x.Rows, x.Cols, args); err != nil {
		return err
	}
	if err := shaped(op, "dy", dy, x.Rows, x.Cols, args); err != nil {
		return err
	}
	if err := shaped(op, "stats", stats, x.Rows, 2, args); err != nil {
		return err
	}
	for _, a := range [...]arg{args[1], args[2], args[5]} {
		if err := shaped(op, a.name, a.t, 1, x.Cols, args); err != nil {
			return err
		}
	}
	return nil
}

// CheckActivate checks Activate.
func CheckActivate(y, x Tensor, f Activation) error {
	args := []arg{{"y", y, float}, {"x", x, float}}
	if f > SiLU {
		return fail("activate", fmt.Sprintf("no activation has number %d", f), args)
	}
	return alike("activate", args)
}

// CheckActivateBackward checks ActivateBackward.
func CheckActivateBackward(dx, dy, x Tensor, f Activation) error {
	args := []arg{{"dx", dx, float}, {"dy", dy, float}, {"x", x, float}}
	if f > SiLU {
		return fail("activate_backward", fmt.Sprintf("no activation has number %d", f), args)
	}
	return alike("activate_backward", args)
}

// CheckSwiGLU checks SwiGLU.
func CheckSwiGLU(y, gate, up Tensor) error {
	return alike("swiglu", []arg{{"y", y, float}, {"gate", gate, float}, {"up", up, float}})
}

// CheckSwiGLUBackward checks SwiGLUBackward.
func CheckSwiGLUBackward(dgate, dup, dy, gate, up Tensor) error {
	return alike("swiglu_backward", []arg{{"dgate", dgate, float}, {"dup", dup, float}, {"dy", dy, float}, {"gate", gate, float}, {"up", up, float}})
}

// CheckDropout checks Dropout.
func CheckDropout(y, x Tensor, p float32, rows Tensor) error {
	args := []arg{{"y", y, float}, {"x", x, float}, {"rows", rows, integer}}
	if err := views("dropout", args); err != nil {
		return err
	}
	if !(p >= 0 && p < 1) {
		return fail("dropout", fmt.Sprintf("probability %v is not in [0, 1)", p), args)
	}
	if err := shaped("dropout", "y", y, x.Rows, x.Cols, args); err != nil {
		return err
	}
	return shaped("dropout", "rows", rows, x.Rows, 2, args)
}

// CheckRandom checks Random.
func CheckRandom(dst Tensor, dist Distribution, sample Tensor) error {
	args := []arg{{"dst", dst, float}, {"sample", sample, integer}}
	if err := views("random", args); err != nil {
		return err
	}
	if dist > Normal {
		return fail("random", fmt.Sprintf("no distribution has number %d", dist), args)
	}
	return shaped("random", "sample", sample, dst.Rows, 1, args)
}

// Finite reports whether v is a number: not NaN and not infinite.
func Finite(v float32) bool { return v-v == 0 }
