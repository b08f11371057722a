package jinja

import (
	"fmt"
	"strings"
	"time"
)

// globals are the functions every template sees.
// lipsum, cycler and joiner of jinja2/defaults.py are missing. raise_exception and
// strftime_now are what transformers adds. The table is shared by all renderings and read
// only: a template that sets such a name sets it in its own frame.
var globals = map[string]Value{
	"range":           &function{"range", rangeOf},
	"namespace":       &function{"namespace", newNamespace},
	"dict":            &function{"dict", newDict},
	"raise_exception": &function{"raise_exception", raise},
	"strftime_now":    &function{"strftime_now", strftimeNow},
}

// rangeOf is range(), with the bound of Jinja's sandbox (MAX_RANGE).
// A range is a list here, not a lazy value, which the bound makes cheap.
func rangeOf(rt *runtime, a *argValues) (Value, error) {
	var at [3]int64
	n := len(a.list)
	if n < 1 || n > 3 {
		return nil, fmt.Errorf("range takes one to three integers")
	}
	for i := range n {
		v, _ := a.take(i, "")
		var ok bool
		if at[i], ok = integer(v); !ok {
			return nil, fmt.Errorf("range takes integers, not a %s", typeName(v))
		}
	}
	from, to, step := int64(0), at[0], int64(1)
	if n > 1 {
		from, to = at[0], at[1]
	}
	if n > 2 {
		step = at[2]
	}
	if step == 0 {
		return nil, fmt.Errorf("the step of a range is zero")
	}
	// Items are counted as they are made, so that a range beyond the bound costs no more than one
	// at it.
	out := &List{}
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if len(out.Items) >= maxRange {
			return nil, fmt.Errorf("range makes more than %d items", maxRange)
		}
		out.Items = append(out.Items, i)
		if (i+step > i) != (step > 0) { // past the largest integer
			break
		}
	}
	return out, rt.made(16 * len(out.Items))
}

// fields makes a dict of another dict and of named arguments.
// Named arguments win over the dict, as in Python's dict(d, a=1).
func fields(of string, a *argValues) (Dict, error) {
	var d Dict
	if v, ok := a.take(0, ""); ok {
		from, ok := v.(*Dict)
		if !ok {
			return d, fmt.Errorf("%s takes a dict, not a %s", of, typeName(v))
		}
		for _, k := range from.keys {
			x, _ := from.Get(k)
			d.Set(k, x)
		}
	}
	for _, n := range a.order {
		d.Set(n, a.named[n])
	}
	a.named = nil
	return d, nil
}

// newNamespace makes the one kind of value that a template may change, so that a loop
// can tell what is behind it something.
// Underscores are refused as transformers' TemplateNamespace refuses double ones, by a
// simpler rule.
func newNamespace(_ *runtime, a *argValues) (Value, error) {
	d, err := fields("namespace", a)
	if err != nil {
		return nil, err
	}
	for _, k := range d.keys {
		if n, ok := k.(string); ok && strings.HasPrefix(n, "_") {
			return nil, fmt.Errorf("attribute %q of a namespace may not start with _", n)
		}
	}
	return &namespace{d}, nil
}

// newDict is dict(), of named arguments or of another dict.
func newDict(_ *runtime, a *argValues) (Value, error) {
	d, err := fields("dict", a)
	return &d, err
}

// RaisedError is what a template says with raise_exception.
type RaisedError struct{ Message string }

// Error is the template's own words: they are written for whoever made the conversation.
func (e *RaisedError) Error() string { return e.Message }

// raise ends a rendering on purpose: templates refuse conversations that their model
// was not made for. The text becomes one line.
func raise(rt *runtime, a *argValues) (Value, error) {
	v, _ := a.take(0, "message")
	s, err := str(rt, v)
	if err != nil {
		return nil, err
	}
	return nil, &RaisedError{strings.ReplaceAll(s, "\n", " ")}
}

// strftimeNow is the date of today in a template's own format.
// The clock is an option of the rendering, so that what a prompt with a date becomes can be
// tested.
func strftimeNow(rt *runtime, a *argValues) (Value, error) {
	v, _ := a.take(0, "format")
	format, ok := plain(v).(string)
	if !ok {
		return nil, fmt.Errorf("strftime_now takes a string, not a %s", typeName(v))
	}
	return strftime(rt.now(), format)
}

// timeLayouts are the directives of strftime by Go's layouts.
// %z and %Z give nothing, as of a time without a zone; %c, %x and %X are those of the C locale.
var timeLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'd': "02", 'm': "01", 'y': "06", 'Y': "2006",
	'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'z': "", 'Z': "",
	'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05", 'D': "01/02/06", 'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'e': "_2",
	'h': "Jan",
}

// strftime formats as C does in the C locale; the time has no zone, as
// datetime.now() has none.
// A dash drops leading zeros, as in glibc (%-d). Directives outside the table are an error
// here; what C libraries do with them differs.
// A lone % at the end is written as it is.
func strftime(t time.Time, format string) (Value, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := timeLayouts[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == '-' && i+1 < len(format) && strings.IndexByte("dmHIMSj", format[i+1]) >= 0:
			i++
			s := strings.TrimLeft(t.Format(timeLayouts[format[i]]), "0")
			if s == "" {
				s = "0"
			}
			b.WriteString(s)
		case !ok:
			return nil, fmt.Errorf("strftime_now: %%%c is not supported", format[i])
		case layout != "":
			b.WriteString(t.Format(layout))
		}
	}
	return b.String(), nil
}
