package jinja

import (
	"fmt"
	"slices"
)

// method is the bound method of that name, nil when the type has none. None
// changes its value: the reference refuses those that do.
func method(v Value, name string) Value {
	switch v := v.(type) {
	case markup:
		return markupMethod(v, name)
	case string:
		if m := stringMethods[name]; m != nil {
			return bind(name, v, func(rt *runtime, s string, a *argValues) (Value, error) {
				a.plain()
				return m(rt, s, a)
			})
		}
	case *Dict:
		if m := dictMethods[name]; m != nil {
			return bind(name, v, m)
		}
	case *List:
		if m := listMethods[name]; m != nil {
			return bind(name, v, m)
		}
	}
	return nil
}

// bind makes a function of a method and the value it is called on.
func bind[T any](name string, v T, m func(*runtime, T, *argValues) (Value, error)) Value {
	return &function{name, func(rt *runtime, a *argValues) (Value, error) { return m(rt, v, a) }}
}

// dictMethods are those of dict that change nothing.
var dictMethods = map[string]func(*runtime, *Dict, *argValues) (Value, error){
	"items": func(rt *runtime, d *Dict, _ *argValues) (Value, error) { return pairs(rt, d) },
	"keys": func(_ *runtime, d *Dict, _ *argValues) (Value, error) {
		return &List{Items: slices.Clone(d.keys)}, nil
	},
	"values": func(_ *runtime, d *Dict, _ *argValues) (Value, error) {
		out := &List{}
		for _, k := range d.keys {
			v, _ := d.Get(k)
			out.Items = append(out.Items, v)
		}
		return out, nil
	},
	"get": func(_ *runtime, d *Dict, a *argValues) (Value, error) {
		k, ok := a.take(0, "")
		if !ok {
			return nil, fmt.Errorf("get needs a key")
		}
		def, _ := a.take(1, "")
		if v, ok := d.Get(k); ok {
			return v, nil
		}
		return def, nil
	},
	"copy": func(_ *runtime, d *Dict, _ *argValues) (Value, error) { return d, nil },
}

// pairs lists a dict as tuples of key and value.
func pairs(rt *runtime, d *Dict) (Value, error) {
	out := &List{}
	for _, k := range d.keys {
		v, _ := d.Get(k)
		out.Items = append(out.Items, &List{Items: []Value{k, v}, tuple: true})
	}
	return out, rt.made(16 * len(out.Items))
}

// listMethods are those of list and tuple that change nothing.
var listMethods = map[string]func(*runtime, *List, *argValues) (Value, error){
	"copy": func(_ *runtime, l *List, _ *argValues) (Value, error) { return l, nil },
	"index": func(rt *runtime, l *List, a *argValues) (Value, error) {
		v, _ := a.take(0, "")
		for i, x := range l.Items {
			if ok, err := equal(rt, x, v); ok || err != nil {
				return int64(i), err
			}
		}
		return nil, fmt.Errorf("index: the value is not in the list")
	},
	"count": func(rt *runtime, l *List, a *argValues) (Value, error) {
		v, _ := a.take(0, "")
		n := int64(0)
		for _, x := range l.Items {
			ok, err := equal(rt, x, v)
			if err != nil {
				return nil, err
			}
			if ok {
				n++
			}
		}
		return n, nil
	},
}
