package jinja

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	// The names are those of jinja2/lexer.py, shortened. Only the operators are one kind
	// here, told apart by their text, where the reference has a kind for each.
	tEOF kind = iota
	tData
	tBlockBegin
	tBlockEnd
	tVarBegin
	tVarEnd
	tName
	tString
	tInt
	tFloat
	tOp
)

func (k kind) String() string {
	return [...]string{"end of template", "text", "{%", "%}", "{{", "}}", "name", "string", "integer", "float", "operator"}[k]
}

// token is a piece of a template, with the line it is on for messages.
// Ends of tags have no text: which one it is says the kind.
type token struct {
	kind kind
	text string // of a string: its value
	line int
}

func (t token) String() string {
	switch t.kind {
	case tName, tOp, tInt, tFloat:
		return fmt.Sprintf("%q", t.text)
	}
	return t.kind.String()
}

// syntaxError is where and why a template does not parse.
func syntaxError(line int, format string, a ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, a...))
}

// lexer cuts a template into tokens. Whitespace control happens here: the text
// between tags leaves stripped, by the signs in the tags and by two settings of
// transformers. trim_blocks takes the newline behind a block, lstrip_blocks the
// blanks that indent one (jinja2/lexer.py, Lexer.tokeniter).
// at and line move together, by skip alone.
type lexer struct {
	src  string
	at   int
	line int
	// root's stripBefore needs it where the text in front of a block is empty or holds no
	// newline: then the line began in a tag before, and only skip has seen how that one
	// ended.
	lineStarting bool // the last token ended a line
	out          []token
}

// lex normalises newlines first, and drops one at the very end
// (keep_trailing_newline is off), as Lexer.tokeniter does.
func lex(src string) ([]token, error) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1, lineStarting: true}
	for l.at < len(l.src) {
		if err := l.root(); err != nil {
			return nil, err
		}
	}
	l.emit(tEOF, "")
	return l.out, nil
}

// emit sends a token.
// Its line is where the token begins: skip comes after.
func (l *lexer) emit(k kind, text string) { l.out = append(l.out, token{k, text, l.line}) }

// skip moves over n bytes of the source.
func (l *lexer) skip(n int) {
	part := l.src[l.at : l.at+n]
	l.line += strings.Count(part, "\n")
	l.lineStarting = strings.HasSuffix(part, "\n")
	l.at += n
}

// data sends text that stands before a tag or at the end.
func (l *lexer) data(text string) {
	if text != "" {
		l.emit(tData, text)
	}
}

// root reads text up to the next tag, and the tag.
// A brace that begins no tag is text. The reference finds the tags by one regular expression
// that tries the longest first; as all three begin with a brace and differ in the second
// character, looking at that gives the same.
func (l *lexer) root() error {
	rest := l.src[l.at:]
	i := 0
	for ; ; i++ {
		k := strings.IndexByte(rest[i:], '{')
		if k < 0 || i+k+1 >= len(rest) {
			l.data(rest)
			l.skip(len(rest))
			return nil
		}
		i += k
		if c := rest[i+1]; c == '%' || c == '{' || c == '#' {
			break
		}
	}
	text, tag := rest[:i], rest[i+1]
	sign := byte(0)
	if i+2 < len(rest) && (rest[i+2] == '-' || rest[i+2] == '+') {
		sign = rest[i+2]
	}
	l.data(l.stripBefore(text, sign, tag != '{'))
	l.skip(i)
	head := 2
	if sign != 0 {
		head = 3
	}
	switch tag {
	case '#':
		return l.comment(head)
	case '%':
		// raw has to be known before any token is sent: what is in its body need not be
		// tokens.
		if n := rawTag(l.src[l.at+head:], "raw", false); n > 0 {
			return l.raw(head + n)
		}
		l.emit(tBlockBegin, "")
		l.skip(head)
		return l.inside(tBlockEnd)
	}
	l.emit(tVarBegin, "")
	l.skip(head)
	return l.inside(tVarEnd)
}

// stripBefore is text without the blanks a tag takes away: all of them with a
// minus sign; those that indent a block or a comment alone on its line.
// The plus sign switches lstrip_blocks off for one tag. Tags of variables are never stripped
// without a sign: the blanks before one are in the middle of what is printed.
func (l *lexer) stripBefore(text string, sign byte, block bool) string {
	if sign == '-' {
		return strings.TrimRightFunc(text, isSpace)
	}
	if sign == '+' || !block {
		return text
	}
	start := strings.LastIndexByte(text, '\n') + 1
	if (start > 0 || l.lineStarting) && strings.TrimFunc(text[start:], isSpace) == "" {
		return text[:start]
	}
	return text
}

// blockEnd is the length of what ends a block or comment at s, with the blanks
// it takes along; 0 when s does not start with an end.
// Behind a minus sign all blanks go, newlines included; trim_blocks takes one newline and no
// blanks before it, and a plus sign keeps even that. "+}}" is no end of a variable: inside
// asks for that itself, as + is an operator there.
func blockEnd(s, end string) int {
	switch {
	case strings.HasPrefix(s, "+"+end):
		return 1 + len(end)
	case strings.HasPrefix(s, "-"+end):
		n := 1 + len(end)
		return len(s) - len(strings.TrimLeftFunc(s[n:], isSpace))
	case strings.HasPrefix(s, end+"\n") && end != "}}": // trim_blocks; not for variables
		return len(end) + 1
	case strings.HasPrefix(s, end):
		return len(end)
	}
	return 0
}

// comment skips {# … #}, whose inside is not looked at.
func (l *lexer) comment(head int) error {
	s := l.src[l.at:]
	for i := head; i < len(s); i++ {
		if n := blockEnd(s[i:], "#}"); n > 0 {
			l.skip(i + n)
			return nil
		}
	}
	return syntaxError(l.line, "comment {# is not closed")
}

// rawTag is the length of `raw %}` or `endraw %}` at s, 0 when it is not there.
// The sign behind the opening brace is behind s already; blanks on either side of the name
// are allowed, as the reference's root rule allows them.
func rawTag(s, name string, trim bool) int {
	t := strings.TrimLeftFunc(s, isSpace)
	if !strings.HasPrefix(t, name) {
		return 0
	}
	t = strings.TrimLeftFunc(t[len(name):], isSpace)
	n := blockEnd(t, "%}")
	if n == 0 {
		return 0
	}
	if !trim && strings.HasPrefix(t, "%}") {
		n = 2 // the newline after {% raw %} stays
	}
	return len(s) - len(t) + n
}

// raw sends the text up to {% endraw %} as it is.
// A tag within that is none of endraw is text, whatever is in it. The error has the line of
// the opening tag: the end of the file, where the search fails, says nothing.
func (l *lexer) raw(head int) error {
	line := l.line
	l.skip(head)
	s := l.src[l.at:]
	for i := 0; ; i++ {
		k := strings.Index(s[i:], "{%")
		if k < 0 {
			return syntaxError(line, "raw block is not closed")
		}
		i += k
		sign, skip := byte(0), 2
		if i+2 < len(s) && (s[i+2] == '-' || s[i+2] == '+') {
			sign, skip = s[i+2], 3
		}
		if n := rawTag(s[i+skip:], "endraw", true); n > 0 {
			l.data(l.stripBefore(s[:i], sign, true))
			l.skip(i + skip + n)
			return nil
		}
	}
}

// inside reads the tokens of a tag up to its end.
// An end is looked for before any operator, as in the reference's rules, and only outside
// brackets, so that the two braces that close a dict of dicts are not taken for it.
// The line of an error is that of the tag's beginning where the tag is not closed, else the
// token's.
func (l *lexer) inside(end kind) error {
	var open []byte // brackets; an end within them is not one
	line := l.line
	for l.at < len(l.src) {
		s := l.src[l.at:]
		if len(open) == 0 {
			if n := blockEnd(s, end.String()); n > 0 && !(end == tVarEnd && s[0] == '+') {
				l.emit(end, "")
				l.skip(n)
				return nil
			}
		}
		if n := len(s) - len(strings.TrimLeftFunc(s, isSpace)); n > 0 {
			l.skip(n)
			continue
		}
		n, err := l.token(s)
		if err != nil {
			return err
		}
		switch c := s[0]; c {
		case '(', '[', '{':
			open = append(open, closing[c])
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != c {
				return syntaxError(l.line, "unexpected %q", string(c))
			}
			open = open[:len(open)-1]
		}
		l.skip(n)
	}
	return syntaxError(line, "tag is not closed, %s is missing", end)
}

// closing are the brackets that end what others begin: "}}" inside a dict is no end.
var closing = map[byte]byte{'(': ')', '[': ']', '{': '}'}

// operators, those of two characters first: the longest is meant.
// The semicolon is no operator of any rule here; the reference reads it, too, and the parser
// refuses it with a better message than "unexpected character".
var operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

// token sends the token s starts with and gives its length.
// A name is one of Python's identifiers, by the Unicode classes of letters and digits; what
// Python admits besides, such as combining marks, is refused as unexpected.
func (l *lexer) token(s string) (int, error) {
	r, _ := utf8.DecodeRuneInString(s)
	switch {
	case r >= '0' && r <= '9':
		return l.number(s)
	case r == '\'' || r == '"':
		return l.quoted(s)
	case r == '_' || unicode.IsLetter(r):
		n := strings.IndexFunc(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(s)
		}
		l.emit(tName, s[:n])
		return n, nil
	}
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			l.emit(tOp, op)
			return len(op), nil
		}
	}
	return 0, syntaxError(l.line, "unexpected character %q", r)
}

// digits counts the digits that s starts with; single underscores may stand between
// them, as in Python.
func digits(s string) int {
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '_' && n+1 < len(s) && s[n+1] >= '0' && s[n+1] <= '9') {
		n++
	}
	return n
}

// number reads an integer or a float. A dot without digits behind it is an access to
// an attribute.
// Two differences from the reference: the forms 0x, 0o and 0b are not read (the letter begins
// a name, which no rule takes behind an integer), and a decimal integer may begin with a
// zero.
func (l *lexer) number(s string) (int, error) {
	n, k := digits(s), tInt
	if n+1 < len(s) && s[n] == '.' {
		if d := digits(s[n+1:]); d > 0 {
			n, k = n+1+d, tFloat
		}
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if d := digits(s[e:]); d > 0 {
			n, k = e+d, tFloat
		}
	}
	l.emit(k, strings.ReplaceAll(s[:n], "_", ""))
	return n, nil
}

// quoted reads a string in either kind of quotes, whose escapes are those of Python.
// A newline may stand in a string, unlike in Python's own literals of one quote.
func (l *lexer) quoted(s string) (int, error) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			text, err := unescape(s[1:i])
			if err != nil {
				return 0, syntaxError(l.line, "%v", err)
			}
			l.emit(tString, text)
			return i + 1, nil
		}
	}
	return 0, syntaxError(l.line, "string is not closed")
}
