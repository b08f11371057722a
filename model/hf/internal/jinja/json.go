package jinja

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// jsonStyle is what tojson may be told.
// lines without an indent is indent=0 of Python: line breaks and no blanks.
type jsonStyle struct {
	indent     string // "" with one line
	lines      bool
	item, key  string // separators behind an item and a key
	ascii      bool
	sortedKeys bool
}

// toJSON is the filter as transformers defines it (utils/chat_template_utils.py): plain
// json.dumps that leaves characters outside ASCII alone. Jinja's own would escape
// HTML, which would show in a prompt. Arguments are those of json.dumps, whose
// separator of items loses its blank with an indent.
// Bounds on the indent keep a template from growing each line of a nested value.
func toJSON(rt *runtime, v Value, a *argValues) (Value, error) {
	s := jsonStyle{item: ", ", key: ": "}
	if x, ok := a.take(0, "ensure_ascii"); ok {
		s.ascii = truth(x)
	}
	if x, ok := a.take(1, "indent"); ok && x != nil {
		s.lines, s.item = true, ","
		if n, ok := integer(x); ok && n <= 100 {
			s.indent = strings.Repeat(" ", int(max(0, n)))
		} else if t, ok := x.(string); ok && len(t) <= 100 {
			s.indent = t
		} else {
			return nil, fmt.Errorf("tojson: indent is neither a small number nor a short string")
		}
	}
	if x, ok := a.take(2, "separators"); ok && x != nil {
		l, ok := x.(*List)
		if !ok || len(l.Items) != 2 {
			return nil, fmt.Errorf("tojson: separators are two strings")
		}
		i, okI := l.Items[0].(string)
		k, okK := l.Items[1].(string)
		if !okI || !okK {
			return nil, fmt.Errorf("tojson: separators are two strings")
		}
		s.item, s.key = i, k
	}
	if x, ok := a.take(3, "sort_keys"); ok {
		s.sortedKeys = truth(x)
	}
	var b strings.Builder
	if err := s.write(rt, &b, v, "\n"); err != nil {
		return nil, err
	}
	return b.String(), rt.made(b.Len())
}

// write appends v; newline is what starts a line at this depth.
// Numbers, keys and floats take json.dumps' forms, not encoding/json's: 1.0 keeps its point,
// NaN is written as such, and dicts keep their order, all of which ends up in prompts.
func (s *jsonStyle) write(rt *runtime, b *strings.Builder, v Value, newline string) error {
	if err := rt.enter(); err != nil {
		return err
	}
	defer rt.leave()
	if b.Len() > maxSize {
		return errTooLarge
	}
	switch v := plain(v).(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(jsonFloat(v))
	case string:
		s.quote(b, v)
	case *List:
		return s.group(b, "[]", len(v.Items), newline, func(i int, in string) error {
			return s.write(rt, b, v.Items[i], in)
		})
	case *Dict:
		keys := v.keys
		// Before they become strings, as json.dumps sorts: keys that cannot be ordered are an
		// error.
		if s.sortedKeys {
			keys = slices.Clone(keys)
			var err error
			slices.SortStableFunc(keys, func(x, y Value) int { return order(rt, x, y, &err) })
			if err != nil {
				return err
			}
		}
		return s.group(b, "{}", len(keys), newline, func(i int, in string) error {
			k, err := jsonKey(keys[i])
			if err != nil {
				return err
			}
			s.quote(b, k)
			b.WriteString(s.key)
			x, _ := v.Get(keys[i])
			return s.write(rt, b, x, in)
		})
	default:
		return fmt.Errorf("tojson: a %s has no JSON form", typeName(v))
	}
	return nil
}

// group writes items between brackets, each on its line when told so.
// An empty list or dict is [] or {} on one line, also with an indent.
func (s *jsonStyle) group(b *strings.Builder, ends string, n int, newline string, each func(i int, newline string) error) error {
	b.WriteByte(ends[0])
	in := newline + s.indent
	for i := range n {
		if i > 0 {
			b.WriteString(s.item)
		}
		if s.lines {
			b.WriteString(in)
		}
		if err := each(i, in); err != nil {
			return err
		}
	}
	if s.lines && n > 0 {
		b.WriteString(newline)
	}
	b.WriteByte(ends[1])
	return nil
}

// jsonFloat is json.dumps' form of a float, with its three names that are no JSON.
func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatRepr(f)
}

// jsonKey is a key as a string, as json.dumps makes keys strings.
// json.dumps does so for these types and raises TypeError for others.
func jsonKey(k Value) (string, error) {
	switch k := plain(k).(type) {
	case string:
		return k, nil
	case nil:
		return "null", nil
	case bool:
		return strconv.FormatBool(k), nil
	case int64:
		return strconv.FormatInt(k, 10), nil
	case float64:
		return jsonFloat(k), nil
	}
	return "", fmt.Errorf("tojson: a %s cannot be a key", typeName(k))
}

var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

// quote writes a string. In ASCII a character beyond 16 bits is two surrogates, and
// DEL, which Python does not count among what to escape, stays.
func (s *jsonStyle) quote(b *strings.Builder, t string) {
	b.WriteByte('"')
	for _, r := range t {
		switch {
		case jsonEscapes[r] != "":
			b.WriteString(jsonEscapes[r])
		case r < 0x20 || s.ascii && r >= 0x7f && r < 0x10000:
			if r == 0x7f {
				b.WriteRune(r)
				continue
			}
			fmt.Fprintf(b, `\u%04x`, r)
		case s.ascii && r >= 0x10000:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// order compares for sorting; the first failure is kept in err.
// Sort functions of Go cannot fail, so that the error travels beside; once it is set, all
// items count as equal, and the sort ends without more work.
func order(rt *runtime, x, y Value, err *error) int {
	if *err != nil {
		return 0
	}
	var before bool
	if before, *err = less(rt, x, y); before || *err != nil {
		return -1
	}
	if before, *err = less(rt, y, x); before {
		return 1
	}
	return 0
}
