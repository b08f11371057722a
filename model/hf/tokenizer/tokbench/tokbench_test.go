package tokbench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vgid/model/hf/tokenizer"
	"vgid/model/kit/hftest"
)

func options() Options {
	return Options{Dir: "../testdata/llama2", Strings: 50, Threads: []int{1, 2}, Rounds: 2}
}

func TestAlone(t *testing.T) {
	r, err := Run(context.Background(), options())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 || r.Reference != "absent" || r.Same != 0 || r.Texts != 50 {
		t.Errorf("report %+v", r)
	}
	for _, row := range r.Rows {
		if !(row.MBPerS > 0 && row.TokensPS > 0) || row.Ratio != 0 {
			t.Errorf("row %+v", row)
		}
	}
}

// fake is a program that answers as the library's script does, with ids of its
// own, and says that every part takes it ten seconds.
func fake(t *testing.T, o Options, ids func(i int, right []int32) []int32) string {
	t.Helper()
	tok, err := tokenizer.Load(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := made(filepath.Join(o.Dir, "tokenizer.json"), o.Strings*(o.Rounds+1))
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for i, s := range texts {
		if err := json.NewEncoder(&lines).Encode(ids(i, tok.Encode(s, true))); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "python")
	script := fmt.Sprintf(`#!/bin/sh
echo '{"version":"0"}'
while read -r call what; do
	case $call in
	ids) cp %s/ids "$what"; echo '{}';;
	*) echo '{"wall":10,"cpu":10,"texts":%d}';;
	esac
done
`, dir, o.Strings)
	if err := os.WriteFile(filepath.Join(dir, "ids"), lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

func TestBeside(t *testing.T) {
	o := options()
	o.Python = fake(t, o, func(_ int, right []int32) []int32 { return right })
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range r.Rows {
		got = append(got, fmt.Sprint(row.Threads, " ", row.Program))
		if (row.Ratio > 1) != (row.Program != ours) {
			t.Errorf("row %+v", row)
		}
	}
	want := []string{"1 vgid", "1 tokenizers encode", "1 tokenizers encode_batch", "1 tokenizers encode_batch_fast",
		"2 vgid", "2 tokenizers encode_batch", "2 tokenizers encode_batch_fast"}
	if !slices.Equal(got, want) || r.Same != 150 {
		t.Errorf("rows %q, %d texts with equal ids", got, r.Same)
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "tokenizers 0: equal ids of all 150 texts") {
		t.Errorf("table: %v\n%s", err, table.String())
	}
}

// Speed without equality is not measured.
func TestOtherIDs(t *testing.T) {
	o := options()
	o.Python = fake(t, o, func(i int, right []int32) []int32 {
		if i == 7 {
			return append(right, 3)
		}
		return right
	})
	_, err := Run(context.Background(), o)
	hftest.WantError(t, err, "text 8, ")
	o.Python = fake(t, o, func(int, []int32) []int32 { return nil })
	_, err = Run(context.Background(), o)
	hftest.WantError(t, err, "text 1, ")
}

func TestRefusals(t *testing.T) {
	o := options()
	o.Texts = []string{"a", "b"}
	_, err := Run(context.Background(), o)
	hftest.WantError(t, err, "2 texts are too few for 2 rounds")

	o = options()
	o.Python = filepath.Join(t.TempDir(), "none")
	_, err = Run(context.Background(), o)
	hftest.WantError(t, err, "no such file")

	o.Python = filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(o.Python, []byte("#!/bin/sh\necho 'No module named tokenizers' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Run(context.Background(), o)
	hftest.WantError(t, err, "ended early (exit status 1): No module named tokenizers")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, options()); err == nil {
		t.Error("a cancelled run succeeded")
	}
}

func TestReadTexts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts")
	if err := os.WriteFile(path, []byte("\"a\\n\"\n\"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadTexts(path); err != nil || !slices.Equal(got, []string{"a\n", ""}) {
		t.Errorf("texts %q, %v", got, err)
	}
	for _, bad := range []string{"\"a\"\nb\n", "\"a\"\nnull\n", "\"a\"\n[\"b\"]\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadTexts(path)
		hftest.WantError(t, err, "text 2 is not a JSON string")
	}
}

// With VGID_PYTHON, a python with tokenizers, the real script is run.
func TestLibrary(t *testing.T) {
	o := options()
	if o.Python = os.Getenv("VGID_PYTHON"); o.Python == "" {
		t.Skip("VGID_PYTHON names no python with tokenizers: the library's side is not run")
	}
	before := runtime.GOMAXPROCS(0)
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 7 || r.Same != 150 || runtime.GOMAXPROCS(0) != before {
		t.Errorf("report %+v", r)
	}
	for _, row := range r.Rows {
		if !(row.MBPerS > 0) {
			t.Errorf("row %+v", row)
		}
	}
}
