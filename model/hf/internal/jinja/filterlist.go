package jinja

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// path follows an attribute such as "function.name" or an index.
// It is make_attrgetter: parts made of digits are indices, and each step takes items before
// methods (Environment.getitem). Lists of attributes, "age,name", are one unknown name here.
func path(v, by Value) (Value, error) {
	s, ok := by.(string)
	if !ok {
		return item(v, by)
	}
	for _, part := range strings.Split(s, ".") {
		var key Value = part
		if i, err := strconv.ParseInt(part, 10, 64); err == nil {
			key = i
		}
		var err error
		if v, err = item(v, key); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// reverse gives a string for a string, and a list for all else.
func reverse(rt *runtime, v Value, _ *argValues) (Value, error) {
	if s, ok := v.(string); ok {
		r := []rune(s)
		slices.Reverse(r)
		return string(r), rt.made(len(s))
	}
	items, err := iterate(v)
	items = slices.Clone(items)
	slices.Reverse(items)
	return &List{Items: items}, err
}

// folded ignores case in strings, as sorting does unless told otherwise.
// What is no string is compared as it is.
func folded(v Value) Value {
	if s, ok := plain(v).(string); ok {
		return lower(s)
	}
	return v
}

// sortItems is do_sort.
// Arguments in the reference's order: reverse, case_sensitive, attribute.
func sortItems(rt *runtime, v Value, a *argValues) (Value, error) {
	down, _ := a.take(0, "reverse")
	exact, _ := a.take(1, "case_sensitive")
	by, _ := a.take(2, "attribute")
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	key := func(x Value) (Value, error) {
		if by != nil {
			var err error
			if x, err = path(x, by); err != nil {
				return nil, err
			}
		}
		if !truth(exact) {
			x = folded(x)
		}
		return x, nil
	}
	return sorted(rt, items, key, truth(down))
}

// sorted orders items by their keys; equal ones stay in order, also downwards.
// Downwards the comparison is turned round and not the result, which is what keeps equal
// items in their order, as sorted(reverse=True) does.
// An error of a comparison ends it with the list unsorted, which nobody gets to see.
func sorted(rt *runtime, items []Value, key func(Value) (Value, error), down bool) (Value, error) {
	type keyed struct{ key, item Value }
	all := make([]keyed, len(items))
	for i, x := range items {
		k, err := key(x)
		if err != nil {
			return nil, err
		}
		all[i] = keyed{k, x}
	}
	var err error
	slices.SortStableFunc(all, func(x, y keyed) int {
		if err == nil {
			err = rt.step(1)
		}
		if down {
			return order(rt, y.key, x.key, &err)
		}
		return order(rt, x.key, y.key, &err)
	})
	out := &List{Items: make([]Value, len(all))}
	for i, k := range all {
		out.Items[i] = k.item
	}
	return out, err
}

// dictSort lists a dict as pairs, ordered by key or by value.
// A word in by that is neither key nor value is refused by the reference, and key here.
func dictSort(rt *runtime, v Value, a *argValues) (Value, error) {
	d, ok := v.(*Dict)
	if !ok {
		return nil, fmt.Errorf("dictsort takes a dict, not a %s", typeName(v))
	}
	exact, _ := a.take(0, "case_sensitive")
	by, given := a.take(1, "by")
	down, _ := a.take(2, "reverse")
	at := 0
	if given && by == "value" {
		at = 1
	}
	list, err := pairs(rt, d)
	if err != nil {
		return nil, err
	}
	return sorted(rt, list.(*List).Items, func(x Value) (Value, error) {
		k := x.(*List).Items[at]
		if !truth(exact) {
			k = folded(k)
		}
		return k, nil
	}, truth(down))
}

// unique keeps the first of those that are equal, in their order.
// Keys have to be hashable there as here, since the reference keeps a set of them.
// The dict is used as a set; its order is not needed.
func unique(rt *runtime, v Value, a *argValues) (Value, error) {
	exact, _ := a.take(0, "case_sensitive")
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	seen := &Dict{}
	out := &List{}
	for _, x := range items {
		k := x
		if !truth(exact) {
			k = folded(x)
		}
		if !hashable(k) {
			return nil, fmt.Errorf("unique takes plain values, not a %s", typeName(k))
		}
		if _, ok := seen.Get(k); !ok {
			seen.Set(k, true)
			out.Items = append(out.Items, x)
		}
	}
	return out, nil
}

// someItems is iterate, but for what counts as false: that has no items.
// select and map begin with `if value` in the reference, so that none gives nothing and not
// an error.
func someItems(v Value) ([]Value, error) {
	if !truth(v) {
		return nil, nil
	}
	return iterate(v)
}

// mapItems is map(attribute=…) or map('filter', arguments…).
// With a filter, each item gets a copy of the arguments: filters take them out.
func mapItems(rt *runtime, v Value, a *argValues) (Value, error) {
	items, err := someItems(v)
	if err != nil {
		return nil, err
	}
	out := &List{}
	// By name alone: the position is behind the last argument.
	if by, ok := a.take(len(a.list), "attribute"); ok {
		def, hasDef := a.take(len(a.list), "default")
		for _, x := range items {
			y, err := path(x, by)
			if err != nil {
				return nil, err
			}
			if _, missing := y.(undefined); missing && hasDef {
				y = def
			}
			out.Items = append(out.Items, y)
		}
		return out, rt.made(16 * len(items))
	}
	n, err := stringArg(a, 0, "")
	if err != nil {
		return nil, err
	}
	f := filters[n]
	if f == nil {
		return nil, fmt.Errorf("filter %q is not supported", n)
	}
	for _, x := range items {
		if err := rt.enter(); err != nil {
			return nil, err
		}
		one := a.from(1)
		y, err := f(rt, x, &one)
		if err == nil {
			err = one.unused("filter " + n)
		}
		rt.leave()
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, y)
	}
	// Each item's filter had all of them, and has refused what it does not take.
	a.taken, a.named = len(a.list), nil
	return out, rt.made(16 * len(items))
}

// choose is select, reject and, by an attribute, selectattr and rejectattr.
// Without a test the item's own truth decides. selectattr's attribute comes before the test's
// name, and what is kept is the item, not the attribute.
func choose(rt *runtime, v Value, a *argValues, byAttr, keep bool) (Value, error) {
	items, err := someItems(v)
	if err != nil {
		return nil, err
	}
	at := 0
	var by Value
	if byAttr {
		var ok bool
		if by, ok = a.take(0, ""); !ok {
			return nil, fmt.Errorf("the attribute is missing")
		}
		at = 1
	}
	test := func(_ *runtime, v Value, _ *argValues) (bool, error) { return truth(v), nil }
	what := "truth"
	if at < len(a.list) {
		if what, err = stringArg(a, at, ""); err != nil {
			return nil, err
		}
		if test = tests[what]; test == nil {
			return nil, fmt.Errorf("test %q is not supported", what)
		}
	}
	out := &List{}
	for _, x := range items {
		y := x
		if byAttr {
			if y, err = path(x, by); err != nil {
				return nil, err
			}
		}
		one := a.from(at + 1)
		ok, err := test(rt, y, &one)
		if err == nil {
			err = one.unused("test " + what)
		}
		if err != nil {
			return nil, err
		}
		if ok == keep {
			out.Items = append(out.Items, x)
		}
	}
	a.taken = len(a.list)
	return out, rt.step(len(items))
}

// from gives the arguments after the first n to another filter or test.
// The map is copied since take deletes from it, and the arguments serve every item.
func (a *argValues) from(n int) argValues {
	one := argValues{order: a.order}
	if n < len(a.list) {
		one.list = a.list[n:]
	}
	if len(a.named) > 0 {
		one.named = map[string]Value{}
		for k, v := range a.named {
			one.named[k] = v
		}
	}
	return one
}
