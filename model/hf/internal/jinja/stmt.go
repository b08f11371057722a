package jinja

import (
	"errors"
	"fmt"
)

// stmt is a statement; exec writes what it prints.
type stmt interface{ exec(f *frame) error }

// located is an error with the line it happened on.
// Statements add the line and expressions do not: an expression is inside one tag, which has
// one.
type located struct {
	line int
	err  error
}

func (l *located) Error() string { return fmt.Sprintf("line %d: %v", l.line, l.err) }
func (l *located) Unwrap() error { return l.err }

// at adds the line to an error that has none.
func at(line int, err error) error {
	var l *located
	if err == nil || errors.Is(err, errBreak) || errors.Is(err, errContinue) || errors.As(err, &l) {
		return err
	}
	return &located{line, err}
}

// What leaves a loop travels as an error through the statements in it.
var (
	// They never leave the loop they belong to, because the parser refuses them elsewhere;
	// forLoop stops both, and at lets them pass without a line.
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// run executes statements in order, up to the first that fails.
func run(f *frame, body []stmt) error {
	for _, s := range body {
		if err := f.rt.step(1); err != nil {
			return err
		}
		if err := s.exec(f); err != nil {
			return err
		}
	}
	return nil
}

// text is what stands between tags.
type text string

func (t text) exec(f *frame) error {
	return f.rt.print(string(t))
}

// output is {{ expression }}.
type output struct {
	line int
	e    expr
}

// undefined prints as nothing, since transformers keeps Jinja's default Undefined.
func (o *output) exec(f *frame) error {
	v, err := o.e.eval(f)
	return f.rt.printValue(o.line, v, err)
}

// printValue prints a value that was just made, unless making it failed.
func (rt *runtime) printValue(line int, v Value, err error) error {
	var s string
	if err == nil {
		s, err = str(rt, v)
	}
	if err == nil {
		err = rt.print(s)
	}
	return at(line, err)
}

// jump is break or, where stop is false, continue.
type jump struct {
	line int
	stop bool
}

func (j *jump) exec(*frame) error {
	if j.stop {
		return errBreak
	}
	return errContinue
}

// arm is a condition with its body.
type arm struct {
	cond expr
	body []stmt
}

// ifBlock runs the first arm whose condition is true. An if has no scope of its own:
// names set in it stay.
type ifBlock struct {
	line   int
	arms   []arm
	orElse []stmt
}

func (n *ifBlock) exec(f *frame) error {
	for _, a := range n.arms {
		v, err := a.cond.eval(f)
		if err != nil {
			return at(n.line, err)
		}
		if truth(v) {
			return run(f, a.body)
		}
	}
	return run(f, n.orElse)
}

// forLoop runs its body once an item, each time in a new scope: a name set in it is
// gone with the item. That is why templates use namespaces.
// recursive is not there, which the parser refuses.
type forLoop struct {
	line    int
	targets []string
	over    expr
	cond    expr // nil: all items
	body    []stmt
	orElse  []stmt
}

// else runs when there were no items, after the condition; Python's else of a loop, which
// runs when there was no break, is another thing.
func (n *forLoop) exec(f *frame) error {
	items, err := n.items(f)
	if err != nil {
		return at(n.line, err)
	}
	for i, item := range items {
		if err := f.rt.step(4); err != nil { // a scope costs more than an expression
			return at(n.line, err)
		}
		in := f.inner()
		if err := in.assign(n.targets, item); err != nil {
			return at(n.line, err)
		}
		in.vars["loop"] = &loop{items: items, at: i}
		err := run(in, n.body)
		if errors.Is(err, errBreak) {
			break
		}
		if err != nil && !errors.Is(err, errContinue) {
			return err
		}
	}
	if len(items) == 0 {
		return run(f.inner(), n.orElse)
	}
	return nil
}

// items is what the loop goes over, its condition applied.
// The condition is applied before the loop begins, so that loop.index and loop.last count
// only what is kept. The variable loop is not set yet.
func (n *forLoop) items(f *frame) ([]Value, error) {
	over, err := n.over.eval(f)
	if err != nil {
		return nil, err
	}
	items, err := iterate(over)
	if err != nil || n.cond == nil {
		return items, err
	}
	var kept []Value
	for _, item := range items {
		in := f.inner()
		if err := in.assign(n.targets, item); err != nil {
			return nil, err
		}
		v, err := n.cond.eval(in)
		if err != nil {
			return nil, err
		}
		if truth(v) {
			kept = append(kept, item)
		}
	}
	return kept, nil
}

// assign sets one name, or several to the items of a value.
// A string is unpacked into its characters, as in Python, if their number fits.
// Names are set in f alone, so that f has to be the scope of the statement.
func (f *frame) assign(names []string, v Value) error {
	if len(names) == 1 {
		f.vars[names[0]] = v
		return nil
	}
	items, err := iterate(v)
	if err != nil {
		return err
	}
	if len(items) != len(names) {
		return fmt.Errorf("%d values for %d names", len(items), len(names))
	}
	for i, n := range names {
		f.vars[n] = items[i]
	}
	return nil
}

// set is {% set a = b %}, {% set ns.a = b %} or {% set a %}…{% endset %}.
// targets has one name where attr, body or filters are given.
type set struct {
	line    int
	targets []string
	attr    string // of a namespace
	value   expr   // nil: the body
	body    []stmt
	filters []*filterExpr
}

// A namespace is looked up through all scopes and changed where it is, from inside loops,
// too: the one effect that a body has on what is around it.
func (s *set) exec(f *frame) error {
	var v Value
	var err error
	if s.value != nil {
		v, err = s.value.eval(f)
	} else {
		v, err = captureThrough(f.inner(), s.body, s.filters)
	}
	if err != nil {
		return at(s.line, err)
	}
	if s.attr == "" {
		return at(s.line, f.assign(s.targets, v))
	}
	ns, ok := f.lookup(s.targets[0]).(*namespace)
	if !ok {
		return at(s.line, fmt.Errorf("%q is not a namespace: its attributes cannot be set", s.targets[0]))
	}
	if s.attr[0] == '_' {
		return at(s.line, fmt.Errorf("attribute %q of a namespace may not start with _", s.attr))
	}
	ns.attrs.Set(s.attr, v)
	return nil
}

// captured is what a filter of a block works on.
// Filters of expressions hold what they are applied to as an expression; a block has text
// instead, which this stands for.
type captured struct{}

func (captured) eval(f *frame) (Value, error) { return f.vars[capturedName], nil }

// capturedName is where a block's text stands for the filters that it goes through.
const capturedName = "|" // no template can spell it

// captureThrough renders a body and sends its text through filters.
// The text is plain, not markup: autoescape is off.
// f is a scope made for it, in which the text stands between two filters.
func captureThrough(f *frame, body []stmt, filters []*filterExpr) (Value, error) {
	s, err := f.capture(body)
	if err != nil {
		return nil, err
	}
	f.vars[capturedName] = s
	for _, fl := range filters {
		v, err := fl.eval(f)
		if err != nil {
			return nil, err
		}
		f.vars[capturedName] = v
	}
	return f.vars[capturedName], nil
}

// filterBlock is {% filter a|b %}.
type filterBlock struct {
	line    int
	filters []*filterExpr
	body    []stmt
}

func (b *filterBlock) exec(f *frame) error {
	v, err := captureThrough(f.inner(), b.body, b.filters)
	return f.rt.printValue(b.line, v, err)
}

// scope is {% with %} and {% generation %}: names set within end with it.
type scope struct {
	line   int
	names  []string
	values []expr
	body   []stmt
}

// With no names it is the body in a scope of its own, which is all that generation is.
func (s *scope) exec(f *frame) error {
	in := f.inner()
	for i, e := range s.values {
		v, err := e.eval(f)
		if err != nil {
			return at(s.line, err)
		}
		in.vars[s.names[i]] = v
	}
	return run(in, s.body)
}

// param is a macro's argument; def, its default, may be nil.
type param struct {
	name string
	def  expr
}

// macro defines a function whose value is the text its body renders. The body sees
// the scope of the definition, not that of the call.
// A macro is a value: it is called in expressions, and by other macros.
type macro struct {
	line   int
	name   string
	params []param
	body   []stmt
}

// Defaults are evaluated at each call, in the macro's scope, and may speak of parameters
// before them. varargs, kwargs and caller, which Jinja offers in a body, are undefined.
func (m *macro) exec(f *frame) error {
	f.vars[m.name] = &function{"macro " + m.name, func(rt *runtime, a *argValues) (Value, error) {
		if err := rt.enter(); err != nil {
			return nil, err
		}
		defer rt.leave()
		in := f.inner()
		for i, q := range m.params {
			v, given := a.take(i, q.name)
			if !given {
				v = undefined{fmt.Sprintf("argument %q", q.name)}
				if q.def != nil {
					var err error
					if v, err = q.def.eval(in); err != nil {
						return nil, err
					}
				}
			}
			in.vars[q.name] = v
		}
		return in.capture(m.body)
	}}
	return nil
}
