package jinja

import (
	"fmt"
	"strings"
)

// expr is an expression.
// A parsed expression never changes: templates are rendered by several goroutines at once,
// and all that a rendering makes is in its frame and runtime.
type expr interface {
	eval(f *frame) (Value, error)
}

// constant is a value that stands in the template.
// Constants are shared between renderings, so they are values that nothing can change.
type constant struct{ v Value }

func (c constant) eval(*frame) (Value, error) { return c.v, nil }

// name is a variable.
type name string

// eval gives undefined for a name that is not there, which prints as nothing and
// fails only where something is asked of it (jinja2.Undefined).
// The step counted here is what bounds an expression: every other node evaluates names or is
// bounded by the size of the template.
func (n name) eval(f *frame) (Value, error) { return f.lookup(string(n)), f.rt.step(1) }

// listExpr is [a, b] or (a, b): a new value each time, so that none is shared.
type listExpr struct {
	items []expr
	tuple bool
}

func (l *listExpr) eval(f *frame) (Value, error) {
	out := &List{Items: make([]Value, len(l.items)), tuple: l.tuple}
	for i, e := range l.items {
		var err error
		if out.Items[i], err = e.eval(f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// dictExpr is {key: value}.
type dictExpr struct{ keys, values []expr }

// Keys and values are evaluated in turn, so that the first mistake is the one reported; of
// equal keys the last value stands at the first one's place, as in Python.
func (d *dictExpr) eval(f *frame) (Value, error) {
	out := &Dict{}
	for i := range d.keys {
		k, err := d.keys[i].eval(f)
		if err != nil {
			return nil, err
		}
		if !hashable(k) {
			return nil, fmt.Errorf("a %s cannot be a key", typeName(k))
		}
		v, err := d.values[i].eval(f)
		if err != nil {
			return nil, err
		}
		out.Set(k, v)
	}
	return out, nil
}

// condExpr is `yes if cond else no`.
// Without an else the value is undefined, which prints as nothing (nodes.CondExpr).
type condExpr struct{ yes, cond, no expr }

func (c *condExpr) eval(f *frame) (Value, error) {
	v, err := c.cond.eval(f)
	switch {
	case err != nil:
		return nil, err
	case truth(v):
		return c.yes.eval(f)
	case c.no == nil:
		return undefined{"the value of an if without else"}, nil
	}
	return c.no.eval(f)
}

// logic is and, or: the operand that decides.
// As in Python the value is the operand itself and no bool: `a or "x"` gives the default.
type logic struct {
	a, b expr
	or   bool
}

func (l *logic) eval(f *frame) (Value, error) {
	v, err := l.a.eval(f)
	if err != nil || truth(v) == l.or {
		return v, err
	}
	return l.b.eval(f)
}

// notExpr is not e.
type notExpr struct{ e expr }

func (n *notExpr) eval(f *frame) (Value, error) {
	v, err := n.e.eval(f)
	return !truth(v), err
}

// comparison is a chain such as a < b <= c.
type comparison struct {
	first expr
	ops   []string
	rest  []expr
}

// As in Python each operand is evaluated once, and those behind the first comparison that fails not
// at all.
func (c *comparison) eval(f *frame) (Value, error) {
	a, err := c.first.eval(f)
	if err != nil {
		return nil, err
	}
	for i, op := range c.ops {
		b, err := c.rest[i].eval(f)
		if err != nil {
			return nil, err
		}
		ok, err := compare(f.rt, op, a, b)
		if err != nil || !ok {
			return false, err
		}
		a = b
	}
	return true, nil
}

// compare applies an operator. <= is "not greater", which is Python's but for NaN.
// The two forms of equality never fail; orders between types do, as in Python 3.
// Of `in` the operands are turned round: contains takes what is looked in first.
func compare(rt *runtime, op string, a, b Value) (bool, error) {
	switch op {
	case "==":
		return equal(rt, a, b)
	case "!=":
		ok, err := equal(rt, a, b)
		return !ok, err
	case "<":
		return less(rt, a, b)
	case ">":
		return less(rt, b, a)
	case "<=":
		ok, err := less(rt, b, a)
		return !ok, err
	case ">=":
		ok, err := less(rt, a, b)
		return !ok, err
	case "in":
		return contains(rt, b, a)
	}
	ok, err := contains(rt, b, a)
	return !ok, err
}

// contains is Python's in: a part of a string, a key of a dict, an item of a list.
// An undefined key is refused here, where the reference hashes it and finds nothing.
// A search in a string costs a step for each KiB, one in a list a comparison for each item.
func contains(rt *runtime, in, v Value) (bool, error) {
	switch in := plain(in).(type) {
	case string:
		s, ok := plain(v).(string)
		if !ok {
			return false, fmt.Errorf("a %s cannot be in a string", typeName(v))
		}
		return strings.Contains(in, s), rt.step(len(in) >> 10)
	case *Dict:
		if l, ok := v.(*List); ok && l.tuple {
			return false, nil // no dict here has a tuple as key
		}
		if !hashable(v) {
			return false, fmt.Errorf("a %s cannot be a key", typeName(v))
		}
		_, ok := in.Get(v)
		return ok, nil
	}
	items, err := iterate(in)
	if err != nil {
		return false, err
	}
	for _, x := range items {
		if ok, err := equal(rt, x, v); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
