package jinja

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// stringMethod is a method of str, on the string that it is called on.
type stringMethod = func(*runtime, string, *argValues) (Value, error)

// stringMethods are the methods of Python's str that templates call.
var stringMethods map[string]stringMethod

// An argument whose name is empty is taken by position only. The filters that share a
// function with a method (trim, replace) have names for theirs, which the method then takes
// as well.
func init() { // join refers to str, which refers to methods
	stringMethods = map[string]stringMethod{
		"strip":      func(_ *runtime, s string, a *argValues) (Value, error) { return strip(s, a, true, true) },
		"lstrip":     func(_ *runtime, s string, a *argValues) (Value, error) { return strip(s, a, true, false) },
		"rstrip":     func(_ *runtime, s string, a *argValues) (Value, error) { return strip(s, a, false, true) },
		"upper":      mapped(upper),
		"lower":      mapped(lower),
		"title":      mapped(func(s string) string { return titleWords(s) }),
		"capitalize": mapped(capitalize),
		"casefold":   mapped(func(s string) string { return cases.Fold().String(s) }),
		"split":      func(rt *runtime, s string, a *argValues) (Value, error) { return split(rt, s, a, false) },
		"rsplit":     func(rt *runtime, s string, a *argValues) (Value, error) { return split(rt, s, a, true) },
		"splitlines": splitLines,
		"startswith": func(_ *runtime, s string, a *argValues) (Value, error) { return hasEnd(s, a, strings.HasPrefix) },
		"endswith":   func(_ *runtime, s string, a *argValues) (Value, error) { return hasEnd(s, a, strings.HasSuffix) },
		"replace":    replaceIn,
		"find":       func(_ *runtime, s string, a *argValues) (Value, error) { return find(s, a, strings.Index) },
		"rfind":      func(_ *runtime, s string, a *argValues) (Value, error) { return find(s, a, strings.LastIndex) },
		// The empty text is found once more than there are characters, in Go as in Python.
		"count": func(_ *runtime, s string, a *argValues) (Value, error) {
			sub, err := stringArg(a, 0, "")
			return int64(strings.Count(s, sub)), err
		},
		"join": func(rt *runtime, s string, a *argValues) (Value, error) {
			v, _ := a.take(0, "")
			return joinItems(rt, v, s)
		},
		"removeprefix": func(_ *runtime, s string, a *argValues) (Value, error) {
			p, err := stringArg(a, 0, "prefix")
			return strings.TrimPrefix(s, p), err
		},
		"removesuffix": func(_ *runtime, s string, a *argValues) (Value, error) {
			p, err := stringArg(a, 0, "suffix")
			return strings.TrimSuffix(s, p), err
		},
		// Python's isdigit counts superscripts too, which unicode.IsDigit does not.
		"isdigit": every(unicode.IsDigit), "isdecimal": every(unicode.IsDigit), "isnumeric": every(unicode.IsNumber),
		"isalpha": every(unicode.IsLetter), "isspace": every(isSpace),
		"isalnum": every(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
	}
}

// mapped is a method without arguments that gives a string.
func mapped(f func(string) string) stringMethod {
	return func(rt *runtime, s string, _ *argValues) (Value, error) { return f(s), rt.made(len(s)) }
}

// Full case mapping, as Python's: ß becomes SS, a final sigma ς.
func upper(s string) string { return cases.Upper(language.Und).String(s) }
func lower(s string) string { return cases.Lower(language.Und).String(s) }

// capitalize makes the first character a title's and the rest small.
func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return titleRune(s[:n]) + lower(s[n:])
}

// titleRune gives the one character in title case, which for ǆ is ǅ and for most is upper
// case.
func titleRune(s string) string { return cases.Title(language.Und, cases.NoLower).String(s) }

// titleWords capitalises every run of letters.
// "Letter" is cased letter (str.title): an apostrophe ends a run, so that "they're" becomes
// "They'Re", and digits do, too.
func titleWords(s string) string {
	var b strings.Builder
	inWord := false
	for _, r := range s {
		cased := unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r)
		if cased && inWord {
			b.WriteString(lower(string(r)))
		} else if cased {
			b.WriteString(titleRune(string(r)))
		} else {
			b.WriteRune(r)
		}
		inWord = cased
	}
	return b.String()
}

// every asks for a string that is not empty, of one kind of characters.
// An empty string is of no kind, as with all of Python's is… methods.
func every(is func(rune) bool) stringMethod {
	return func(_ *runtime, s string, _ *argValues) (Value, error) {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0, nil
	}
}

// stringArg is an argument that has to be a string.
func stringArg(a *argValues, i int, name string) (string, error) {
	v, ok := a.take(i, name)
	if !ok {
		return "", fmt.Errorf("argument %d is missing", i+1)
	}
	s, ok := plain(v).(string)
	if !ok {
		return "", fmt.Errorf("argument %d is a %s, not a string", i+1, typeName(v))
	}
	return s, nil
}

// strip removes the characters given, blanks when there are none.
// chars is a set of characters and no prefix; removeprefix takes one.
func strip(s string, a *argValues, left, right bool) (Value, error) {
	is := isSpace
	if v, ok := a.take(0, "chars"); ok && v != nil {
		chars, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("strip takes a string, not a %s", typeName(v))
		}
		is = func(r rune) bool { return strings.ContainsRune(chars, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, is)
	}
	if right {
		s = strings.TrimRightFunc(s, is)
	}
	return s, nil
}

// split is str.split and rsplit: with no separator between runs of blanks, those at
// the ends dropped; with one between each of it.
func split(rt *runtime, s string, a *argValues, fromRight bool) (Value, error) {
	limit := int64(-1)
	sep, _ := a.take(0, "sep")
	if v, ok := a.take(1, "maxsplit"); ok {
		if limit, ok = integer(v); !ok {
			return nil, fmt.Errorf("split: maxsplit is a %s, not an integer", typeName(v))
		}
	}
	if limit < 0 {
		limit = int64(len(s)) + 1
	}
	var parts []string
	switch sep := sep.(type) {
	case nil:
		parts = splitBlanks(s, limit, fromRight)
	case string:
		if sep == "" {
			return nil, fmt.Errorf("split: the separator is empty")
		}
		parts = splitBy(s, sep, limit, fromRight)
	default:
		return nil, fmt.Errorf("split takes a string, not a %s", typeName(sep))
	}
	if fromRight {
		slices.Reverse(parts)
	}
	out := &List{}
	for _, p := range parts {
		out.Items = append(out.Items, p)
	}
	return out, rt.made(len(s) + 16*len(parts))
}

// splitBy gives the parts between separators, from the right in that order.
// Empty parts stay, those at the ends among them; there is always at least one part.
func splitBy(s, sep string, limit int64, fromRight bool) (parts []string) {
	for ; limit > 0; limit-- {
		if fromRight {
			i := strings.LastIndex(s, sep)
			if i < 0 {
				break
			}
			parts, s = append(parts, s[i+len(sep):]), s[:i]
			continue
		}
		head, tail, ok := strings.Cut(s, sep)
		if !ok {
			break
		}
		parts, s = append(parts, head), tail
	}
	return append(parts, s)
}

// splitBlanks gives the words between runs of blanks.
// When the limit is reached the rest keeps its inner blanks and, read from the left, those at
// its end, as in CPython's split_whitespace.
func splitBlanks(s string, limit int64, fromRight bool) (parts []string) {
	for {
		trim := strings.TrimLeftFunc
		if fromRight {
			trim = strings.TrimRightFunc
		}
		if s = trim(s, isSpace); s == "" {
			return parts
		}
		if limit == 0 {
			return append(parts, s)
		}
		limit--
		if fromRight {
			i := strings.LastIndexFunc(s, isSpace)
			// n is the length of the blank before the word, which is in neither part; 0 where there
			// is none.
			_, n := utf8.DecodeRuneInString(s[max(i, 0):])
			if i < 0 {
				n = 0
			}
			i = max(i, 0)
			parts, s = append(parts, s[i+n:]), s[:i]
			continue
		}
		i := strings.IndexFunc(s, isSpace)
		if i < 0 {
			i = len(s)
		}
		parts, s = append(parts, s[:i]), s[i:]
	}
}

// splitLines ends lines where Python's splitlines does, at any of ten
// characters.
// \r\n is one end. A text that ends with a newline has no empty line behind it.
func splitLines(rt *runtime, s string, a *argValues) (Value, error) {
	keep, _ := a.take(0, "keepends")
	out := &List{}
	for s != "" {
		end, next := len(s), len(s)
		for i, r := range s {
			if r == '\n' || r == '\r' || r == 0x0b || r == 0x0c || r >= 0x1c && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029 {
				end, next = i, i+utf8.RuneLen(r)
				if r == '\r' && strings.HasPrefix(s[next:], "\n") {
					next++
				}
				break
			}
		}
		if truth(keep) {
			end = next
		}
		out.Items = append(out.Items, s[:end])
		s = s[next:]
	}
	return out, rt.made(16 * len(out.Items))
}

// hasEnd serves startswith and endswith, which take a string or a tuple.
// The bounds start and end, which Python takes as well, are refused as arguments nobody
// takes.
// An empty tuple fits no string.
func hasEnd(s string, a *argValues, has func(s, end string) bool) (Value, error) {
	v, _ := a.take(0, "")
	ends := []Value{v}
	if l, ok := v.(*List); ok && l.tuple {
		ends = l.Items
	}
	for _, e := range ends {
		t, ok := e.(string)
		if !ok {
			return nil, fmt.Errorf("startswith and endswith take a string, not a %s", typeName(e))
		}
		if has(s, t) {
			return true, nil
		}
	}
	return false, nil
}

// replaceIn replaces the first count places, or all. Their number is known before
// the text is made, so that its size can be refused.
// An empty old text stands between all characters, in Go as in Python.
func replaceIn(rt *runtime, s string, a *argValues) (Value, error) {
	old, err := stringArg(a, 0, "old")
	if err != nil {
		return nil, err
	}
	with, err := stringArg(a, 1, "new")
	if err != nil {
		return nil, err
	}
	limit := int64(-1)
	if v, ok := a.take(2, "count"); ok && v != nil {
		if limit, ok = integer(v); !ok {
			return nil, fmt.Errorf("replace: count is a %s, not an integer", typeName(v))
		}
	}
	n := strings.Count(s, old)
	if limit >= 0 && limit < int64(n) {
		n = int(limit)
	}
	if len(with) > 0 && n > maxSize/len(with) {
		return nil, errTooLarge
	}
	return strings.Replace(s, old, with, n), rt.made(len(s) + n*len(with))
}

// find gives a position in characters, -1 when sub is not there.
// Positions are characters, since Python's strings are made of those; Go's are bytes.
// Searching by bytes is right: in UTF-8 no character begins inside another.
func find(s string, a *argValues, index func(s, sub string) int) (Value, error) {
	sub, err := stringArg(a, 0, "")
	if err != nil {
		return nil, err
	}
	i := index(s, sub)
	if i > 0 {
		i = utf8.RuneCountInString(s[:i])
	}
	return int64(i), nil
}
