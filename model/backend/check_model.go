package backend

import "fmt"

// checkRoPE checks RoPE.
func (s *checked) checkRoPE(x, cos, sin Tensor, heads int) error {
	args := []arg{{"x", x, float | written}, {"cos", cos, float}, {"sin", sin, float}}
	if err := s.views("rope", args); err != nil {
		return err
	}
	if heads <= 0 || x.Cols%(2*heads) != 0 {
		return fail("rope", fmt.Sprintf("%d columns are not %d heads of an even size", x.Cols, heads), args)
	}
	half := x.Cols / (2 * heads)
	return shapes("rope", args, []want{{"cos", cos, x.Rows, half}, {"sin", sin, x.Rows, half}})
}

// checkAttention checks Attention.
func (s *checked) checkAttention(o, lse, q, k, v Tensor, p Attention) error {
	const op = "attention"
	args := []arg{{"o", o, float | written}, {"lse", lse, optional | written}, {"q", q, float}, {"k", k, float}, {"v", v, float}}
	if err := s.views(op, args); err != nil {
		return err
	}
	if err := s.heads(op, q, k, p, args); err != nil {
		return err
	}
	return shapes(op, args, []want{{"o", o, q.Rows, q.Cols}, {"v", v, k.Rows, k.Cols}, {"lse", lse, q.Rows, p.Heads}})
}

// checkAttentionBackward checks AttentionBackward.
func (s *checked) checkAttentionBackward(dq, dk, dv, do, o, lse, q, k, v Tensor, p Attention) error {
	const op = "attention_backward"
	args := []arg{{"dq", dq, float | written}, {"dk", dk, float | written}, {"dv", dv, float | written}, {"do", do, float},
		{"o", o, float}, {"lse", lse, float}, {"q", q, float}, {"k", k, float}, {"v", v, float}}
	if err := s.views(op, args); err != nil {
		return err
	}
	if err := s.heads(op, q, k, p, args); err != nil {
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
func (s *checked) heads(op string, q, k Tensor, p Attention, args []arg) error {
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
	if err := s.onDevice(op, "query sequences", p.Q); err != nil {
		return err
	}
	return s.onDevice(op, "key sequences", p.KV)
}

// onDevice checks the device's own copy of sequences, where there is one.
func (s *checked) onDevice(op, name string, q Seqs) error {
	args := []arg{{name, q.Dev, integer | maybe}}
	if err := s.views(op, args); err != nil {
		return err
	}
	return shaped(op, name, q.Dev, q.N(), 2, args)
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

// checkPatchify checks Patchify.
func (s *checked) checkPatchify(dst, images Tensor, channels, height, width, patch int) error {
	args := []arg{{"dst", dst, float | written}, {"images", images, float}}
	if err := s.views("patchify", args); err != nil {
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

// checkArgMax checks ArgMax.
func (s *checked) checkArgMax(dst, src Tensor) error {
	args := []arg{{"dst", dst, integer | written}, {"src", src, float}}
	if err := s.views("argmax", args); err != nil {
		return err
	}
	if src.Cols == 0 && src.Rows > 0 {
		return fail("argmax", "an empty row has no largest element", args)
	}
	return shaped("argmax", "dst", dst, src.Rows, 1, args)
}

// checkLinearCE checks LinearCE, but for the values of target.
func (s *checked) checkLinearCE(loss, dh, dw, h, w, target, weight Tensor) error {
	const op = "linear_ce"
	args := []arg{{"loss", loss, float | written}, {"dh", dh, optional | written}, {"dw", dw, optional | written}, {"h", h, float},
		{"w", w, float}, {"target", target, integer}, {"weight", weight, optional}}
	if err := s.views(op, args); err != nil {
		return err
	}
	if err := shaped(op, "target", target, h.Rows, 1, args); err != nil {
		return err
	}
	return head(op, loss, dh, dw, h, w, weight, args)
}

// checkLinearKL checks LinearKL.
func (s *checked) checkLinearKL(loss, dh, dw, h, w, ht, wt, weight Tensor, p KL) error {
	const op = "linear_kl"
	args := []arg{{"loss", loss, float | written}, {"dh", dh, optional | written}, {"dw", dw, optional | written}, {"h", h, float},
		{"w", w, float}, {"ht", ht, float}, {"wt", wt, float}, {"weight", weight, optional}}
	if err := s.views(op, args); err != nil {
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
	return shapes(op, args, []want{{"loss", loss, h.Rows, 1}, {"weight", weight, h.Rows, 1}, {"dh", dh, h.Rows, h.Cols}, {"dw", dw, w.Rows, w.Cols}})
}

// checkSumSquares checks SumSquares.
func (s *checked) checkSumSquares(dst, x Tensor) error {
	args := []arg{{"dst", dst, float | written}, {"x", x, float}}
	if err := s.views("sum_squares", args); err != nil {
		return err
	}
	return shaped("sum_squares", "dst", dst, 1, 1, args)
}

// checkAdamW checks AdamW.
func (s *checked) checkAdamW(p, g, m, v, normSq Tensor, h AdamW) error {
	if err := s.alike("adamw", []arg{{"p", p, float | written}, {"g", g, float}, {"m", m, float | written}, {"v", v, float | written}}); err != nil {
		return err
	}
	args := []arg{{"p", p, float | written}, {"normSq", normSq, optional}}
	if err := s.views("adamw", args); err != nil {
		return err
	}
	if h.Step < 1 {
		return fail("adamw", fmt.Sprintf("step %d; the first is 1", h.Step), args)
	}
	return shaped("adamw", "normSq", normSq, 1, 1, args)
}
