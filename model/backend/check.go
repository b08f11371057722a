package backend

import (
	"fmt"
	"strings"
)

// The check methods say whether the arguments of an operation fit each other.
// They look at shapes, element types, owners and the host's own copies only,
// never at device memory, and allocate only when they fail. An error names the
// operation, every tensor with its shape, and the reason.

// arg is a tensor of an operation with its name in the documentation.
type arg struct {
	name string
	t    Tensor
	kind argKind
}

type argKind uint8

const (
	float   argKind = 1 << iota // F32 or BF16
	integer                     // I32
	maybe                       // may be not given
	written                     // by the operation, so that it cannot be adopted memory

	anything = float | integer
	optional = float | maybe
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

// views checks each tensor alone: given, ours, of the right type, inside its
// buffer, and not memory that is only lent where it would be written to.
func (s *checked) views(op string, args []arg) error {
	for i := range args {
		if args[i].t.Buf == nil && args[i].kind&maybe != 0 {
			continue
		}
		if why := s.view(&args[i]); why != "" {
			return fail(op, why, args)
		}
	}
	return nil
}

// view says what is wrong with a tensor by itself, "" when nothing is.
func (s *checked) view(a *arg) string {
	t := &a.t
	if t.Buf == nil {
		return a.name + " is not given"
	}
	st := t.Buf.storage()
	if st.owner != s {
		return a.name + " belongs to another backend"
	}
	kind := float
	if st.dt == I32 {
		kind = integer
	}
	if a.kind&kind == 0 {
		return fmt.Sprintf("%s cannot be %v", a.name, st.dt)
	}
	if t.Rows < 0 || t.Cols < 0 || t.Off < 0 || (t.Rows > 1 && t.Stride < t.Cols) {
		return fmt.Sprintf("%s is no view: offset %d, stride %d", a.name, t.Off, t.Stride)
	}
	if t.Rows > 0 && t.Cols > 0 && t.Off+(t.Rows-1)*t.Stride+t.Cols > st.n {
		if st.freed {
			return a.name + " has been freed"
		}
		return fmt.Sprintf("%s leaves its buffer of %d elements: offset %d, stride %d", a.name, st.n, t.Off, t.Stride)
	}
	if st.lent && a.kind&written != 0 {
		return t.String() + " is adopted memory, which is only read"
	}
	return ""
}

// shaped checks that t, when given, is [rows, cols].
func shaped(op, name string, t Tensor, rows, cols int, args []arg) error {
	if t.Buf == nil || (t.Rows == rows && t.Cols == cols) {
		return nil
	}
	return fail(op, fmt.Sprintf("%s must be [%d, %d]", name, rows, cols), args)
}

// want is a tensor and the shape that it must have.
type want struct {
	name       string
	t          Tensor
	rows, cols int
}

// shapes is shaped for several tensors; the first that is wrong is named.
func shapes(op string, args []arg, wants []want) error {
	for _, w := range wants {
		if err := shaped(op, w.name, w.t, w.rows, w.cols, args); err != nil {
			return err
		}
	}
	return nil
}

// alike checks that every given tensor has the shape of the first.
func (s *checked) alike(op string, args []arg) error {
	if err := s.views(op, args); err != nil {
		return err
	}
	for i := 1; i < len(args); i++ {
		if err := shaped(op, args[i].name, args[i].t, args[0].t.Rows, args[0].t.Cols, args); err != nil {
			return err
		}
	}
	return nil
}

// checkUpload checks Upload of n values.
func (s *checked) checkUpload(dst Tensor, n int) error {
	args := []arg{{"dst", dst, float | written}}
	if err := s.views("upload", args); err != nil {
		return err
	}
	return sameLen("upload", n, dst, args)
}

// checkUploadInts checks UploadInts of n values.
func (s *checked) checkUploadInts(dst Tensor, n int) error {
	args := []arg{{"dst", dst, integer | written}}
	if err := s.views("upload_ints", args); err != nil {
		return err
	}
	return sameLen("upload_ints", n, dst, args)
}

// checkDownload checks Download into n values.
func (s *checked) checkDownload(n int, src Tensor) error {
	args := []arg{{"src", src, float}}
	if err := s.views("download", args); err != nil {
		return err
	}
	return sameLen("download", n, src, args)
}

// checkDownloadInts checks DownloadInts into n values.
func (s *checked) checkDownloadInts(n int, src Tensor) error {
	args := []arg{{"src", src, integer}}
	if err := s.views("download_ints", args); err != nil {
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

// checkFill checks Fill.
func (s *checked) checkFill(dst Tensor) error {
	return s.views("fill", []arg{{"dst", dst, anything | written}})
}

// checkCopy checks Copy. Integers are copied to integers only.
func (s *checked) checkCopy(dst, src Tensor) error {
	args := []arg{{"dst", dst, anything | written}, {"src", src, anything}}
	if err := s.alike("copy", args); err != nil {
		return err
	}
	if (dst.Buf.DType() == I32) != (src.Buf.DType() == I32) {
		return fail("copy", "integers and floats do not mix", args)
	}
	return nil
}

// checkAdd checks Add.
func (s *checked) checkAdd(dst, a, b Tensor) error {
	return s.alike("add", []arg{{"dst", dst, float | written}, {"a", a, float}, {"b", b, float}})
}

// checkAxpy checks Axpy.
func (s *checked) checkAxpy(y, x Tensor) error {
	return s.alike("axpy", []arg{{"y", y, float | written}, {"x", x, float}})
}

// checkScale checks Scale.
func (s *checked) checkScale(x Tensor) error {
	return s.views("scale", []arg{{"x", x, float | written}})
}

// checkMatMul checks MatMul.
func (s *checked) checkMatMul(c, a, b Tensor, p MatMul) error {
	args := []arg{{"c", c, float | written}, {"a", a, float}, {"b", b, float}, {"bias", p.Bias, optional}}
	if err := s.views("matmul", args); err != nil {
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

// checkSumRows checks SumRows.
func (s *checked) checkSumRows(dst, src Tensor) error {
	args := []arg{{"dst", dst, float | written}, {"src", src, float}}
	if err := s.views("sum_rows", args); err != nil {
		return err
	}
	return shaped("sum_rows", "dst", dst, 1, src.Cols, args)
}

// checkGatherRows checks GatherRows, but for the values of idx.
func (s *checked) checkGatherRows(dst, src, idx Tensor) error {
	return s.indexed("gather_rows", dst, src, dst, idx)
}

// checkScatterRows checks ScatterRows, but for the values of idx.
func (s *checked) checkScatterRows(dst, src, idx Tensor) error {
	return s.indexed("scatter_rows", dst, src, src, idx)
}

// checkScatterAddRows checks ScatterAddRows, but for the values of idx.
func (s *checked) checkScatterAddRows(dst, src, idx Tensor) error {
	return s.indexed("scatter_add_rows", dst, src, src, idx)
}

func (s *checked) indexed(op string, dst, src, perIndex, idx Tensor) error {
	args := []arg{{"dst", dst, float | written}, {"src", src, float}, {"idx", idx, integer}}
	if err := s.views(op, args); err != nil {
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

// checkRMSNorm checks RMSNorm.
func (s *checked) checkRMSNorm(y, rstd, x, w Tensor) error {
	const op = "rms_norm"
	args := []arg{{"y", y, float | written}, {"rstd", rstd, float | written}, {"x", x, float}, {"w", w, float}}
	if err := s.views(op, args); err != nil {
		return err
	}
	return shapes(op, args, []want{{"y", y, x.Rows, x.Cols}, {"rstd", rstd, x.Rows, 1}, {"w", w, 1, x.Cols}})
}

// checkRMSNormBackward checks RMSNormBackward.
func (s *checked) checkRMSNormBackward(dx, dw, dy, x, w, rstd Tensor) error {
	const op = "rms_norm_backward"
	args := []arg{{"dx", dx, float | written}, {"dw", dw, optional | written}, {"dy", dy, float}, {"x", x, float}, {"w", w, float}, {"rstd", rstd, float}}
	if err := s.views(op, args); err != nil {
		return err
	}
	return shapes(op, args, []want{{"dx", dx, x.Rows, x.Cols}, {"dy", dy, x.Rows, x.Cols}, {"rstd", rstd, x.Rows, 1}, {"dw", dw, 1, x.Cols}, {"w", w, 1, x.Cols}})
}

// checkLayerNorm checks LayerNorm.
func (s *checked) checkLayerNorm(y, stats, x, w, b Tensor) error {
	const op = "layer_norm"
	args := []arg{{"y", y, float | written}, {"stats", stats, float | written}, {"x", x, float}, {"w", w, float}, {"b", b, float}}
	if err := s.views(op, args); err != nil {
		return err
	}
	return shapes(op, args, []want{{"y", y, x.Rows, x.Cols}, {"stats", stats, x.Rows, 2}, {"w", w, 1, x.Cols}, {"b", b, 1, x.Cols}})
}

// checkLayerNormBackward checks LayerNormBackward.
func (s *checked) checkLayerNormBackward(dx, dw, db, dy, x, w, stats Tensor) error {
	const op = "layer_norm_backward"
	args := []arg{{"dx", dx, float | written}, {"dw", dw, optional | written}, {"db", db, optional | written}, {"dy", dy, float}, {"x", x, float}, {"w", w, float}, {"stats", stats, float}}
	if err := s.views(op, args); err != nil {
		return err
	}
	return shapes(op, args, []want{
		{"dx", dx, x.Rows, x.Cols}, {"dy", dy, x.Rows, x.Cols}, {"stats", stats, x.Rows, 2},
		{"dw", dw, 1, x.Cols}, {"db", db, 1, x.Cols}, {"w", w, 1, x.Cols},
	})
}

// checkActivate checks Activate.
func (s *checked) checkActivate(y, x Tensor, f Activation) error {
	args := []arg{{"y", y, float | written}, {"x", x, float}}
	if f > SiLU {
		return fail("activate", fmt.Sprintf("no activation has number %d", f), args)
	}
	return s.alike("activate", args)
}

// checkActivateBackward checks ActivateBackward.
func (s *checked) checkActivateBackward(dx, dy, x Tensor, f Activation) error {
	args := []arg{{"dx", dx, float | written}, {"dy", dy, float}, {"x", x, float}}
	if f > SiLU {
		return fail("activate_backward", fmt.Sprintf("no activation has number %d", f), args)
	}
	return s.alike("activate_backward", args)
}

// checkSwiGLU checks SwiGLU.
func (s *checked) checkSwiGLU(y, gate, up Tensor) error {
	return s.alike("swiglu", []arg{{"y", y, float | written}, {"gate", gate, float}, {"up", up, float}})
}

// checkSwiGLUBackward checks SwiGLUBackward.
func (s *checked) checkSwiGLUBackward(dgate, dup, dy, gate, up Tensor) error {
	return s.alike("swiglu_backward", []arg{{"dgate", dgate, float | written}, {"dup", dup, float | written}, {"dy", dy, float}, {"gate", gate, float}, {"up", up, float}})
}

// checkDropout checks Dropout.
func (s *checked) checkDropout(y, x Tensor, p float32, rows Tensor) error {
	args := []arg{{"y", y, float | written}, {"x", x, float}, {"rows", rows, integer}}
	if err := s.views("dropout", args); err != nil {
		return err
	}
	if !(p >= 0 && p < 1) {
		return fail("dropout", fmt.Sprintf("probability %v is not in [0, 1)", p), args)
	}
	return shapes("dropout", args, []want{{"y", y, x.Rows, x.Cols}, {"rows", rows, x.Rows, 2}})
}

// checkRandom checks Random.
func (s *checked) checkRandom(dst Tensor, dist Distribution, sample Tensor) error {
	args := []arg{{"dst", dst, float | written}, {"sample", sample, integer}}
	if err := s.views("random", args); err != nil {
		return err
	}
	if dist > Normal {
		return fail("random", fmt.Sprintf("no distribution has number %d", dist), args)
	}
	return shaped("random", "sample", sample, dst.Rows, 1, args)
}

// Finite reports whether v is a number: not NaN and not infinite.
func Finite(v float32) bool { return v-v == 0 }
