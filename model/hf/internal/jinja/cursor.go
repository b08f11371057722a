package jinja

// maxNesting bounds blocks within blocks and brackets within brackets.
// Far beyond what a template that is meant nests, and far from where the stack ends.
const maxNesting = 200

// cursor walks over the tokens of a template. A token that was taken is never given back:
// the next one decides the rule, and in two places (not in, name=) the one behind it, too.
//
// toks ends with tEOF, and next and accept do not go past it, so that peek needs no check of
// bounds, and at+1 is in bounds wherever the token at at is a name.
type cursor struct {
	toks  []token
	at    int
	depth int // brackets and blocks open around at
}

// peek is the next token; after the last one there is always the end.
func (p *cursor) peek() token { return p.toks[p.at] }

// next takes it.
func (p *cursor) next() token {
	t := p.toks[p.at]
	if t.kind != tEOF {
		p.at++
	}
	return t
}

// The line is that of the next token: the one that does not fit what the rule expected.
func (p *cursor) fail(format string, a ...any) error {
	return syntaxError(p.peek().line, format, a...)
}

// isOp and isName look at the kind as well as the text, for a string may hold any of these
// words. Keywords are names: Jinja reserves few, and which a name is depends on its place.
func (p *cursor) isOp(op string) bool { t := p.peek(); return t.kind == tOp && t.text == op }

func (p *cursor) isName(name string) bool { t := p.peek(); return t.kind == tName && t.text == name }

// accept takes the operator when it comes next.
func (p *cursor) accept(op string) bool {
	if p.isOp(op) {
		p.at++
		return true
	}
	return false
}

// acceptName takes the word when it comes next.
func (p *cursor) acceptName(name string) bool {
	if p.isName(name) {
		p.at++
		return true
	}
	return false
}

// expect takes a token of a kind and, where text is not empty, of that text.
func (p *cursor) expect(k kind, text string) error {
	t := p.peek()
	if t.kind != k || text != "" && t.text != text {
		want := text
		if want == "" {
			want = k.String()
		}
		return p.fail("expected %s, found %v", want, t)
	}
	p.at++
	return nil
}

// name takes any name. Whether it is one that may be assigned to is the caller's to say.
func (p *cursor) name() (string, error) {
	t := p.peek()
	if t.kind != tName {
		return "", p.fail("expected a name, found %v", t)
	}
	p.at++
	return t.text, nil
}

// deeper guards against nesting that would exhaust the stack.
// Each caller takes its level back when it returns. The bound is for the tree as well: it is
// run by recursion, too.
func (p *cursor) deeper() error {
	if p.depth++; p.depth > maxNesting {
		return p.fail("nested more than %d levels deep", maxNesting)
	}
	return nil
}
