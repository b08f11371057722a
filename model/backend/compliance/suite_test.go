package compliance

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/ref"
)

// mutant is a backend with one mistake that a suite could overlook.
type mutant struct {
	name   string
	part   string // of the suite that finds the mistake, or "errors"
	golden string // operation whose golden values find it when the reference makes it too; "" when there are none
	on     replaced
}

func allMutants() []mutant {
	return slices.Concat(storageMutants(), elementwiseMutants, linearMutants, normMutants, randomMutants, attentionMutants, headMutants, bf16Mutants, optimizerMutants)
}

// recorder keeps failures instead of failing.
type recorder struct{ failures []string }

// stop ends what called Fatalf.
type stop struct{}

func (r *recorder) Helper()                   {}
func (r *recorder) Logf(string, ...any)       {}
func (r *recorder) Failed() bool              { return len(r.failures) > 0 }
func (r *recorder) Errorf(f string, a ...any) { r.failures = append(r.failures, fmt.Sprintf(f, a...)) }
func (r *recorder) Fatalf(f string, a ...any) {
	r.Errorf(f, a...)
	panic(stop{})
}

// failuresOf are the failures that f reports.
func failuresOf(f func(t reporter)) (failures []string) {
	r := &recorder{}
	defer func() {
		if p := recover(); p != nil && p != (stop{}) {
			panic(p)
		}
		failures = r.failures
	}()
	f(r)
	return nil
}

func part(t *testing.T, name string) one {
	t.Helper()
	for _, c := range all() {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("the suite has no part %q", name)
	return one{}
}

// The suite finds every mutant.
func TestSuiteFindsMistakes(t *testing.T) {
	names := map[string]bool{}
	for _, m := range allMutants() {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names[m.name] = true
		t.Run(m.name, func(t *testing.T) {
			open := func() broken { return broken{ref.New(), m.on} }
			var failures []string
			if m.part == "errors" {
				for _, wrong := range slices.Concat(mistakes, wrongValues) {
					failures = append(failures, failuresOf(func(t reporter) { checkMistake(t, open(), wrong) })...)
				}
			} else {
				c := part(t, m.part)
				failures = failuresOf(func(t reporter) { check(t, open(), answersOf(t, c), c) })
			}
			if len(failures) == 0 {
				t.Fatalf("part %q finds nothing wrong", m.part)
			}
			t.Log(failures[0])
		})
	}
}

// A mistake of the reference that the backend shares is found by the values
// from PyTorch, as a mistake of the reference.
func TestGoldenFindsSharedMistakes(t *testing.T) {
	tried := map[string]bool{}
	for _, m := range allMutants() {
		if m.golden == "" {
			continue
		}
		tried["golden "+m.golden] = true
		t.Run(m.name, func(t *testing.T) {
			c := part(t, "golden "+m.golden)
			failures := failuresOf(func(t reporter) { check(t, broken{ref.New(), m.on}, record(t, broken{ref.New(), m.on}, c), c) })
			if len(failures) == 0 {
				t.Fatalf("part %q finds nothing wrong", c.name)
			}
			if !strings.Contains(failures[0], "PyTorch") {
				t.Errorf("found as %q, not by comparing with PyTorch", failures[0])
			}
		})
	}
	for _, c := range goldens {
		if !tried[c.name] {
			t.Errorf("no mutant is tried on %s", c.name)
		}
	}
}

// Without a mistake the same machinery reports nothing, so what it reports of
// mutants is their own. (TestReference runs the other parts.)
func TestSuiteFindsNothingElse(t *testing.T) {
	for _, c := range goldens {
		if failures := failuresOf(func(t reporter) { check(t, broken{Backend: ref.New()}, record(t, broken{Backend: ref.New()}, c), c) }); len(failures) > 0 {
			t.Errorf("part %q: %s", c.name, failures[0])
		}
	}
	for _, wrong := range slices.Concat(mistakes, wrongValues) {
		if failures := failuresOf(func(t reporter) { checkMistake(t, broken{Backend: ref.New()}, wrong) }); len(failures) > 0 {
			t.Errorf("error %q: %s", wrong.name, failures[0])
		}
	}
}

// Every operation has a mutant.
func TestEveryOperationHasAMutant(t *testing.T) {
	replaces := map[string]bool{}
	for _, m := range allMutants() {
		fields := reflect.ValueOf(m.on)
		for i := range fields.NumField() {
			if !fields.Field(i).IsNil() {
				replaces[fields.Type().Field(i).Name] = true
			}
		}
	}
	without := map[string]string{
		"Name":        "any text will do",
		"Free":        "what it gives back is not seen from outside",
		"Close":       "backends that own threads test it themselves",
		"Traits":      "what the reference says of itself is that it can nothing besides",
		"Device":      "only who knows the device asks for it",
		"Adopt":       "the reference adopts nothing; \"adopted memory\" is for those that do",
		"NewHostCopy": "the reference copies nothing in the background",
		"Host":        "the reference has no float32 in its memory",
		"FreeBytes":   "nothing to compare it with",
		"For":         "the reference keeps no account",
		"Memory":      "as For",
		"Peak":        "as For",
	}
	operations := reflect.TypeFor[backend.Backend]()
	for i := range operations.NumMethod() {
		name := operations.Method(i).Name
		if _, ok := without[name]; ok == replaces[name] {
			t.Errorf("%s: has a mutant: %v; excused: %v", name, replaces[name], ok)
		}
	}
}

// Every golden case belongs to a part, so none is forgotten.
func TestGoldenCasesAreAllUsed(t *testing.T) {
	cases, err := readGolden()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, c := range goldens {
		used[c.name] = true
	}
	for _, g := range cases {
		if !used["golden "+g.Op] {
			t.Errorf("no part reads the cases of %q", g.Op)
		}
	}
}

// Helpers of the mutants.

func each(t tensor, f func(r, c int)) {
	for r := range t.Rows {
		for c := range t.Cols {
			f(r, c)
		}
	}
}

func fresh(b *ref.Backend, rows, cols int) tensor {
	buf, err := b.Alloc(backend.F32, rows*cols)
	if err != nil {
		panic(err)
	}
	return backend.View(buf, 0, rows, cols)
}

func clone(b *ref.Backend, t tensor) tensor {
	if t.IsZero() {
		return t
	}
	c := fresh(b, t.Rows, t.Cols)
	each(t, func(r, col int) { b.Set(c, r, col, b.At(t, r, col)) })
	return c
}

// scale multiplies the elements by a float64.
func scale(b *ref.Backend, t tensor, by float64) {
	each(t, func(r, c int) { b.Set(t, r, c, by*b.At(t, r, c)) })
}

func readInts(b *ref.Backend, t tensor) []int32 {
	out := make([]int32, t.Len())
	if err := b.DownloadInts(out, t); err != nil {
		panic(err)
	}
	return out
}

func makeInts(b *ref.Backend, rows, cols int, value func(r, c int) int32) tensor {
	buf, err := b.Alloc(backend.I32, rows*cols)
	if err != nil {
		panic(err)
	}
	t := backend.View(buf, 0, rows, cols)
	host := make([]int32, 0, t.Len())
	each(t, func(r, c int) { host = append(host, value(r, c)) })
	b.UploadInts(t, host)
	return t
}

// extra adds k times the difference that op makes to t, when given, once more:
// k = -1 undoes it.
func extra(b *ref.Backend, t tensor, k float64, op func()) {
	before := clone(b, t)
	op()
	if !before.IsZero() {
		each(t, func(r, c int) { b.Set(t, r, c, b.At(t, r, c)+k*(b.At(t, r, c)-b.At(before, r, c))) })
	}
}
