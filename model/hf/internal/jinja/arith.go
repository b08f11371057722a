package jinja

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// unary is a sign.
type unary struct {
	op string
	e  expr
}

// bool is a kind of int in Python, so -true is -1; integer gives it as such.
func (u *unary) eval(f *frame) (Value, error) {
	v, err := u.e.eval(f)
	if err != nil {
		return nil, err
	}
	if i, ok := integer(v); ok {
		if u.op == "-" {
			return arithmetic("-", 0, i) // the smallest integer has no opposite
		}
		return i, nil
	}
	if x, ok := number(v); ok {
		if u.op == "-" {
			x = -x
		}
		return x, nil
	}
	return nil, operandError(u.op, v)
}

// operandError says which operand an operator cannot take.
func operandError(op string, operands ...Value) error {
	var types []string
	for _, v := range operands {
		if u, ok := v.(undefined); ok {
			return u.err()
		}
		types = append(types, typeName(v))
	}
	return fmt.Errorf("operator %s does not take %s", op, strings.Join(types, " and "))
}

// binary is an operator of arithmetic, or ~, which joins what both sides print.
// What an operator does is decided when it runs: the types of its operands are known only then.
type binary struct {
	op   string
	a, b expr
}

// The order of cases is Python's choice of method: numbers first, then what the left operand
// can do, then, for *, the right one's. An operand that is undefined is named by
// operandError.
func (n *binary) eval(f *frame) (Value, error) {
	a, err := n.a.eval(f)
	if err != nil {
		return nil, err
	}
	b, err := n.b.eval(f)
	if err != nil {
		return nil, err
	}
	if n.op == "~" {
		return joined(f.rt, a, b)
	}
	i, okI := integer(a)
	j, okJ := integer(b)
	if okI && okJ {
		return arithmetic(n.op, i, j)
	}
	x, okX := number(a)
	y, okY := number(b)
	if okX && okY {
		return floating(n.op, x, y)
	}
	if n.op == "+" {
		if v, ok, err := addMarkup(f.rt, a, b); ok {
			return v, err
		}
	}
	switch s := a.(type) {
	case markup:
		if n.op == "*" && okJ {
			v, err := repeat(f.rt, string(s), j)
			return asMarkup(v), err
		}
	case string:
		if t, ok := b.(string); ok && n.op == "+" {
			return s + t, f.rt.made(len(s) + len(t))
		}
		if n.op == "*" && okJ {
			return repeat(f.rt, s, j)
		}
	case *List:
		if t, ok := b.(*List); ok && n.op == "+" && s.tuple == t.tuple {
			out := append(append(make([]Value, 0, len(s.Items)+len(t.Items)), s.Items...), t.Items...)
			return &List{Items: out, tuple: s.tuple}, f.rt.made(16 * len(out))
		}
		if n.op == "*" && okJ {
			return repeatList(f.rt, s, j)
		}
	}
	if n.op == "*" && okI {
		switch s := b.(type) {
		case markup:
			v, err := repeat(f.rt, string(s), i)
			return asMarkup(v), err
		case string:
			return repeat(f.rt, s, i)
		case *List:
			return repeatList(f.rt, s, i)
		}
	}
	return nil, operandError(n.op, a, b)
}

// joined is what a and b print, one behind the other.
// Markup becomes a plain string by it: nothing is escaped (nodes.Concat without autoescape).
func joined(rt *runtime, a, b Value) (Value, error) {
	s, err := str(rt, a)
	if err != nil {
		return nil, err
	}
	t, err := str(rt, b)
	if err != nil {
		return nil, err
	}
	return s + t, rt.made(len(s) + len(t))
}

// repeat is Python's "ab" * n, bounded before it is made.
// A count that is not positive gives the empty text, as in Python.
func repeat(rt *runtime, s string, n int64) (Value, error) {
	if n <= 0 || s == "" {
		return "", nil
	}
	if n > maxSize {
		return nil, errTooLarge
	}
	if err := rt.made(len(s) * int(n)); err != nil {
		return nil, err
	}
	return strings.Repeat(s, int(n)), nil
}

// repeatList is repeat for a list or tuple.
// Items are shared and not copied, which can be seen by nobody, as no list changes.
func repeatList(rt *runtime, l *List, n int64) (Value, error) {
	out := &List{tuple: l.tuple}
	if n <= 0 || len(l.Items) == 0 {
		return out, nil
	}
	if n > maxSize {
		return nil, errTooLarge
	}
	if err := rt.made(16 * len(l.Items) * int(n)); err != nil {
		return nil, err
	}
	out.Items = slices.Repeat(l.Items, int(n))
	return out, nil
}

var (
	errOverflow = errors.New("integer overflow")
	errZero     = errors.New("division by zero")
)

// arithmetic works on integers. Python's have no bounds; beyond 64 bits there is an
// error instead of another number. A division gives a float, as in Python 3.
// Overflow is found after the fact, from the wrapped result, which Go defines: a sum is on
// the wrong side of i, a product does not divide back.
func arithmetic(op string, i, j int64) (Value, error) {
	switch op {
	case "+":
		if s := i + j; (s > i) == (j > 0) {
			return s, nil
		}
		return nil, errOverflow
	case "-":
		if s := i - j; (s < i) == (j > 0) {
			return s, nil
		}
		return nil, errOverflow
	case "*":
		p := i * j
		if i != 0 && (p/i != j || i == -1 && j == math.MinInt64) {
			return nil, errOverflow
		}
		return p, nil
	case "/":
		return floating(op, float64(i), float64(j))
	case "**":
		return power(i, j)
	}
	if j == 0 {
		return nil, errZero
	}
	if i == math.MinInt64 && j == -1 {
		return nil, errOverflow
	}
	q, r := i/j, i%j
	if r != 0 && (r < 0) != (j < 0) { // Python rounds down
		q, r = q-1, r+j
	}
	if op == "//" {
		return q, nil
	}
	return r, nil
}

// power multiplies as often as j says; 64 bits end the loop early for all bases but
// 0, 1 and -1, which are dealt with first.
// A negative exponent gives a float, as in Python.
func power(i, j int64) (Value, error) {
	if j < 0 {
		return floating("**", float64(i), float64(j))
	}
	out := int64(1)
	for ; j > 0; j-- {
		if i == 0 || i == 1 {
			return i, nil
		}
		v, err := arithmetic("*", out, i)
		if err != nil {
			return nil, err
		}
		if out = v.(int64); i == -1 {
			j = j % 2 // the sign alternates
			if j == 0 {
				return int64(1), nil
			}
			return int64(-1), nil
		}
	}
	return out, nil
}

// floating works on floats. Of % and // the sign is the divisor's, as in Python, not
// the dividend's, as in Go.
// A negative base with a fraction is complex in Python and NaN here; 0.0 to a negative power and
// results beyond all floats are errors there and infinite here.
func floating(op string, x, y float64) (Value, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "**":
		return math.Pow(x, y), nil
	}
	if y == 0 {
		return nil, errZero
	}
	if op == "/" {
		return x / y, nil
	}
	r := math.Mod(x, y)
	if r != 0 && (r < 0) != (y < 0) {
		r += y
	}
	if op == "%" {
		return r, nil
	}
	// x − r is a multiple of y but for its rounding, which Round takes away.
	return math.Round((x - r) / y), nil
}
