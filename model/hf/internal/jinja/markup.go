package jinja

import (
	"fmt"
	"strings"
)

// markup is text that needs no more escaping for HTML, as the filters e and safe
// make it (markupsafe.Markup): what is added to it with + is escaped. Elsewhere it
// is a string.
// Autoescape is off in transformers, as it is here, so markup comes of these filters alone.
type markup string

// htmlEscapes are markupsafe's.
// Numbers and no names for quotes: &#39; and &#34; are what markupsafe.escape writes.
var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

// escaped is what a value prints, escaped unless it is markup.
func escaped(rt *runtime, v Value) (markup, error) {
	if m, ok := v.(markup); ok {
		return m, nil
	}
	s, err := str(rt, v)
	if err != nil {
		return "", err
	}
	s = htmlEscapes.Replace(s)
	return markup(s), rt.made(len(s))
}

// plain is a value in which markup is a string again.
// Whatever looks at a value by its type calls it first, so that markup is met in few places.
func plain(v Value) Value {
	if m, ok := v.(markup); ok {
		return string(m)
	}
	return v
}

// plain makes the arguments strings.
func (a *argValues) plain() {
	for i := range a.list {
		a.list[i] = plain(a.list[i])
	}
	for n := range a.named {
		a.named[n] = plain(a.named[n])
	}
}

// keepMarkup are filters whose result is markup if what they are applied to is.
var keepMarkup = map[string]bool{"upper": true, "lower": true, "capitalize": true, "trim": true, "string": true, "indent": true}

// takesMarkup are filters that know markup themselves or hand it on.
var takesMarkup = map[string]bool{"default": true, "d": true}

// aroundMarkup lets a filter that knows only strings take markup.
// The reference's filters work on Markup's own methods, which give Markup again; keepMarkup
// lists where that shows.
func aroundMarkup(name string, f filterFunc) filterFunc {
	if takesMarkup[name] {
		return f
	}
	return func(rt *runtime, v Value, a *argValues) (Value, error) {
		_, was := v.(markup)
		a.plain()
		out, err := f(rt, plain(v), a)
		if s, ok := out.(string); ok && was && keepMarkup[name] {
			return markup(s), err
		}
		return out, err
	}
}

// escapeFilters are those that make markup.
var escapeFilters = map[string]filterFunc{
	"e": escapeFilter, "escape": escapeFilter,
	"forceescape": func(rt *runtime, v Value, _ *argValues) (Value, error) { return escaped(rt, plain(v)) },
	"safe": func(rt *runtime, v Value, _ *argValues) (Value, error) {
		s, err := str(rt, v)
		return markup(s), err
	},
}

// escapeFilter leaves markup as it is, where forceescape escapes it a second time.
func escapeFilter(rt *runtime, v Value, _ *argValues) (Value, error) { return escaped(rt, v) }

// markupMethod is a string's method on markup: its texts are markup again, and a
// replacement is escaped.
func markupMethod(m markup, name string) Value {
	f := stringMethods[name]
	if f == nil {
		return nil
	}
	return &function{name, func(rt *runtime, a *argValues) (Value, error) {
		switch {
		case name == "join":
			return nil, fmt.Errorf("join of escaped text is not supported")
		case name == "replace" && len(a.list) > 1:
			with, err := escaped(rt, a.list[1])
			if err != nil {
				return nil, err
			}
			a.list[1] = with
		}
		a.plain()
		v, err := f(rt, string(m), a)
		return asMarkup(v), err
	}}
}

// asMarkup makes a string, or the strings of a list, markup.
// The list is what split gives; values of other kinds, such as the number of find, stay.
func asMarkup(v Value) Value {
	switch v := v.(type) {
	case string:
		return markup(v)
	case *List:
		out := &List{tuple: v.tuple}
		for _, x := range v.Items {
			out.Items = append(out.Items, asMarkup(x))
		}
		return out
	}
	return v
}

// addMarkup is a + b where one of them is markup; ok is false where neither is,
// or the other is no text.
// Markup.__add__ and __radd__ escape the other side; with anything but a string Python
// raises, and binary goes on to say so.
func addMarkup(rt *runtime, a, b Value) (v Value, ok bool, err error) {
	_, left := a.(markup)
	_, right := b.(markup)
	_, text := plain(a).(string)
	_, too := plain(b).(string)
	if !left && !right || !text || !too {
		return nil, false, nil
	}
	x, err := escaped(rt, a)
	if err != nil {
		return nil, true, err
	}
	y, err := escaped(rt, b)
	if err != nil {
		return nil, true, err
	}
	return x + y, true, rt.made(len(x) + len(y))
}
