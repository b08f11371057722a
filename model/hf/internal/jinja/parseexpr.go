package jinja

import (
	"slices"
	"strconv"
)

// exprParser reads expressions by recursive descent, a method for each rule of
// jinja2/parser.py, so that what binds tighter is further down the calls: tuple,
// expression (a if b else c), or, and, not, compare, sum, concat, product, power, unary,
// primary with its postfixes. A method that returns without an error has read exactly its
// rule and leaves what is behind it to its caller.
type exprParser struct{ cursor }

// constants are words that no template can assign to, in Python's spelling as well.
var constants = map[string]Value{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

// tuple reads an expression, or several with commas between.
// A comma may stand at the end, so what can follow a tuple has to be known: the ends of tags,
// a closing parenthesis, and the in of a loop (is_tuple_end). An empty tuple has to have its
// parentheses, and primary reads that one.
func (p *exprParser) tuple(withCond bool) (expr, error) {
	first, err := p.expression(withCond)
	if err != nil || !p.isOp(",") {
		return first, err
	}
	list := &listExpr{items: []expr{first}, tuple: true}
	for p.accept(",") {
		if t := p.peek(); t.kind == tVarEnd || t.kind == tBlockEnd || p.isOp(")") || p.isName("in") {
			break
		}
		e, err := p.expression(withCond)
		if err != nil {
			return nil, err
		}
		list.items = append(list.items, e)
	}
	return list, nil
}

// expression reads `a if b else c` and all that binds tighter; without
// withCond, the `if` is somebody else's.
// In `for x in a if b` the if is the loop's: parse_for reads its iterable without conditions.
// An if may follow an if (a if b if c), from the left, as in parse_condexpr.
func (p *exprParser) expression(withCond bool) (expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	e, err := p.or()
	for withCond && err == nil && p.acceptName("if") {
		c := &condExpr{yes: e}
		if c.cond, err = p.or(); err != nil {
			return nil, err
		}
		if p.acceptName("else") {
			if c.no, err = p.expression(true); err != nil {
				return nil, err
			}
		}
		e = c
	}
	return e, err
}

// or, and, not, compare, sum, concat, product, power and unary are levels of
// precedence, the loosest first.
func (p *exprParser) or() (expr, error) {
	e, err := p.and()
	for err == nil && p.acceptName("or") {
		var r expr
		r, err = p.and()
		e = &logic{e, r, true}
	}
	return e, err
}

func (p *exprParser) and() (expr, error) {
	e, err := p.not()
	for err == nil && p.acceptName("and") {
		var r expr
		r, err = p.not()
		e = &logic{e, r, false}
	}
	return e, err
}

// not recurses without passing through expression, so it counts its own depth: a template of
// nothing but nots would else exhaust the stack.
func (p *exprParser) not() (expr, error) {
	if !p.acceptName("not") {
		return p.compare()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	e, err := p.not()
	return &notExpr{e}, err
}

var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

// compare reads a chain: a < b < c compares b with both.
// All comparisons have one level of precedence, in and not in among them, as in Python. `is`
// is none of them: Jinja binds it as tight as a filter (unary).
func (p *exprParser) compare() (expr, error) {
	e, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := &comparison{first: e}
	for {
		op := p.peek().text
		switch {
		case p.peek().kind == tOp && slices.Contains(comparisons, op):
			p.at++
		case p.acceptName("in"):
		case p.isName("not") && p.toks[p.at+1].kind == tName && p.toks[p.at+1].text == "in":
			p.at += 2
			op = "not in"
		default:
			if len(c.ops) == 0 {
				return e, nil
			}
			return c, nil
		}
		r, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.ops, c.rest = append(c.ops, op), append(c.rest, r)
	}
}

// binaryLevel reads operands of a tighter level with operators between.
// All of them are left-associative, so a loop does what the grammar's recursion would.
func (p *exprParser) binaryLevel(operand func() (expr, error), ops ...string) (expr, error) {
	e, err := operand()
	for err == nil && p.peek().kind == tOp && slices.Contains(ops, p.peek().text) {
		op := p.next().text
		var r expr
		r, err = operand()
		e = &binary{op, e, r}
	}
	return e, err
}

// That ~ binds tighter than + is Jinja's own rule (parse_math1, parse_concat), and
// that ** goes from the left, unlike Python's, too.
func (p *exprParser) sum() (expr, error)     { return p.binaryLevel(p.concat, "+", "-") }
func (p *exprParser) concat() (expr, error)  { return p.binaryLevel(p.product, "~") }
func (p *exprParser) product() (expr, error) { return p.binaryLevel(p.power, "*", "/", "//", "%") }
func (p *exprParser) power() (expr, error) {
	return p.binaryLevel(func() (expr, error) { return p.unary(true) }, "**")
}

// unary reads a sign or a primary with what follows it. Filters bind weaker than a
// sign: -x|abs is (-x)|abs, so below a sign there are none (parse_unary).
// The result of a filter or a test may be called, as a | b()() is (parse_filter_expr); a
// test's result only to be refused.
func (p *exprParser) unary(withFilter bool) (expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var e expr
	var err error
	if p.isOp("-") || p.isOp("+") {
		op := p.next().text
		e, err = p.unary(false)
		e = &unary{op, e}
	} else {
		e, err = p.primary()
	}
	if err == nil {
		e, err = p.postfix(e)
	}
	for err == nil && withFilter {
		switch {
		case p.isOp("|"):
			e, err = p.filter(e)
		case p.isName("is"):
			e, err = p.test(e)
		case p.isOp("("):
			e, err = p.call(e)
		default:
			return e, nil
		}
	}
	return e, err
}

// primary reads a name, a constant, or brackets. Parentheses group, and make tuples
// where there is a comma in them.
// primary trusts the lexer that numbers have digits: what can fail is their size. Python's
// integers have none; see arithmetic for what is done about that.
func (p *exprParser) primary() (expr, error) {
	t := p.next()
	switch t.kind {
	case tName:
		if v, ok := constants[t.text]; ok {
			return constant{v}, nil
		}
		return name(t.text), nil
	case tString:
		s := t.text
		for p.peek().kind == tString { // adjacent strings are one
			s += p.next().text
		}
		return constant{s}, nil
	case tInt:
		v, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			return nil, syntaxError(t.line, "integer %s is too large", t.text)
		}
		return constant{v}, nil
	case tFloat:
		v, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, syntaxError(t.line, "number %s is too large", t.text)
		}
		return constant{v}, nil
	case tOp:
		switch t.text {
		case "(":
			if p.accept(")") {
				return &listExpr{tuple: true}, nil
			}
			e, err := p.tuple(true)
			if err != nil {
				return nil, err
			}
			return e, p.expect(tOp, ")")
		case "[":
			return p.list()
		case "{":
			return p.dict()
		}
	}
	return nil, syntaxError(t.line, "expected an expression, found %v", t)
}

// list reads [a, b], behind its bracket; a comma may stand at the end.
func (p *exprParser) list() (expr, error) {
	l := &listExpr{}
	for !p.accept("]") {
		if len(l.items) > 0 {
			if err := p.expect(tOp, ","); err != nil {
				return nil, err
			}
			if p.accept("]") {
				break
			}
		}
		e, err := p.expression(true)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, e)
	}
	return l, nil
}

// dict reads {key: value}, behind its bracket.
// Keys are expressions, not words: a name as key is a variable's value. That a key cannot be
// a list is known only when it is evaluated.
func (p *exprParser) dict() (expr, error) {
	d := &dictExpr{}
	for !p.accept("}") {
		if len(d.keys) > 0 {
			if err := p.expect(tOp, ","); err != nil {
				return nil, err
			}
			if p.accept("}") {
				break
			}
		}
		k, err := p.expression(true)
		if err != nil {
			return nil, err
		}
		if err := p.expect(tOp, ":"); err != nil {
			return nil, err
		}
		v, err := p.expression(true)
		if err != nil {
			return nil, err
		}
		d.keys, d.values = append(d.keys, k), append(d.values, v)
	}
	return d, nil
}

// postfix reads .name, [index], [slice] and (arguments) after an expression.
// The integer after a dot is an index written as in Django's templates (items.0), which Jinja
// keeps.
func (p *exprParser) postfix(e expr) (expr, error) {
	var err error
	for err == nil {
		switch {
		case p.accept("."):
			t := p.next()
			switch t.kind {
			case tName:
				e = &attribute{e, t.text}
			case tInt:
				// An index of more than 64 bits becomes the largest one, which is in no list
				// either.
				v, _ := strconv.ParseInt(t.text, 10, 64)
				e = &subscript{e, constant{v}}
			default:
				return nil, syntaxError(t.line, "expected a name after the dot, found %v", t)
			}
		case p.accept("["):
			e, err = p.subscript(e)
		case p.isOp("("):
			e, err = p.call(e)
		default:
			return e, nil
		}
	}
	return nil, err
}

// subscript reads an index or a slice, behind its bracket.
// Jinja also reads several indices, a[1, 2], into a tuple; as no value here takes a tuple as
// key, what comes of it is undefined in both.
func (p *exprParser) subscript(of expr) (expr, error) {
	var parts [3]expr
	n := 0
	for !p.isOp("]") {
		if p.accept(":") {
			if n++; n > 2 {
				return nil, p.fail("a slice has three parts")
			}
			continue
		}
		if parts[n] != nil {
			return nil, p.fail("expected ] or :, found %v", p.peek())
		}
		e, err := p.tuple(true)
		if err != nil {
			return nil, err
		}
		parts[n] = e
	}
	p.at++
	if n > 0 {
		return &slice{of, parts}, nil
	}
	if parts[0] == nil {
		return nil, p.fail("the index is missing")
	}
	return &subscript{of, parts[0]}, nil
}

// call reads the arguments behind a callee; whether that can be called is seen when it runs.
func (p *exprParser) call(fn expr) (expr, error) {
	c := &callExpr{fn: fn}
	var err error
	c.args, err = p.arguments()
	return c, err
}

// arguments reads (a, b, name=c).
// Names behind positions only, as in Python; * and ** are refused by name, because a template
// that spreads arguments would otherwise fail with a riddle about an expression.
func (p *exprParser) arguments() (args, error) {
	var a args
	if err := p.expect(tOp, "("); err != nil {
		return a, err
	}
	for first := true; !p.accept(")"); first = false {
		if !first {
			if err := p.expect(tOp, ","); err != nil {
				return a, err
			}
			if p.accept(")") {
				break
			}
		}
		if p.isOp("*") || p.isOp("**") {
			return a, p.fail("arguments with %s are not supported", p.peek().text)
		}
		if t := p.peek(); t.kind == tName && p.toks[p.at+1].kind == tOp && p.toks[p.at+1].text == "=" {
			p.at += 2
			e, err := p.expression(true)
			if err != nil {
				return a, err
			}
			a.names, a.named = append(a.names, t.text), append(a.named, e)
			continue
		}
		if len(a.names) > 0 {
			return a, p.fail("an argument without a name follows one with")
		}
		e, err := p.expression(true)
		if err != nil {
			return a, err
		}
		a.list = append(a.list, e)
	}
	return a, nil
}

// filter reads |name(arguments).
// The bar is the next token, as the caller has seen.
func (p *exprParser) filter(of expr) (*filterExpr, error) {
	p.at++
	return p.filterNamed(of)
}

// filterNamed reads a filter behind its bar. One that is not known is refused before
// anything is rendered: a template that works for one chat works for all.
// {% filter a|b %} and a set block begin with a name where an expression has its bar.
func (p *exprParser) filterNamed(of expr) (*filterExpr, error) {
	n, err := p.name()
	if err != nil {
		return nil, err
	}
	f := &filterExpr{of: of, name: n, fn: filters[n]}
	if f.fn == nil {
		return nil, p.fail("filter %q is not supported", n)
	}
	if p.isOp("(") {
		f.args, err = p.arguments()
	}
	return f, err
}

// test reads `is [not] name argument`. One argument may stand without parentheses,
// unless what stands there is a word of the grammar (parse_test).
// `x is not none` is the negated test none, not a test of `not none`, and the argument of one
// such as `divisibleby 3` is a primary with postfixes: no operator or filter is read into it.
func (p *exprParser) test(of expr) (expr, error) {
	p.at++
	negated := p.acceptName("not")
	n, err := p.name()
	if err != nil {
		return nil, err
	}
	t := &testExpr{of: of, name: n, fn: tests[n]}
	if t.fn == nil {
		return nil, p.fail("test %q is not supported", n)
	}
	switch next := p.peek(); {
	case p.isOp("("):
		t.args, err = p.arguments()
	case next.kind == tString, next.kind == tInt, next.kind == tFloat, p.isOp("["), p.isOp("{"),
		next.kind == tName && !slices.Contains([]string{"else", "or", "and", "is", "if", "in", "not"}, next.text):
		var e expr
		if e, err = p.primary(); err != nil {
			return nil, err
		}
		if e, err = p.postfix(e); err != nil {
			return nil, err
		}
		t.args.list = []expr{e}
	}
	if negated {
		return &notExpr{t}, err
	}
	return t, err
}
