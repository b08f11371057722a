package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Built-in models are models to every command; their folder goes with the command.
func TestBuiltinModels(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, c := range []struct {
		args []string
		want string // on standard output, or
		bad  string // the one line
	}{
		{args: []string{"inspect", "--model", "builtin:quickstart"}, want: "folder     builtin:quickstart\nfamily     llava\n"},
		{args: []string{"inspect", "--model", "builtin:quickstart", "--json"}, want: `"folder": "builtin:quickstart"`},
		{args: []string{"generate", "--model", "builtin:quickstart", "--max-new", "1", "--prompt", "USER: Who?\nASSISTANT:"}, want: "\n"},
		{args: []string{"inspect", "--model", "builtin:quick"}, bad: `inspect: --model: model "builtin:quick": the only built-in models are builtin:quickstart and init:quickstart`},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "Who is <image>?", ""}, want: "[1,521,314,225,4,35]\n[1]\n"},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "--no-special", "\"a\"\\n"}, want: "[6,69,6,64,82]\n"},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "--decode", "[521,314]", "[]"}, want: "\"Who is\"\n\"\"\n"},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "--", "--in"}, want: "[1,17,17,"},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "--decode", "521"}, bad: "argument:1: not a JSON list of ids"},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "--decode", "[1]\n[2]"}, bad: "tokenize: argument 1: give one list of ids in each"},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "ok", "K\xf6ln"}, bad: "tokenize: argument 2 is no UTF-8"},
		{args: []string{"tokenize", "--model", "builtin:quickstart", "--in", "file", "text"}, bad: `tokenize: --in and "text" exclude each other`},
		{args: []string{"tokenize", "text", "--model", "builtin:quickstart"}, bad: `tokenize: flags go before the text, and --model stands behind "text"`},
		{args: []string{"tokenize", "text"}, bad: "tokenize: --model is missing"},
	} {
		p := toEnd(t, program, c.args...)
		code, out, said := p.wait(), p.out.String(), p.err.String()
		if c.bad == "" && (code != 0 || !strings.Contains(out, c.want)) {
			t.Errorf("%q: exit code %d, %q, %q", c.args, code, out, said)
		}
		if c.bad != "" && (code != 1 || !strings.HasPrefix(said, "vgid: "+c.bad) || strings.Count(said, "\n") != 1) {
			t.Errorf("%q: exit code %d, %q", c.args, code, said)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
