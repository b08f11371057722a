package jinja

import (
	"fmt"
	"slices"
)

// args are the arguments of a call, argValues what they evaluate to.
// names and named are of equal length, in the order written.
type args struct {
	list  []expr
	names []string
	named []expr
}

// argValues keep count of what a function took of them: what is left over was a
// mistake of the template, which Python would refuse, too.
// A function takes each argument by position and name at once, through take, in any order.
// The caller then asks unused, so that no function checks its count of arguments by itself.
type argValues struct {
	list  []Value
	named map[string]Value
	order []string // of the names
	taken int      // of list
}

// eval evaluates the arguments from the left.
// A name that is given twice has the last value, where Python refuses the call.
func (a args) eval(f *frame) (argValues, error) {
	v := argValues{order: a.names}
	for _, e := range a.list {
		x, err := e.eval(f)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, x)
	}
	for i, n := range a.names {
		x, err := a.named[i].eval(f)
		if err != nil {
			return v, err
		}
		if v.named == nil {
			v.named = map[string]Value{}
		}
		v.named[n] = x
	}
	return v, nil
}

// applied evaluates what a filter or a test is applied to, and then its
// arguments.
func (a args) applied(f *frame, of expr) (Value, argValues, error) {
	v, err := of.eval(f)
	if err != nil {
		return nil, argValues{}, err
	}
	values, err := a.eval(f)
	return v, values, err
}

// take gives the argument at position i or of that name.
// A value given both by position and by name stays in named and is refused by unused. An
// empty name means that the argument has none in Python (positional only).
func (a *argValues) take(i int, name string) (Value, bool) {
	if i < len(a.list) {
		a.taken = max(a.taken, i+1)
		return a.list[i], true
	}
	v, ok := a.named[name]
	delete(a.named, name)
	return v, ok
}

// unused refuses arguments that nothing took.
func (a *argValues) unused(of string) error {
	if a.taken < len(a.list) {
		return fmt.Errorf("%s takes %d arguments, %d given", of, a.taken, len(a.list))
	}
	for n := range a.named {
		return fmt.Errorf("%s takes no argument %q", of, n)
	}
	return nil
}

// callExpr is fn(arguments).
type callExpr struct {
	fn expr
	args
}

// The callee is evaluated before the arguments, as in Python: an undefined one is reported
// although they may fail, too.
// What is left of the arguments is refused after the call, when the function has taken those that
// it knows.
func (c *callExpr) eval(f *frame) (Value, error) {
	fn, err := c.fn.eval(f)
	if err != nil {
		return nil, err
	}
	a, err := c.args.eval(f)
	if err != nil {
		return nil, err
	}
	switch fn := fn.(type) {
	case *function:
		v, err := fn.call(f.rt, &a)
		if err == nil {
			err = a.unused(fn.name)
		}
		return v, err
	case undefined:
		return nil, fn.err()
	}
	return nil, fmt.Errorf("a %s cannot be called", typeName(fn))
}

// filterExpr is of|name(arguments).
// The function was found when the template was parsed; only map and its like look one up by a
// name that is known when they run.
type filterExpr struct {
	of   expr
	name string
	fn   filterFunc
	args
}

func (e *filterExpr) eval(f *frame) (Value, error) {
	v, a, err := e.args.applied(f, e.of)
	if err != nil {
		return nil, err
	}
	if v, err = e.fn(f.rt, v, &a); err == nil {
		err = a.unused("filter " + e.name)
	}
	return v, err
}

// testExpr is of is name(arguments).
type testExpr struct {
	of   expr
	name string
	fn   testFunc
	args
}

func (e *testExpr) eval(f *frame) (Value, error) {
	v, a, err := e.args.applied(f, e.of)
	if err != nil {
		return nil, err
	}
	ok, err := e.fn(f.rt, v, &a)
	if err == nil {
		err = a.unused("test " + e.name)
	}
	return ok, err
}

// method is the bound method of that name, nil when the type has none. None
// changes its value: the reference refuses those that do.
// ImmutableSandboxedEnvironment refuses append, update, pop and the other methods that change
// lists and dicts; they are left out of the tables, and the value of such a name is
// undefined.
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
// The method counts its own arguments from 0: the value is none of them.
func bind[T any](name string, v T, m func(*runtime, T, *argValues) (Value, error)) Value {
	return &function{name, func(rt *runtime, a *argValues) (Value, error) { return m(rt, v, a) }}
}

// dictMethods are those of dict that change nothing.
// keys, values and items give lists, where Python gives views. As nothing changes a dict
// while a template runs, the only difference seen is how one prints.
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
	// A copy is for changing it, which nothing can: the same dict will do.
	"copy": func(_ *runtime, d *Dict, _ *argValues) (Value, error) { return d, nil },
}

// pairs lists a dict as tuples of key and value.
// It makes new tuples of the values themselves.
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
