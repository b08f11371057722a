package jinja

import (
	"fmt"
	"unicode/utf8"
)

// Value is a value of the template language: nil (none), bool, int64, float64,
// string, *List, *Dict, or one of the unexported kinds that templates make.
// An integer is an int64 everywhere: Render converts what callers give.
type Value any

// List is a list or, as `(a, b)` makes it, a tuple.
// Once made it is not changed by anything here: values are shared freely between names,
// slices of one list included, and between renderings where the caller passes the same one
// twice.
type List struct {
	Items []Value
	tuple bool
}

// Dict is a mapping from strings or other plain values that keeps its order.
// keys and items have the same members: keys as they were set first, for printing and
// iterating, and items by hashed, for finding. A Dict that a rendering may see is not to be
// set in.
type Dict struct {
	keys  []Value
	items map[Value]Value
}

// Set adds or replaces the value of a key: a string, a number, a bool or nil.
// A key that is there keeps its place and its first form: 1.0 behind 1 prints as 1.
func (d *Dict) Set(key, value Value) {
	if d.items == nil {
		d.items = map[Value]Value{}
	}
	k := hashed(key)
	if _, ok := d.items[k]; !ok {
		d.keys = append(d.keys, key)
	}
	d.items[k] = value
}

// Get is the value of a key.
// What cannot be a key is in no dict, which is no error here.
func (d *Dict) Get(key Value) (Value, bool) {
	if !hashable(key) {
		return nil, false
	}
	v, ok := d.items[hashed(key)]
	return v, ok
}

// hashed makes numbers that are equal the same key.
// In Python 1, 1.0 and True are one key, because they are equal and hash alike.
// NaN is equal to nothing and never found again, as in Python.
func hashed(key Value) Value {
	switch k := key.(type) {
	case markup:
		return string(k)
	case bool:
		if k {
			return int64(1)
		}
		return int64(0)
	case float64:
		// Of a float with no fraction; one beyond 64 bits does not come back equal and stays
		// itself.
		if i := int64(k); float64(i) == k {
			return i
		}
	}
	return key
}

// hashable reports whether a value can be a key. Python's tuples can; no template of
// a model has them as keys, and none can be made here.
func hashable(key Value) bool {
	switch key.(type) {
	case nil, bool, int64, float64, string, markup:
		return true
	}
	return false
}

type (
	// undefined is what a name or attribute that is not there gives.
	// name is what the error calls it when something is asked of it
	// (jinja2.Undefined._fail_with…).
	undefined struct{ name string }
	// function is a callable of the language.
	function struct {
		name string
		call func(rt *runtime, a *argValues) (Value, error)
	}
	// namespace holds attributes that a set statement may change.
	namespace struct{ attrs Dict }
)

// err is the error of asking something of what is not there.
func (u undefined) err() error { return fmt.Errorf("%s is undefined", u.name) }

// typeName is what messages call the type of a value.
func typeName(v Value) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case bool:
		return "bool"
	case int64:
		return "integer"
	case float64:
		return "float"
	case string, markup:
		return "string"
	case *List:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case undefined:
		return "undefined value"
	case *namespace:
		return "namespace"
	}
	return "function"
}

// truth is Python's bool(): nothing, zero and what is empty are false.
// Functions, namespaces and loops are true, as all Python objects without a length.
func truth(v Value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

// number gives bool, int64 and float64 as a float64.
// Integers beyond 2⁵³ lose digits by it, so that pairs of integers are looked for first.
func number(v Value) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := integer(v)
	return float64(n), ok
}

// integer gives bool and int64 as an int64.
func integer(v Value) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}

// equal is Python's ==: numbers by value, whatever their type (True == 1), lists and
// dicts by what is in them, and anything else by identity. Values of different types
// differ, which is no error.
// A tuple is never equal to a list. Nesting is bounded by enter: lists cannot hold themselves
// here, but a template can nest them, and comparing copies of one doubles with each level.
func equal(rt *runtime, a, b Value) (bool, error) {
	if err := rt.enter(); err != nil {
		return false, err
	}
	defer rt.leave()
	a, b = plain(a), plain(b)
	switch a := a.(type) {
	case bool, int64, float64:
		return equalNumbers(a, b), nil
	case *List:
		if b, ok := b.(*List); ok {
			return equalLists(rt, a, b)
		}
		return false, nil
	case *Dict:
		if b, ok := b.(*Dict); ok {
			return equalDicts(rt, a, b)
		}
		return false, nil
	case undefined:
		_, ok := b.(undefined)
		return ok, nil
	}
	return a == b, nil
}

// equalNumbers compares integers as such: as floats large ones would be rounded.
func equalNumbers(a, b Value) bool {
	if i, ok := integer(a); ok {
		if j, ok := integer(b); ok {
			return i == j
		}
	}
	x, _ := number(a)
	y, ok := number(b)
	return ok && x == y
}

// equalLists compares item by item; a list is no tuple.
func equalLists(rt *runtime, a, b *List) (bool, error) {
	if a.tuple != b.tuple || len(a.Items) != len(b.Items) {
		return false, nil
	}
	for i := range a.Items {
		if same, err := equal(rt, a.Items[i], b.Items[i]); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// equalDicts does not look at the order of keys.
func equalDicts(rt *runtime, a, b *Dict) (bool, error) {
	if len(a.keys) != len(b.keys) {
		return false, nil
	}
	for _, k := range a.keys {
		w, ok := b.Get(k)
		if !ok {
			return false, nil
		}
		v, _ := a.Get(k)
		if same, err := equal(rt, v, w); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// less orders numbers, strings and lists of them.
// Lists are ordered by their first items that differ, then by length, as in Python.
func less(rt *runtime, a, b Value) (bool, error) {
	a, b = plain(a), plain(b)
	if i, ok := integer(a); ok {
		if j, ok := integer(b); ok {
			return i < j, nil
		}
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x < y, nil
		}
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return x < y, nil // UTF-8 sorts as code points do
		}
	}
	if x, ok := a.(*List); ok {
		if y, ok := b.(*List); ok && x.tuple == y.tuple {
			for i := range min(len(x.Items), len(y.Items)) {
				same, err := equal(rt, x.Items[i], y.Items[i])
				if err != nil {
					return false, err
				}
				if !same {
					return less(rt, x.Items[i], y.Items[i])
				}
			}
			return len(x.Items) < len(y.Items), nil
		}
	}
	if u, ok := a.(undefined); ok {
		return false, u.err()
	}
	if u, ok := b.(undefined); ok {
		return false, u.err()
	}
	return false, fmt.Errorf("%s and %s cannot be ordered", typeName(a), typeName(b))
}

// length is what the length filter counts.
// Strings count code points, as Python does. undefined has length 0 (Undefined.__len__).
func length(v Value) (int, error) {
	switch v := plain(v).(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case *List:
		return len(v.Items), nil
	case *Dict:
		return len(v.keys), nil
	case undefined:
		return 0, nil
	}
	return 0, fmt.Errorf("a %s has no length", typeName(v))
}

// iterate lists what a loop goes over.
// A dict gives its keys, a string its characters, undefined nothing. The result may be the
// value's own slice: it must not be changed.
func iterate(v Value) ([]Value, error) {
	switch v := plain(v).(type) {
	case string:
		out := make([]Value, 0, len(v))
		for _, r := range v {
			out = append(out, string(r))
		}
		return out, nil
	case *List:
		return v.Items, nil
	case *Dict:
		return v.keys, nil
	case undefined:
		return nil, nil
	}
	return nil, fmt.Errorf("a %s cannot be iterated over", typeName(v))
}
