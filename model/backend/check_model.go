package backend

import "fmt"

// CheckRoPE checks RoPE.
func CheckRoPE(x, cos, sin Tensor, heads int) error {
	args := []arg{{"x", x, float}, {"cos", cos, float}, {"sin", sin, float}}
	if err := views("rope", args); err != nil {
		return err
	}
	if heads <= 0 || x.Cols%(2*heads) != 0 {
		return fail("rope", fmt.Sprintf("%d columns are not %d heads of an even size", x.Cols, heads), args)
	}
	half := x.Cols / (2 * heads)
	if err := shaped("rope", "cos", cos, x.Rows, half, args); err != nil {
		return err
	}
	return shaped("rope", "sin", sin, x.Rows, half, args)
}

// CheckAttention checks Attention.
func CheckAttention(o, lse, q, k, v Tensor, p Attention) error {
	const op = "attention"
	args := []arg{{"o", o, float}, {"lse", lse, optional}, {"q", q, float}, {"k", k, float}, {"v", v, float}}
	if err := views(op, args); err != nil {
		return err
	}
	if err := heads(op, q, k, p, args); err != nil {
		return err
	}
	if err := shaped(op, "o", o, q.Rows, q.Cols, args); err != nil {
		return err
	}
	if err := shaped(op, "v", v, k.Rows, k.Cols, args); err != nil {
		return err
	}
	return shaped(op, "lse", lse, q.Rows, p.Heads, args)
}

// CheckAttentionBackward checks AttentionBackward.
func CheckAttentionBackward(dq, dk, dv, do, o, lse, q, k, v Tensor, p Attention) error {
	const op = "attention_backward"
	args := []arg{{"dq", dq, float}, {"dk", dk, float}, {"dv", dv, float}, {"do", do, float},
		{"o", o, float}, {"lse", lse, float}, {"q", q, float}, {"k", k, float}, {"v", v, float}}
	if err := views(op, args); err != nil {
		return err
	}
	if err := heads(op, q, k, p, args); err != nil {
		return err
	}
	for _, a := range [...]arg{args[0], args[3], args[4]} {
		if err := shaped(op, a.name, a.t, q.Rows, q.Cols, args); err != nil {
			return err
		}
	}
	for _, a := range [...]arg{args[1], args[2], args[8]} {
		if err := shaped(op, a.name, a.t, k.Rows, k.Cols, args); err != nil {
			return err
		}
	}
	return shaped(op, "lse", lse, q.Rows, p.Heads, args)
}

// heads checks the head counts and that the sequences are rows of q and k.
func heads(op string, q, k Tensor, p Attention, args []arg) error {
	if p.Heads <= 0 || p.KVHeads <= 0 || p.HeadDim <= 0 || p.Heads%p.KVHeads != 0 ||
		q.Cols != p.Heads*p.HeadDim || k.Cols != p.KVHeads*p.HeadDim {
		return fail(op, fmt.Sprintf("%d query heads over %d key heads of size %d do not fit", p.Heads, p.KVHeads, p.HeadDim), args)
	}
	if p.Q.N() != p.KV.N() {
		return fail(op, fmt.Sprintf("%d query sequences but %d key sequences", p.Q.N(), p.KV.N()), args)
	}
	if why := within(p.Q, q.Rows); why != "" {
		return fail(op, "query "+why, args)
	}
	if why := within(p.KV, k.Rows); why != "" {
		return fail(op, "key "+why, args)
	}
	return nil
}

func within(s Seqs, rows int) string {
	if len(s.Len) != len(s.Start) {
		return fmt.Sprintf("sequences have %d starts and %d lengths", len(s.Start), len(s.Len))
	}
	for i, from := range s.Start {
		if n := s.Len[i]; from < 0 || n < 0 || int(from)+int(n) > rows {
			return fmt.Sprintf("sequence %d is rows %d to %d of %d", i, from, int(from)+int(n), rows)
		}
	}
	return ""
}

// CheckPatchify checks Patchify.
func CheckPatchify(dst, images Tensor, channels, height, width, patch int) error {
	args := []arg{{"dst", dst, float}, {"images", images, float}}
	if err := views("patchify", args); err != nil {
		return err
	}
	if channels <= 0 || patch <= 0 || height <= 0 || width <= 0 || height%patch != 0 || width%patch != 0 {
		return fail("patchify", fmt.Sprintf("%d channels of %dx%d are no whole patches of %d", channels, height, width, patch), args)
	}
	if images.Cols != channels*height*width {
		return fail("patchify", fmt.Sprintf("images must have %d·%d·%d columns", channels, height, width), args)
	}
	return shaped("patchify", "dst", dst, images.Rows*(height/patch)*(width/patch), channels*patch*patch, args)
}

// CheckArgMax checks ArgMax.
func CheckArgMax(dst, src Tensor) error {
	args := []arg{{"dst", dst, integer}, {"src", src, float}}
	if err := views("argmax", args); err != nil {
		return err
	}
	if src.Cols == 0 && src.Rows > 0 {
		return fail("argmax", "an empty row has no largest element", args)
	}
	return shaped("argmax", "dst", dst, src.Rows, 1, args)
}

// CheckLinearCE checks LinearCE, but for the values of target.
func CheckLinearCE(loss, dh, dw, h, w, target, weight Tensor) error {
	const op = "linear_ce"
	args := []arg{{"loss", loss, float}, {"dh", dh, optional}, {"dw", dw, optional}, {"h", h, float},
		{"w", w, float}, {"target", target, integer}, {"weight", weight, optional}}
	if err := views(op, args); err != nil {
		return err
	}
	if err := shaped(op, "target", target, h.Rows, 1, args); err != nil {
		return err
	}
	return head(op, loss, dh, dw, h, w, weight, args)
}

// CheckLinearKL checks LinearKL.
func CheckLinearKL(loss, dh, dw, h, w, ht, wt, weight Tensor, p KL) error {
	const op = "linear_kl"
	args := []arg{{"loss", loss, float}, {"dh", dh, optional}, {"dw", dw, optional}, {"h", h, float},
		{"w", w, float}, {"ht", ht, float}, {"wt", wt, float}, {"weight", weight, optional}}
	if err := views(op, args); err != nil {
		return err
	}
	if ht.Rows != h.Rows || ht.Cols != wt.Cols || wt.Rows != w.Rows {
		return fail(op, "the teacher's rows or vocabulary differ from the student's", args)
	}
	if !Finite(p.TeacherTemp) || !Finite(p.StudentTemp) || p.TeacherTemp < 0 || p.StudentTemp < 0 {
		return fail(op, fmt.Sprintf("temperatures %v and %v must be positive, or 0 for 1", p.TeacherTemp, p.StudentTemp), args)
	}
	return head(op, loss, dh, dw, h, w, weight, args)
}

func head(op string, loss, dh, dw, h, w, weight Tensor, args []arg) error {
	if h.Cols != w.Cols {
		return fail(op, "h and w differ in width", args)
	}
	if w.Rows == 0 {
		return fail(op, "the vocabulary is empty", args)
	}
	if weight.IsZero() && !(dh.IsZero() && dw.IsZero()) {
		return fail(op, "gradients need weight", args)
	}
	if err := shaped(op, "loss", loss, h.Rows, 1, args); err != nil {
		return err
	}
	if err := shaped(op, "weight", weight, h.Rows, 1, args); err != nil {
		return err
	}
	if err := shaped(op, "dh", dh, h.Rows, h.Cols, args); err != nil {
		return err
	}
	return shaped(op, "dw", dw, w.Rows, w.Cols, args)
}

// CheckSumSquares checks SumSquares.
func CheckSumSquares(dst, x Tensor) error {
	args := []arg{{"dst", dst, float}, {"x", x, float}}
	if err := views("sum_squares", args); err != nil {
		return err
	}
	return shaped("sum_squares", "dst", dst, 1, 1, args)
}

// CheckAdamW checks AdamW.
func CheckAdamW(p, g, m, v, normSq Tensor, h AdamW) error {
	if err := alike("adamw", []arg{{"p", p, float}, {"g", g, float}, {"m", m, float}, {"v", v, float}}); err != nil {
		return err
	}
	args := []arg{{"p", p, float}, {"normSq", normSq, optional}}
	if err := views("adamw", args); err != nil {
		return err
	}
	if h.Step < 1 {
		return fail("adamw", fmt.Sprintf("step %d; the first is 1", h.Step), args)
	}
	return shaped("adamw", "normSq", normSq, 1, 1, args)
}
