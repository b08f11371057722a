package jinja

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"vgid/model/kit/hftest"
)

// ordered reads JSON with the order of its objects, as Python does.
func ordered(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			out := []any{}
			for d.More() {
				v, err := ordered(d)
				if err != nil {
					return nil, err
				}
				out = append(out, v)
			}
			_, err := d.Token()
			return out, err
		}
		out := &Dict{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			w, err := fromGo(v)
			if err != nil {
				return nil, err
			}
			out.Set(k, w)
		}
		_, err := d.Token()
		return out, err
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return i, nil
		}
		return t.Float64()
	}
	return t, nil
}

type goldenRow struct {
	Src, Out string
	Error    string
}

// goldens are renderings of transformers (testdata/make_goldens.py).
func goldens(t testing.TB) (map[string]any, []goldenRow) {
	t.Helper()
	b, err := os.Open("testdata/golden.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	z, err := gzip.NewReader(b)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vars json.RawMessage
		Rows []goldenRow
	}
	if err := json.NewDecoder(z).Decode(&file); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(file.Vars))
	d.UseNumber()
	v, err := ordered(d)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]any{}
	for _, k := range v.(*Dict).keys {
		vars[k.(string)], _ = v.(*Dict).Get(k)
	}
	return vars, file.Rows
}

func render(src string, vars map[string]any) (string, error) {
	t, err := Parse(src)
	if err != nil {
		return "", err
	}
	return t.Render(vars, Options{})
}

// refused are templates of the reference that lie outside the subset.
var refused = map[string]bool{
	`{{ "%s"|format(1) }}`:        true,
	`{{ '%s is %d' % ('a', 1) }}`: true,
	`{{ '{} {}'.format(1, 2) }}`:  true,
	`{{ d.items }}`:               true, // prints a method
	`{{ namespace }}`:             true,
}

func TestGolden(t *testing.T) {
	vars, rows := goldens(t)
	var more []goldenRow
	hftest.Golden(t, "markup.json", &more)
	for _, r := range append(rows, more...) {
		got, err := render(r.Src, vars)
		switch {
		case r.Error != "" && err == nil:
			t.Errorf("%q\n gives %q, the reference refuses: %s", r.Src, got, r.Error)
		case r.Error == "" && err != nil && !refused[r.Src]:
			t.Errorf("%q\n refused: %v", r.Src, err)
		case r.Error == "" && err == nil && got != r.Out:
			t.Errorf("%q\n got %q\nwant %q", r.Src, got, r.Out)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "line ")) {
			t.Errorf("%q\n error %q is not one line that says where", r.Src, err)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"a\n{{ x.y }}", `line 2: "x" is undefined`},
		{"{% if 1 %}\n\n{{ none.a.b }}{% endif %}", `line 3: "a" of a none is undefined`},
		{"{% include 'a' %}", `line 1: statement "include" is not supported`},
		{"{{ 'a'|urlize }}", `filter "urlize" is not supported`},
		{"\n{% for x in y %}", `line 2: block is not closed: endfor is missing`},
		{"{{ 'a' * 999999999 }}", "too large"},
		{"{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "too large"},
		{"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}", "too many steps"},
		{"{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}", "too many steps"},
		{"{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}", "nested too deep"},
		{"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested too deep"},
		{"{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}", "too"},
		{"{{ range(1000000)|length }}", "more than 100000 items"},
		{"{{ " + strings.Repeat("(", 9999) + strings.Repeat(")", 9999) + " }}", "nested more than"},
		{"{{ " + strings.Repeat("not ", 9999) + "1 }}", "nested more than"},
		{"{{ " + strings.Repeat("-", 9999) + "1 }}", "nested more than"},
		{strings.Repeat("{% if 1 %}", 9999), "nested more than"},
		{"{{ 99999999999999999999 }}", "too large"},
		{"{{ 9223372036854775807 + 1 }}", "integer overflow"},
		{"{{ -(-9223372036854775807 - 1) }}", "integer overflow"},
		{"{{ (-9223372036854775807 - 1)|abs }}", "integer overflow"},
		{"{{ strftime_now('%Q') }}", "%Q is not supported"},
	} {
		_, err := render(c.src, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80q: error %v, want %q", c.src, err, c.want)
		}
	}
}

func TestStrftime(t *testing.T) {
	p, err := Parse("{{ strftime_now('%d %b %Y|%A %a %B|%H:%M:%S %I %p|%j %y %m|%-d %-m|%%') }}")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 7, 4, 15, 6, 7, 0, time.UTC)
	got, err := p.Render(nil, Options{Now: func() time.Time { return at }})
	if want := "04 Jul 2024|Thursday Thu July|15:06:07 03 PM|186 24 07|4 7|%"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestVariables(t *testing.T) {
	// A separator that is none is printed, as str(None) is; one that is not given is empty.
	if got, err := render("{{ x|join }} {{ x|join(none) }}", map[string]any{"x": []any{"a", "b"}}); got != "ab aNoneb" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := render("{{ x }}", map[string]any{"x": struct{}{}}); err == nil || !strings.Contains(err.Error(), `variable "x"`) {
		t.Errorf("error %v", err)
	}
	if got, err := render("{{ x }}{{ y }}", map[string]any{"x": 3, "y": []any{1, "a", nil}}); got != "3[1, 'a', None]" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// Whatever the template, rendering ends, and ends with a result or an error.
func FuzzRender(f *testing.F) {
	vars, rows := goldens(f)
	for _, r := range rows {
		f.Add(r.Src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		_, err := render(src, vars)
		if err != nil && fmt.Sprint(err) == "" {
			t.Fatal("an error without words")
		}
	})
}
