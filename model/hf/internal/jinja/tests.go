package jinja

import (
	"fmt"
	"strings"
	"unicode"
)

// testFunc answers `value is name(arguments)`.
type testFunc = func(rt *runtime, v Value, a *argValues) (bool, error)

// tests are those of jinja2/tests.py.
// They look at values without printing or changing them. filter and test, which ask for the
// existence of a name in these tables, are not among them.
// integer is false of true and false, which are ints to Python, as in the reference (test_integer).
var tests = map[string]testFunc{
	"defined":   is(func(v Value) bool { _, u := v.(undefined); return !u }),
	"undefined": is(func(v Value) bool { _, u := v.(undefined); return u }),
	"none":      is(func(v Value) bool { return v == nil }),
	"string":    is(func(v Value) bool { _, ok := plain(v).(string); return ok }),
	"escaped":   is(func(v Value) bool { _, ok := v.(markup); return ok }),
	"mapping":   is(func(v Value) bool { _, ok := v.(*Dict); return ok }),
	"integer":   is(func(v Value) bool { _, ok := v.(int64); return ok }),
	"float":     is(func(v Value) bool { _, ok := v.(float64); return ok }),
	"boolean":   is(func(v Value) bool { _, ok := v.(bool); return ok }),
	"number":    is(func(v Value) bool { _, ok := number(v); return ok }),
	"true":      is(func(v Value) bool { return v == true }),
	"false":     is(func(v Value) bool { return v == false }),
	"iterable":  is(func(v Value) bool { _, err := iterate(v); return err == nil }),
	"sequence":  is(func(v Value) bool { _, err := length(v); return err == nil }),
	"callable":  is(func(v Value) bool { _, ok := v.(*function); return ok }),
	"lower":     caseTest(unicode.IsLower, unicode.IsUpper),
	"upper":     caseTest(unicode.IsUpper, unicode.IsLower),
	"odd":       remainder(2, 1),
	"even":      remainder(2, 0),
	"divisibleby": func(rt *runtime, v Value, a *argValues) (bool, error) {
		by, _ := a.take(0, "num")
		n, ok := integer(by)
		if !ok || n == 0 {
			return false, fmt.Errorf("divisibleby takes an integer that is not zero")
		}
		return remainder(n, 0)(rt, v, a)
	},
	"in": func(rt *runtime, v Value, a *argValues) (bool, error) {
		in, _ := a.take(0, "seq")
		return contains(rt, in, v)
	},
	"sameas": func(rt *runtime, v Value, a *argValues) (bool, error) {
		w, _ := a.take(0, "other")
		return v == w, nil // of lists and dicts: the same object
	},
	"equalto": comparing("=="), "eq": comparing("=="), "ne": comparing("!="),
	"lessthan": comparing("<"), "lt": comparing("<"), "le": comparing("<="),
	"greaterthan": comparing(">"), "gt": comparing(">"), "ge": comparing(">="),
	// selectattr and the like name operators, too.
	"==": comparing("=="), "!=": comparing("!="), "<": comparing("<"), "<=": comparing("<="), ">": comparing(">"), ">=": comparing(">="),
}

// is makes a test of a question about the value alone.
func is(f func(Value) bool) testFunc {
	return func(_ *runtime, v Value, _ *argValues) (bool, error) { return f(v), nil }
}

// comparing makes a test of an operator.
func comparing(op string) testFunc {
	return func(rt *runtime, v Value, a *argValues) (bool, error) {
		w, ok := a.take(0, "")
		if !ok {
			return false, fmt.Errorf("what to compare with is missing")
		}
		return compare(rt, op, v, w)
	}
}

// remainder tests what is left of an integer divided by n.
// The remainder is made positive, as Python's is for a positive divisor: -3 is odd.
func remainder(n, want int64) testFunc {
	return func(_ *runtime, v Value, _ *argValues) (bool, error) {
		i, ok := integer(v)
		if !ok {
			return false, operandError("%", v)
		}
		return (i%n+n)%n == want, nil
	}
}

// caseTest asks for a character of one case and none of the other.
// str.isupper asks for one cased character at least; digits and blanks are of no case.
func caseTest(want, not func(rune) bool) testFunc {
	return func(rt *runtime, v Value, _ *argValues) (bool, error) {
		s, err := str(rt, v)
		return strings.ContainsFunc(s, want) && !strings.ContainsFunc(s, not), err
	}
}
