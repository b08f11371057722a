// Package jinja renders chat templates: the part of Jinja 2 that the templates
// of Hugging Face models use, with the settings of transformers (trim_blocks,
// lstrip_blocks, loop controls, generation blocks, its tojson).
//
// A template comes with a model somebody else made, so it is treated as such:
// it reaches no files, no other templates and no mutable state, and its steps,
// nesting and sizes are bounded. Whatever is outside the subset is an error
// that names it and the line.
//
// A template goes through lex.go (text and tags), parse.go and parseexpr.go
// (statements and expressions, in the grammar of jinja2/parser.py) and is run by
// stmt.go and expr.go; runtime.go holds the bounds and is where to begin reading.
//
// Values are Python's: what they print, how they compare and what their methods do
// is CPython's, because templates rely on it. The goldens in testdata are renderings
// of transformers itself.
package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of one rendering. Real templates stay far below all of them.
// They bound work, not time, so that a template that is refused is refused on every machine.
const (
	maxSteps = 2_000_000 // statements, expressions and comparisons evaluated
	maxDepth = 400       // calls within calls, values within values
	maxSize  = 16 << 20  // bytes of the text or of any string in it; items of a list
	maxMade  = 1 << 30   // bytes of all strings and lists made on the way
	maxRange = 100_000   // items of range(), as in the reference
)

// runtime is one rendering.
// It belongs to one goroutine. depth returns to what it was when a call returns, with an
// error or not; steps and bytes only grow, which is what makes every rendering end.
type runtime struct {
	out   *strings.Builder
	steps int
	depth int
	bytes int // made so far
	now   func() time.Time
}

// step counts work.
func (rt *runtime) step(n int) error {
	if rt.steps += n; rt.steps > maxSteps {
		return errors.New("the template takes too many steps")
	}
	return nil
}

// enter counts work that nests; leave ends it.
func (rt *runtime) enter() error {
	rt.depth++ // before any error: leave follows in every case
	if rt.depth > maxDepth {
		rt.depth--
		return errors.New("values or calls are nested too deep")
	}
	if err := rt.step(1); err != nil {
		rt.depth--
		return err
	}
	return nil
}

func (rt *runtime) leave() { rt.depth-- }

// errTooLarge is the one refusal of all bounds on sizes.
var errTooLarge = errors.New("the template makes values that are too large")

// made counts a new string of n bytes or list of n/16 items.
// Where a template chooses the size (repeat, replaceIn, indent) it is checked before the
// value is made, elsewhere after. Memory that is free again still counts: the bound is on
// work, not on what lives.
func (rt *runtime) made(n int) error {
	rt.bytes += n
	if n > maxSize || rt.bytes > maxMade {
		return errTooLarge
	}
	return nil
}

// print adds to the text.
// The text is bounded by itself, and counts as made, for a body may be captured again and again.
func (rt *runtime) print(s string) error {
	rt.out.WriteString(s)
	if rt.out.Len() > maxSize {
		return errTooLarge
	}
	return rt.made(len(s))
}

// frame is a scope: names set in it, and the scope around it.
// Scopes are made by loops, with, generation, macros and block sets; if has none. A lookup
// goes outwards, an assignment never does: that is Jinja's rule, and namespaces exist for it.
type frame struct {
	rt     *runtime
	vars   map[string]Value
	parent *frame
}

// inner is a new scope in f.
func (f *frame) inner() *frame { return &frame{rt: f.rt, vars: map[string]Value{}, parent: f} }

// lookup gives a name's value from the innermost scope that has it.
// It gives undefined for a name that no scope has, which is no error by itself.
func (f *frame) lookup(name string) Value {
	for s := f; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	return undefined{fmt.Sprintf("%q", name)}
}

// capture renders a body into a string of its own.
// The output is put back also after an error, although a rendering ends with its first.
func (f *frame) capture(body []stmt) (string, error) {
	rt := f.rt
	outer := rt.out
	rt.out = &strings.Builder{}
	err := run(f, body)
	s := rt.out.String()
	rt.out = outer
	return s, err
}

// Template is a parsed template; it may be rendered by several goroutines.
// Nothing of it is written after Parse.
type Template struct{ body []stmt }

// Parse reads a template. An error names the line and what is not understood.
func Parse(src string) (*Template, error) {
	body, err := parse(src)
	if err != nil {
		return nil, err
	}
	return &Template{body}, nil
}

// Options of a rendering.
// The zero value is what transformers does.
type Options struct {
	Now func() time.Time // what strftime_now reads; nil: the clock
}

// Render runs the template with these variables. Values are nil, bool, int,
// int64, float64, string, *List, *Dict or lists of them as []any. An error
// names the line; raise_exception in the template gives one with its text.
// A variable of a global's name hides it.
func (t *Template) Render(vars map[string]any, o Options) (string, error) {
	rt := &runtime{out: &strings.Builder{}, now: o.Now}
	if rt.now == nil {
		rt.now = time.Now
	}
	top := &frame{rt: rt, vars: globals, parent: nil}
	f := top.inner()
	for k, v := range vars {
		w, err := fromGo(v)
		if err != nil {
			return "", fmt.Errorf("variable %q: %w", k, err)
		}
		f.vars[k] = w
	}
	// Templates set names in a scope of their own: globals stay as they are.
	if err := run(f, t.body); err != nil {
		return "", err
	}
	return rt.out.String(), nil
}

// fromGo makes a value of the language of one of Go.
// The caller's *List and *Dict are taken as they are: no template can change them.
func fromGo(v any) (Value, error) {
	switch v := v.(type) {
	case nil, bool, int64, float64, string, *Dict, *List:
		return v, nil
	case int:
		return int64(v), nil
	case []any:
		l := &List{Items: make([]Value, len(v))}
		for i := range v {
			var err error
			if l.Items[i], err = fromGo(v[i]); err != nil {
				return nil, err
			}
		}
		return l, nil
	}
	return nil, fmt.Errorf("type %T has no counterpart in a template", v)
}
