package jinja

import "slices"

// stmtParser reads statements by recursive descent, a method for each rule of
// jinja2/parser.py; what stands in their tags it reads as the exprParser that it is, too.
// A method that returns without an error has read exactly its rule. Statements hold
// expressions and never the other way round, which is why the two are types of their own.
type stmtParser struct {
	exprParser
	loops int // for blocks around, for break and continue
}

// parse reads a whole template. An end that nothing opened (a lone endif) is refused by
// statement, because at the outermost level no end names are given to body.
func parse(src string) ([]stmt, error) {
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &stmtParser{exprParser: exprParser{cursor{toks: toks}}}
	return p.body(nil)
}

// body reads statements up to a block that starts with one of the end names,
// whose name is left to be read; with no ends, up to the end of the template.
// body is subparse of the reference. That the ending name is left unread lets an if see which
// of elif, else and endif ended its arm.
func (p *stmtParser) body(ends []string) ([]stmt, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	// A block that is never closed is reported where it opens: its end is the end of the
	// file.
	open := p.peek().line
	var out []stmt
	for {
		t := p.next()
		switch t.kind {
		case tEOF:
			if ends != nil {
				return nil, syntaxError(open, "block is not closed: %s is missing", ends[len(ends)-1])
			}
			return out, nil
		case tData:
			out = append(out, text(t.text))
		case tVarBegin:
			e, err := p.tuple(true)
			if err != nil {
				return nil, err
			}
			if err := p.expect(tVarEnd, ""); err != nil {
				return nil, err
			}
			out = append(out, &output{t.line, e})
		case tBlockBegin:
			if p.peek().kind == tName && slices.Contains(ends, p.peek().text) {
				return out, nil
			}
			s, err := p.statement()
			if err != nil {
				return nil, err
			}
			if s != nil {
				out = append(out, s)
			}
		}
	}
}

// bodyTo reads a body and the block that ends it.
// The name of the end, which body leaves, is stepped over unread: there is no other.
func (p *stmtParser) bodyTo(end string) ([]stmt, error) {
	b, err := p.body([]string{end})
	if err != nil {
		return nil, err
	}
	p.at++
	return b, p.expect(tBlockEnd, "")
}

// statement reads a block behind its {%. Those that reach other templates (include,
// import, extends, block) are refused: there are none.
func (p *stmtParser) statement() (stmt, error) {
	line := p.peek().line
	word, err := p.name()
	if err != nil {
		return nil, err
	}
	switch word {
	case "for":
		return p.forLoop(line)
	case "if":
		return p.ifBlock(line)
	case "set":
		return p.set(line)
	case "macro":
		return p.macro(line)
	case "with":
		return p.with(line)
	case "filter":
		return p.filterBlock(line)
	// Transformers renders the body as a caller block and, where asked, records which
	// characters of the text it made. Nothing here asks for these, so a scope is all it is.
	case "generation": // marks what the assistant said, for training on it
		if err := p.expect(tBlockEnd, ""); err != nil {
			return nil, err
		}
		b, err := p.bodyTo("endgeneration")
		return &scope{line: line, body: b}, err
	// The extension jinja2.ext.loopcontrols, which transformers enables. The reference finds
	// a stray one when it compiles; here the parser counts the loops around it.
	case "break", "continue":
		if p.loops == 0 {
			return nil, syntaxError(line, "%s outside a loop", word)
		}
		return &jump{line, word == "break"}, p.expect(tBlockEnd, "")
	}
	return nil, syntaxError(line, "statement %q is not supported", word)
}

// forLoop reads `for targets in expression [if condition]`. The expression stops
// before an if, which is the loop's own filter.
// A break in the else of a loop belongs to the loop around this one, if any: loops is counted
// up for the body alone. recursive loops (loop(…) in their body) are refused when parsed.
func (p *stmtParser) forLoop(line int) (stmt, error) {
	f := &forLoop{line: line}
	var err error
	if f.targets, err = p.targets(); err != nil {
		return nil, err
	}
	if err := p.expect(tName, "in"); err != nil {
		return nil, err
	}
	if f.over, err = p.tuple(false); err != nil {
		return nil, err
	}
	if p.acceptName("if") {
		if f.cond, err = p.expression(true); err != nil {
			return nil, err
		}
	}
	if p.isName("recursive") {
		return nil, p.fail("recursive loops are not supported")
	}
	if err := p.expect(tBlockEnd, ""); err != nil {
		return nil, err
	}
	p.loops++
	f.body, err = p.body([]string{"else", "endfor"})
	p.loops--
	if err != nil {
		return nil, err
	}
	if p.next().text == "else" {
		if err := p.expect(tBlockEnd, ""); err != nil {
			return nil, err
		}
		f.orElse, err = p.bodyTo("endfor")
		return f, err
	}
	return f, p.expect(tBlockEnd, "")
}

// targets reads one name, or several with commas between, as a loop or a set
// assigns them.
// Jinja's targets may nest, as in (a, (b, c)); here only names in one level are read.
// A comma behind the last name is not read.
func (p *stmtParser) targets() ([]string, error) {
	paren := p.accept("(")
	var names []string
	for {
		n, err := p.name()
		if err != nil {
			return nil, err
		}
		if _, ok := constants[n]; ok {
			return nil, p.fail("cannot assign to %s", n)
		}
		names = append(names, n)
		if !p.accept(",") {
			break
		}
	}
	if paren {
		return names, p.expect(tOp, ")")
	}
	return names, nil
}

// ifBlock reads if, elif and else.
// Each condition is a tuple without an inline if, as in parse_if; the arms are a list here
// and not nested statements, so that a long chain of elif takes no depth.
func (p *stmtParser) ifBlock(line int) (stmt, error) {
	n := &ifBlock{line: line}
	for {
		cond, err := p.tuple(false)
		if err != nil {
			return nil, err
		}
		if err := p.expect(tBlockEnd, ""); err != nil {
			return nil, err
		}
		body, err := p.body([]string{"elif", "else", "endif"})
		if err != nil {
			return nil, err
		}
		n.arms = append(n.arms, arm{cond, body})
		switch p.next().text {
		case "elif":
			continue
		case "else":
			if err := p.expect(tBlockEnd, ""); err != nil {
				return nil, err
			}
			n.orElse, err = p.bodyTo("endif")
			return n, err
		}
		return n, p.expect(tBlockEnd, "")
	}
}

// set reads `set names = value`, or a block up to endset, whose text goes through
// filters into one name. An attribute can only be set of a namespace.
// Of an assignment with = the value may be a tuple without brackets: set a, b = 1, 2. The
// attribute form (set ns.x = …) is nodes.NSRef, which is how a loop's body hands a value out.
func (p *stmtParser) set(line int) (stmt, error) {
	s := &set{line: line}
	var err error
	if s.targets, err = p.targets(); err != nil {
		return nil, err
	}
	if len(s.targets) == 1 && p.accept(".") {
		if s.attr, err = p.name(); err != nil {
			return nil, err
		}
	}
	if p.accept("=") {
		if s.value, err = p.tuple(true); err != nil {
			return nil, err
		}
		return s, p.expect(tBlockEnd, "")
	}
	for p.isOp("|") {
		f, err := p.filter(captured{})
		if err != nil {
			return nil, err
		}
		s.filters = append(s.filters, f)
	}
	if len(s.targets) > 1 {
		return nil, p.fail("a set block has one name")
	}
	if err := p.expect(tBlockEnd, ""); err != nil {
		return nil, err
	}
	s.body, err = p.bodyTo("endset")
	return s, err
}

// macro reads a definition. break and continue cannot leave it for a loop around.
// The rule on defaults is Python's for the definition of a function, which the reference gets
// from compiling to one. Macros of a template may call each other, those further down
// included.
func (p *stmtParser) macro(line int) (stmt, error) {
	m := &macro{line: line}
	var err error
	if m.name, err = p.name(); err != nil {
		return nil, err
	}
	if err := p.expect(tOp, "("); err != nil {
		return nil, err
	}
	for !p.accept(")") {
		if len(m.params) > 0 {
			if err := p.expect(tOp, ","); err != nil {
				return nil, err
			}
		}
		var q param
		if q.name, err = p.name(); err != nil {
			return nil, err
		}
		if p.accept("=") {
			if q.def, err = p.expression(true); err != nil {
				return nil, err
			}
		} else if len(m.params) > 0 && m.params[len(m.params)-1].def != nil {
			return nil, p.fail("argument %q without a default follows one with", q.name)
		}
		m.params = append(m.params, q)
	}
	if err := p.expect(tBlockEnd, ""); err != nil {
		return nil, err
	}
	// The body is a function of its own wherever the definition stands, also inside a loop.
	loops := p.loops
	p.loops = 0
	m.body, err = p.bodyTo("endmacro")
	p.loops = loops
	return m, err
}

// with reads names and values of a scope of their own.
// The names are set in order, and each value is evaluated in the scope around the block, so
// that one does not see those before it.
func (p *stmtParser) with(line int) (stmt, error) {
	s := &scope{line: line}
	for p.peek().kind != tBlockEnd {
		if len(s.names) > 0 {
			if err := p.expect(tOp, ","); err != nil {
				return nil, err
			}
		}
		n, err := p.name()
		if err != nil {
			return nil, err
		}
		if err := p.expect(tOp, "="); err != nil {
			return nil, err
		}
		v, err := p.expression(true)
		if err != nil {
			return nil, err
		}
		s.names, s.values = append(s.names, n), append(s.values, v)
	}
	p.at++
	var err error
	s.body, err = p.bodyTo("endwith")
	return s, err
}

// filterBlock reads a block whose text goes through filters.
func (p *stmtParser) filterBlock(line int) (stmt, error) {
	first, err := p.filterNamed(captured{})
	if err != nil {
		return nil, err
	}
	s := &filterBlock{line: line, filters: []*filterExpr{first}}
	for p.isOp("|") {
		f, err := p.filter(captured{})
		if err != nil {
			return nil, err
		}
		s.filters = append(s.filters, f)
	}
	if err := p.expect(tBlockEnd, ""); err != nil {
		return nil, err
	}
	s.body, err = p.bodyTo("endfilter")
	return s, err
}
