package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// str is Python's str(): what an expression prints.
// Texts within a list are quoted, since Python prints the items of a container by repr.
func str(rt *runtime, v Value) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case markup:
		return string(v), nil
	case undefined:
		return "", nil
	}
	var b strings.Builder
	err := writeRepr(rt, &b, v)
	return b.String(), err
}

// writeRepr writes Python's repr(): what a template prints of a list of messages.
// Nesting counts as work, so that a small template cannot print for ever.
// A function or macro has no repr worth printing (Python's shows an address) and is an error.
func writeRepr(rt *runtime, b *strings.Builder, v Value) error {
	if err := rt.enter(); err != nil {
		return err
	}
	defer rt.leave()
	if b.Len() > maxSize {
		return errTooLarge
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(floatRepr(v))
	case string:
		writeStringRepr(b, v)
	case markup:
		b.WriteString("Markup(")
		writeStringRepr(b, string(v))
		b.WriteByte(')')
	case undefined:
		b.WriteString("Undefined")
	case *List:
		return writeListRepr(rt, b, v)
	case *Dict:
		return writeDictRepr(rt, b, v)
	default:
		return fmt.Errorf("a %s cannot be printed", typeName(v))
	}
	return nil
}

// writeListRepr writes [a, b], (a, b) and, of one item, (a,).
func writeListRepr(rt *runtime, b *strings.Builder, l *List) error {
	ends := "[]"
	if l.tuple {
		ends = "()"
	}
	b.WriteByte(ends[0])
	for i, x := range l.Items {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writeRepr(rt, b, x); err != nil {
			return err
		}
	}
	if l.tuple && len(l.Items) == 1 {
		b.WriteByte(',')
	}
	b.WriteByte(ends[1])
	return nil
}

// writeDictRepr writes {key: value} in the order in which keys were set.
func writeDictRepr(rt *runtime, b *strings.Builder, d *Dict) error {
	b.WriteByte('{')
	for i, k := range d.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writeRepr(rt, b, k); err != nil {
			return err
		}
		b.WriteString(": ")
		x, _ := d.Get(k)
		if err := writeRepr(rt, b, x); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// floatRepr is the shortest decimal that reads back the same, in Python's form.
// Go's shortest digits are the same as Python's; only where the exponent begins differs: repr
// uses it below 1e-4 and from 1e16 on (float_repr_style 'short').
func floatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exp, _ := strings.Cut(s, "e")
	if e, _ := strconv.Atoi(exp); e < -4 || e >= 16 {
		return mantissa + "e" + exp
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// writeStringRepr quotes as Python does: single quotes unless only they occur
// in the text.
// What counts as printable is Python's str.isprintable: of the separators only the blank is.
func writeStringRepr(b *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
	}
	b.WriteByte(quote)
}
