// Package oniguruma compiles regular expressions in the dialect of Oniguruma, which
// those of tokenizer.json are written in, by rewriting them for regexp2.
package oniguruma

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/chars"

	"github.com/dlclark/regexp2"
	"github.com/dlclark/regexp2/syntax"
)

// Compile compiles an expression of tokenizer.json. It is written in
// Oniguruma's dialect, with look-ahead, which RE2 lacks; regexp2 has .NET's,
// which gives the same signs other meanings. What differs is rewritten here.
func Compile(expr string) (*regexp2.Regexp, error) {
	o := oniguruma{rest: expr}
	text, err := o.translate()
	var re *regexp2.Regexp
	if err == nil {
		// ^ and $ are ends of lines, always.
		re, err = regexp2.Compile(text, regexp2.Unicode|regexp2.Multiline)
	}
	var syn *syntax.Error
	if errors.As(err, &syn) { // without the rewritten expression, which is long
		err = fmt.Errorf(syn.Code.String(), syn.Args...)
	}
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	return re, nil
}

// oniguruma rewrites an expression for regexp2. rest is what is not read yet.
// It walks once from the left and keeps no tree: every rule rewrites what it has just read. Errors
// of syntax that both dialects share are left to regexp2.
type oniguruma struct {
	rest  string
	depth int // of sets in sets
}

// maxSetDepth is far beyond any expression that is meant.
const maxSetDepth = 50

// set is a set of characters: plain is the inside of a [] of regexp2, others
// are expressions of one character, which a [] of regexp2 cannot hold.
// The members may overlap. Case folding and repetition are outside of it, in the expression around.
type set struct {
	plain  string
	others []string
}

// expr is an expression that matches one character of the set.
// Alternatives of one character each cannot backtrack into each other: which one matches makes no
// difference.
func (s set) expr() string {
	all := s.others
	if s.plain != "" {
		all = append([]string{"[" + s.plain + "]"}, all...)
	}
	switch len(all) {
	case 0:
		return "(?!)" // nothing
	case 1:
		return all[0]
	}
	return "(?:" + strings.Join(all, "|") + ")"
}

// not is an expression that matches one character outside the set.
// [\s\S] is any character with line breaks; the dot leaves those out unless an option says
// otherwise.
func (s set) not() string {
	if len(s.others) == 0 && s.plain != "" {
		return "[^" + s.plain + "]"
	}
	return `(?:(?!` + s.expr() + `)[\s\S])`
}

// add makes s the union of both.
func (s *set) add(t set) {
	s.plain += t.plain
	s.others = append(s.others, t.others...)
}

// next takes one character.
// At the end of the text it gives U+FFFD and takes nothing.
func (o *oniguruma) next() rune {
	r, n := utf8.DecodeRuneInString(o.rest)
	o.rest = o.rest[n:]
	return r
}

// take takes a text if it comes next.
func (o *oniguruma) take(prefix string) bool {
	rest, ok := strings.CutPrefix(o.rest, prefix)
	if ok {
		o.rest = rest
	}
	return ok
}

// translate rewrites an expression from the left. What is the same in both dialects is
// copied, escapes of single characters as they are.
func (o *oniguruma) translate() (string, error) {
	var b strings.Builder
	for o.rest != "" {
		switch {
		case o.take(`\R`):
			// Atomic, as Oniguruma's: \R never gives back the newline of a pair.
			b.WriteString(`(?>\r\n|[\n-\r\u0085\u2028\u2029])`)
		// regexp2's own \b and \w have another set of characters of words.
		case o.take(`\b`):
			w := bareWord.expr()
			b.WriteString("(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))")
		case o.take(`\B`):
			w := bareWord.expr()
			b.WriteString("(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))")
		case o.take(`\w`):
			b.WriteString(bareWord.expr())
		case o.take(`\W`):
			b.WriteString(bareWord.not())
		case o.rest[0] == '\\':
			s, negated, ok, err := o.class()
			if err != nil {
				return "", err
			}
			switch {
			case negated:
				b.WriteString(s.not())
			case ok:
				b.WriteString(s.expr())
			default:
				b.WriteRune(o.next())
				b.WriteRune(o.next())
			}
		case o.take("["):
			e, err := o.brackets()
			if err != nil {
				return "", err
			}
			b.WriteString(e)
		// A comment ends at the first parenthesis; there is no way to escape one.
		case o.take("(?#"):
			_, o.rest, _ = strings.Cut(o.rest, ")")
		case strings.HasPrefix(o.rest, "(?"):
			b.WriteString(o.group())
		// {,n} is text to .NET.
		// The number is missing: {,n} is at most n.
		case strings.HasPrefix(o.rest, "{,") && strings.IndexByte(o.rest, '}') > 2:
			b.WriteString("{0")
			o.rest = o.rest[1:]
		default:
			b.WriteRune(o.next())
		}
	}
	return b.String(), nil
}

// group reads the head of a group. What Ruby calls m lets the dot match line
// breaks, which is s elsewhere.
// What is no list of options (a look-around, a name, an atomic group) is the same in both dialects
// and stays.
func (o *oniguruma) group() string {
	end := strings.IndexAny(o.rest, ":)")
	head := o.rest
	if end > 0 {
		head = o.rest[:end]
	}
	// Only the two signs are taken, so that what is behind them is read as any text.
	if strings.Trim(head[2:], "imx-") != "" {
		o.rest = o.rest[2:]
		return "(?"
	}
	o.rest = o.rest[len(head):]
	return strings.ReplaceAll(head, "m", "s")
}

// brackets reads a set behind its [ and gives an expression of one character.
// Sets may hold sets, and && is what two have in common.
// A ] directly behind the [ is a member. The intersection is built of look-aheads on one character,
// since regexp2 has subtraction only.
func (o *oniguruma) brackets() (string, error) {
	if o.depth++; o.depth > maxSetDepth {
		return "", fmt.Errorf("sets are nested too deeply")
	}
	defer func() { o.depth-- }()
	negated := o.take("^")
	var s set
	var both []string
	for first := true; ; first = false {
		switch {
		case o.rest == "":
			return "", fmt.Errorf("a [ is not closed")
		case !first && o.take("]"):
			if len(both) > 0 {
				// Each set but the last becomes a look-ahead; the last one takes the character.
				e := ""
				for _, part := range both {
					e += "(?=" + part + ")"
				}
				s = set{others: []string{"(?:" + e + s.expr() + ")"}}
			}
			if negated {
				return s.not(), nil
			}
			return s.expr(), nil
		case o.take("&&"):
			both, s = append(both, s.expr()), set{}
		case strings.HasPrefix(o.rest, "[:"):
			t, err := o.posix()
			if err != nil {
				return "", err
			}
			s.add(t)
		case o.take("["):
			e, err := o.brackets()
			if err != nil {
				return "", err
			}
			s.others = append(s.others, e)
		default:
			if err := o.member(&s); err != nil {
				return "", err
			}
		}
	}
}

// member reads a character, a range or a class such as \p{L} into a set.
// A dash is a range between two characters and a member anywhere else: first, last, or beside a
// class.
func (o *oniguruma) member(s *set) error {
	if o.rest[0] == '\\' {
		t, negated, ok, err := o.class()
		if err != nil {
			return err
		}
		if negated {
			s.others = append(s.others, t.not())
			return nil
		}
		if ok {
			s.add(t)
			return nil
		}
	}
	s.plain += o.char()
	if len(o.rest) < 2 || o.rest[0] != '-' || o.rest[1] == ']' || o.rest[1] == '[' || strings.HasPrefix(o.rest, "-&&") {
		return nil
	}
	if o.rest[1] == '\\' { // a class behind a dash makes no range
		behind := oniguruma{rest: o.rest[1:]}
		if _, _, ok, err := behind.class(); ok || err != nil {
			return err
		}
	}
	o.next()
	s.plain += "-" + o.char()
	return nil
}

// char reads one character of a set, as regexp2 writes it.
// What is a sign inside [] to one of the dialects alone is escaped; escapes that stand there are
// kept.
func (o *oniguruma) char() string {
	if o.rest[0] != '\\' || len(o.rest) == 1 {
		r := o.next()
		if strings.ContainsRune(`[]^-\&`, r) {
			return `\` + string(r)
		}
		return string(r)
	}
	var n int
	switch o.rest[1] {
	case 'x':
		if end := strings.IndexByte(o.rest, '}'); strings.HasPrefix(o.rest, `\x{`) && end > 0 {
			n = end + 1
		} else {
			// \x and two hexadecimal digits.
			n = 4
		}
	case 'u':
		// \u and four.
		n = 6
	default:
		_, size := utf8.DecodeRuneInString(o.rest[1:])
		n = 1 + size
	}
	n = min(n, len(o.rest))
	out := o.rest[:n]
	o.rest = o.rest[n:]
	return out
}

// class reads a class such as \d, \W or \p{Lu}; ok is false, and nothing read,
// where something else stands.
// The set comes unnegated: within [] and outside, a negation is written differently.
func (o *oniguruma) class() (s set, negated, ok bool, err error) {
	if len(o.rest) < 2 {
		return s, false, false, nil
	}
	rest := o.rest[2:]
	switch c := o.rest[1]; c {
	case 'w', 'W':
		s, negated = wordSet, c == 'W'
	case 'd', 'D':
		s, negated = category("Nd"), c == 'D'
	case 's', 'S':
		s, negated = set{plain: `\s`}, c == 'S'
	case 'h', 'H':
		s, negated = set{plain: "0-9A-Fa-f"}, c == 'H'
	case 'p', 'P':
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "{"), "}")
		if !closed || !strings.HasPrefix(rest, "{") {
			return s, false, false, fmt.Errorf(`\%c without {name}`, c)
		}
		name, not := strings.CutPrefix(name, "^")
		// \P{^L} negates twice.
		s, negated, rest = category(name), not != (c == 'P'), after
		if t, ok := posixSets[strings.ToLower(name)]; ok {
			s = t
		}
	default:
		return s, false, false, nil
	}
	o.rest = rest
	return s, negated, true, nil
}

// posix reads a class such as [:alpha:].
// A name that posixSets lacks is an error, also where Oniguruma knows it.
func (o *oniguruma) posix() (set, error) {
	name, rest, ok := strings.Cut(o.rest[2:], ":]")
	name, negated := strings.CutPrefix(name, "^")
	s, known := posixSets[name]
	if !ok || !known {
		return set{}, fmt.Errorf("[:%s:] is not supported", name)
	}
	o.rest = rest
	if negated {
		return set{others: []string{s.not()}}, nil
	}
	return s, nil
}

// wordSet is \w within []; outside, a few signs of Latin-1 belong to it, too.
var (
	wordSet  = set{plain: `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\p{Other_Alphabetic}` + members(chars.LaterWords)}
	bareWord = set{plain: wordSet.plain + "²³¹¼-¾"}
)

// posixSets are the classes in brackets, as far as they are supported. Oniguruma takes
// them by Unicode's properties, .NET does not know them.
var posixSets = map[string]set{
	"alnum":  {plain: alphabetic + category("Nd").plain},
	"alpha":  {plain: alphabetic},
	"blank":  {plain: `\p{Zs}\t`},
	"cntrl":  {plain: `\p{Cc}`},
	"digit":  category("Nd"),
	"punct":  {plain: category("P").plain + category("S").plain},
	"space":  {plain: `\s`},
	"word":   wordSet,
	"xdigit": {plain: "0-9A-Fa-f"},
}

var alphabetic = category("L").plain + `\p{Nl}\p{Other_Alphabetic}` + members(chars.LaterAlphabetic)

// category is the set of a property of Unicode, with the characters that Go
// does not know yet.
// A name of one or two letters is a general category, to which characters of later versions of
// Unicode are added; longer ones are scripts and properties, as regexp2 has them.
func category(name string) set {
	s := set{plain: `\p{` + name + `}`}
	for _, l := range chars.LaterCategories {
		if strings.HasPrefix(l.Name, name) && len(name) <= 2 {
			s.plain += members(l.Table)
		}
	}
	return s
}

// members writes a table as the inside of a [].
// Tables have no member that would need an escape within [], and no strides.
func members(t *unicode.RangeTable) string {
	var b strings.Builder
	put := func(lo, hi rune) {
		b.WriteRune(lo)
		if hi > lo {
			b.WriteRune('-')
			b.WriteRune(hi)
		}
	}
	for _, r := range t.R16 {
		put(rune(r.Lo), rune(r.Hi))
	}
	for _, r := range t.R32 {
		put(rune(r.Lo), rune(r.Hi))
	}
	return b.String()
}
