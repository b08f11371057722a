package jinja

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
)

// filterFunc is a filter: v is what stands before the bar.
// It takes its arguments out of a; what it leaves there the caller refuses
// (argValues.unused).
type filterFunc = func(rt *runtime, v Value, a *argValues) (Value, error)

// filters are those of jinja2/filters.py that templates of models use, under their
// names there, with the tojson of transformers.
var filters map[string]filterFunc

// Filters whose reference is a Python iterator (map, select, unique, items, reverse) give
// lists here. A template that prints one shows a list, where Python would show a generator's
// address.
func init() { // map and select refer to the tables
	filters = map[string]filterFunc{
		"trim":  onString(func(rt *runtime, s string, a *argValues) (Value, error) { return strip(s, a, true, true) }),
		"upper": onString(mapped(upper)), "lower": onString(mapped(lower)),
		"capitalize": onString(mapped(capitalize)), "title": onString(mapped(titleFilter)),
		"string":  onString(func(_ *runtime, s string, _ *argValues) (Value, error) { return s, nil }),
		"replace": onString(replaceIn), "indent": onString(indent),
		"length": count, "count": count,
		"tojson":  toJSON,
		"default": defaultTo, "d": defaultTo,
		"join": joinFilter,
		// Of a dict the first key, of a text the first character.
		"first": func(_ *runtime, v Value, _ *argValues) (Value, error) {
			items, err := iterate(v)
			if err != nil || len(items) == 0 {
				return undefined{"the first item of nothing"}, err
			}
			return items[0], nil
		},
		"last": func(_ *runtime, v Value, _ *argValues) (Value, error) {
			items, err := iterate(v)
			if err != nil || len(items) == 0 {
				return undefined{"the last item of nothing"}, err
			}
			return items[len(items)-1], nil
		},
		// The items are shared with the value they come from, as nothing changes either.
		"list": func(rt *runtime, v Value, _ *argValues) (Value, error) {
			items, err := iterate(v)
			return &List{Items: items}, err
		},
		"items": func(rt *runtime, v Value, _ *argValues) (Value, error) {
			switch v := v.(type) {
			case *Dict:
				return pairs(rt, v)
			case undefined:
				return &List{}, nil
			}
			return nil, fmt.Errorf("items takes a dict, not a %s", typeName(v))
		},
		"dictsort":   dictSort,
		"reverse":    reverse,
		"sort":       sortItems,
		"unique":     unique,
		"map":        mapItems,
		"select":     func(rt *runtime, v Value, a *argValues) (Value, error) { return choose(rt, v, a, false, true) },
		"reject":     func(rt *runtime, v Value, a *argValues) (Value, error) { return choose(rt, v, a, false, false) },
		"selectattr": func(rt *runtime, v Value, a *argValues) (Value, error) { return choose(rt, v, a, true, true) },
		"rejectattr": func(rt *runtime, v Value, a *argValues) (Value, error) { return choose(rt, v, a, true, false) },
		"int":        toInt, "float": toFloat,
		"abs": func(_ *runtime, v Value, _ *argValues) (Value, error) {
			if i, ok := integer(v); ok {
				if i < 0 {
					return arithmetic("-", 0, i)
				}
				return i, nil
			}
			x, ok := number(v)
			if !ok {
				return nil, operandError("abs", v)
			}
			return math.Abs(x), nil
		},
		"sum": sum,
		"min": func(rt *runtime, v Value, _ *argValues) (Value, error) { return extreme(rt, v, -1) },
		"max": func(rt *runtime, v Value, _ *argValues) (Value, error) { return extreme(rt, v, 1) },
		// attr never gives an item, where a dot gives one if there is no attribute.
		"attr": func(_ *runtime, v Value, a *argValues) (Value, error) {
			n, err := stringArg(a, 0, "name")
			if err != nil {
				return nil, err
			}
			if m := method(v, n); m != nil {
				return m, nil
			}
			if _, ok := v.(*Dict); ok { // attributes only, not items
				return undefined{fmt.Sprintf("attribute %q of a dict", n)}, nil
			}
			return member(v, n)
		},
	}
	// Every filter is wrapped, because any may be applied to what escape or safe made.
	for name, f := range filters {
		filters[name] = aroundMarkup(name, f)
	}
	maps.Copy(filters, escapeFilters)
}

// onString prints its operand first, as the string filters of the reference do.
func onString(f stringMethod) filterFunc {
	return func(rt *runtime, v Value, a *argValues) (Value, error) {
		s, err := str(rt, v)
		if err != nil {
			return nil, err
		}
		return f(rt, s, a)
	}
}

// titleFilter capitalises what follows blanks and opening brackets; the method
// of strings does so after anything that is no letter.
// The split is at the reference's _word_beginning_split_re: one of - ( { [ < or a blank,
// kept.
func titleFilter(s string) string {
	var b strings.Builder
	start := 0
	flush := func(end int) {
		if start < end {
			b.WriteString(capitalize(s[start:end]))
		}
	}
	for i, r := range s {
		if isSpace(r) || strings.ContainsRune("-({[<", r) {
			flush(i)
			b.WriteRune(r)
			start = i + len(string(r))
		}
	}
	flush(len(s))
	return b.String()
}

// indent is do_indent: all lines but the first, and none that is empty, unless asked
// for.
// An empty text stays empty. The reference splits by splitlines, which also ends lines at
// rare separators such as U+2028; here only a newline does.
func indent(rt *runtime, s string, a *argValues) (Value, error) {
	pad := "    "
	if v, ok := a.take(0, "width"); ok {
		if n, ok := integer(v); ok && n <= 1000 {
			pad = strings.Repeat(" ", int(max(0, n)))
		} else if t, ok := v.(string); ok {
			pad = t
		} else {
			return nil, fmt.Errorf("indent: width is neither a small number nor a string")
		}
	}
	first, _ := a.take(1, "first")
	blank, _ := a.take(2, "blank")
	lines := strings.Split(s, "\n")
	if n := len(lines); len(s)+n*len(pad) > maxSize {
		return nil, errTooLarge
	}
	for i := range lines {
		if i > 0 && (lines[i] != "" || truth(blank)) || i == 0 && truth(first) {
			lines[i] = pad + lines[i]
		}
	}
	return strings.Join(lines, "\n"), rt.made(len(s) + len(lines)*len(pad))
}

// count is length under both its names.
func count(_ *runtime, v Value, _ *argValues) (Value, error) {
	n, err := length(v)
	return int64(n), err
}

// defaultTo stands in for what is undefined, with a second argument for all that
// counts as false.
// none is a value and is kept, unless the second argument asks for truth.
func defaultTo(_ *runtime, v Value, a *argValues) (Value, error) {
	def, ok := a.take(0, "default_value")
	if !ok {
		def = ""
	}
	falseToo, _ := a.take(1, "boolean")
	if _, missing := v.(undefined); missing || truth(falseToo) && !truth(v) {
		return def, nil
	}
	return v, nil
}

// joinFilter is do_join, of the items or of an attribute of each.
func joinFilter(rt *runtime, v Value, a *argValues) (Value, error) {
	sep, given := a.take(0, "d")
	if !given { // and not where it is none, which prints as None
		sep = ""
	}
	s, err := str(rt, sep)
	if err != nil {
		return nil, err
	}
	if by, ok := a.take(1, "attribute"); ok && by != nil {
		items, err := iterate(v)
		if err != nil {
			return nil, err
		}
		out := &List{}
		for _, x := range items {
			y, err := path(x, by)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, y)
		}
		v = out
	}
	return joinItems(rt, v, s)
}

// joinItems prints items with sep between them.
// str.join of Python refuses items that are no strings; the filter prints them. Templates are
// served by the filter's rule in both, so a mistake that Python finds prints here.
func joinItems(rt *runtime, v Value, sep string) (Value, error) {
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, x := range items {
		if i > 0 {
			b.WriteString(sep)
		}
		s, err := str(rt, x)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
		if b.Len() > maxSize {
			return nil, errTooLarge
		}
	}
	return b.String(), rt.made(b.Len())
}

// toInt is do_int: what is no number gives the default, quietly.
// "42.9" is 42, by way of a float (do_int says so). The base, its second parameter, is not
// taken. Beyond 64 bits the default is given where Python has a larger integer.
func toInt(_ *runtime, v Value, a *argValues) (Value, error) {
	if u, ok := v.(undefined); ok {
		return nil, u.err()
	}
	def, ok := a.take(0, "default")
	if !ok {
		def = int64(0)
	}
	switch v := v.(type) {
	case float64:
		if math.Abs(v) < 1<<63 {
			return int64(v), nil
		}
	case string:
		s := strings.TrimFunc(v, isSpace)
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, nil
		}
		if x, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(x) < 1<<63 {
			return int64(x), nil
		}
	}
	if i, ok := integer(v); ok {
		return i, nil
	}
	return def, nil
}

// toFloat is do_float.
// Words such as nan and inf are floats, in Go as in Python.
func toFloat(_ *runtime, v Value, a *argValues) (Value, error) {
	if u, ok := v.(undefined); ok {
		return nil, u.err()
	}
	def, ok := a.take(0, "default")
	if !ok {
		def = 0.0
	}
	if s, ok := v.(string); ok {
		if x, err := strconv.ParseFloat(strings.TrimFunc(s, isSpace), 64); err == nil {
			return x, nil
		}
	}
	if x, ok := number(v); ok {
		return x, nil
	}
	return def, nil
}

// sum is do_sum, whose + is that of the language: it also joins lists.
// It starts from 0, so that a sum of lists needs start=[], as Python's needs it.
func sum(rt *runtime, v Value, a *argValues) (Value, error) {
	by, _ := a.take(0, "attribute")
	total, ok := a.take(1, "start")
	if !ok {
		total = int64(0)
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	for _, x := range items {
		if by != nil {
			if x, err = path(x, by); err != nil {
				return nil, err
			}
		}
		if total, err = (&binary{"+", constant{total}, constant{x}}).eval(&frame{rt: rt}); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// extreme is the smallest (sign -1) or largest item.
// Of equal items the first wins, and strings are compared without case (_min_or_max); the
// arguments case_sensitive and attribute are not taken and are refused.
func extreme(rt *runtime, v Value, sign int) (Value, error) {
	items, err := iterate(v)
	if err != nil || len(items) == 0 {
		return undefined{"an extreme of nothing"}, err
	}
	best := items[0]
	for _, x := range items[1:] {
		if order(rt, folded(x), folded(best), &err) == sign {
			best = x
		}
		if err != nil {
			return nil, err
		}
	}
	return best, nil
}
