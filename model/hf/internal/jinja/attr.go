package jinja

import (
	"fmt"
	"slices"
)

// attribute is value.name: a method of the type before an item of that name.
// Environment.getattr tries Python's attribute first and then the item, so that message.items
// is the method even of a dict with such a key. Subscripts try them the other way round.
type attribute struct {
	of   expr
	name string
}

func (a *attribute) eval(f *frame) (Value, error) {
	v, err := a.of.eval(f)
	if err != nil {
		return nil, err
	}
	if m := method(v, a.name); m != nil {
		return m, nil
	}
	return member(v, a.name)
}

// subscript is value[key]: an item before a method of that name.
type subscript struct{ of, key expr }

func (s *subscript) eval(f *frame) (Value, error) {
	v, err := s.of.eval(f)
	if err != nil {
		return nil, err
	}
	k, err := s.key.eval(f)
	if err != nil {
		return nil, err
	}
	return item(v, k)
}

// item is value[key]. What is not there is undefined, and not an error as in Python
// (jinja2.Environment.getitem).
// An index past the end or of the wrong type is undefined as well: getitem catches
// IndexError, TypeError and AttributeError alike. Only asking something of undefined itself
// fails.
func item(v, key Value) (Value, error) {
	if n, ok := plain(key).(string); ok {
		got, err := member(v, n)
		if _, missing := got.(undefined); missing {
			if m := method(v, n); m != nil {
				return m, nil
			}
		}
		return got, err
	}
	missing := undefined{fmt.Sprintf("an item of a %s", typeName(v))}
	switch v := v.(type) {
	case *Dict:
		if x, ok := v.Get(key); ok {
			return x, nil
		}
	case *List:
		if i, ok := position(key, len(v.Items)); ok {
			return v.Items[i], nil
		}
	case markup:
		c, err := item(string(v), key)
		return asMarkup(c), err
	case string:
		r := []rune(v)
		if i, ok := position(key, len(r)); ok {
			return string(r[i]), nil
		}
	case undefined:
		return nil, v.err()
	}
	return missing, nil
}

// position is the place an index means; negative ones count from the end.
// A bool counts as 0 or 1, as an index of Python's.
func position(key Value, n int) (int, bool) {
	i, ok := integer(key)
	if i < 0 {
		i += int64(n)
	}
	return int(i), ok && i >= 0 && i < int64(n)
}

// member is the item or attribute of that name; undefined when there is none.
// Attributes of Python's objects, those with underscores above all, do not exist here, so the
// sandbox of the reference has no counterpart: what is not listed cannot be reached.
func member(v Value, name string) (Value, error) {
	switch v := v.(type) {
	case *Dict:
		if x, ok := v.Get(name); ok {
			return x, nil
		}
	case *namespace:
		if x, ok := v.attrs.Get(name); ok {
			return x, nil
		}
	case *loop:
		return v.attr(name), nil
	case undefined:
		return nil, v.err()
	}
	return undefined{fmt.Sprintf("%q of a %s", name, typeName(v))}, nil
}

// loop is the variable of that name within a for statement.
// It is made anew for each item, as templates may keep one in a namespace and read it later.
type loop struct {
	items []Value
	at    int
}

// attr are the attributes of jinja2.runtime.LoopContext.
// changed is missing: it would have to remember its arguments between items.
// Before the first and behind the last item previtem and nextitem are undefined.
func (l *loop) attr(name string) Value {
	n := len(l.items)
	switch name {
	case "index":
		return int64(l.at + 1)
	case "index0":
		return int64(l.at)
	case "revindex":
		return int64(n - l.at)
	case "revindex0":
		return int64(n - l.at - 1)
	case "first":
		return l.at == 0
	case "last":
		return l.at == n-1
	case "length":
		return int64(n)
	case "depth":
		return int64(1) // only recursive loops have more
	case "depth0":
		return int64(0)
	case "previtem":
		if l.at > 0 {
			return l.items[l.at-1]
		}
	case "nextitem":
		if l.at < n-1 {
			return l.items[l.at+1]
		}
	case "cycle":
		return &function{"loop.cycle", func(_ *runtime, a *argValues) (Value, error) {
			if len(a.list) == 0 {
				return nil, fmt.Errorf("loop.cycle needs values to take in turn")
			}
			a.taken = len(a.list)
			return a.list[l.at%len(a.list)], nil
		}}
	}
	return undefined{fmt.Sprintf("%q of a loop", name)}
}

// slice is value[from:to:step].
// Its result is a copy, of a list as of a text.
type slice struct {
	of    expr
	parts [3]expr
}

// Parts are None where left out or given as none, as in Python's slice objects.
// Characters of a text are code points, as in Python.
func (s *slice) eval(f *frame) (Value, error) {
	v, err := s.of.eval(f)
	if err != nil {
		return nil, err
	}
	var at [3]*int64
	for i, e := range s.parts {
		if e == nil {
			continue
		}
		p, err := e.eval(f)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		n, ok := integer(p)
		if !ok {
			return nil, fmt.Errorf("a slice takes integers, not a %s", typeName(p))
		}
		at[i] = &n
	}
	switch v := v.(type) {
	case *List:
		out, err := cut(v.Items, at)
		if err != nil {
			return nil, err
		}
		return &List{Items: out, tuple: v.tuple}, f.rt.made(16 * len(out))
	case string:
		out, err := cut([]rune(v), at)
		if err != nil {
			return nil, err
		}
		return string(out), f.rt.made(len(v))
	case markup:
		out, err := cut([]rune(v), at)
		if err != nil {
			return nil, err
		}
		return markup(out), f.rt.made(len(v))
	case undefined:
		return nil, v.err()
	}
	return nil, fmt.Errorf("a %s cannot be sliced", typeName(v))
}

// cut takes items as Python's slices do.
// The bounds are PySlice_AdjustIndices': negative ones count from the end, and what lies
// outside is moved to the nearest end, which for a negative step is -1 or the last item.
func cut[T any](items []T, at [3]*int64) ([]T, error) {
	n, step := int64(len(items)), int64(1)
	if at[2] != nil {
		step = *at[2]
	}
	if step == 0 {
		return nil, fmt.Errorf("the step of a slice is zero")
	}
	low, high := int64(0), n
	if step < 0 {
		low, high = -1, n-1
	}
	bound := func(p *int64, def int64) int64 {
		if p == nil {
			return def
		}
		i := *p
		if i < 0 {
			i += n
		}
		return max(low, min(high, i))
	}
	if step > 0 {
		from, to := bound(at[0], low), bound(at[1], high)
		if step == 1 {
			return slices.Clone(items[from:max(from, to)]), nil
		}
		var out []T
		// A step beyond the length ends the loop all the same and cannot overflow the sum.
		for i := from; i < to; i += min(step, n) {
			out = append(out, items[i])
		}
		return out, nil
	}
	var out []T
	for i := bound(at[0], high); i > bound(at[1], low); i += max(step, -n) {
		out = append(out, items[i])
	}
	return out, nil
}
