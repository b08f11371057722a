//go:build linux

package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/hf/tokenizer/tokbench"
	"vgid/model/loadbench"
)

// The benches of files measure from the command line, each process that loads
// being this program again.
func TestBenchFiles(t *testing.T) {
	var tokens tokbench.Report
	out := must(t, program, "bench", "tokenize", "--model", filepath.Join(world.Model, "tokenizer.json"), "--strings", "20", "--rounds", "1", "--json")
	if err := json.Unmarshal([]byte(out), &tokens); err != nil || len(tokens.Rows) != 2 || tokens.Texts != 20 {
		t.Errorf("%v: %s", err, out)
	}
	var load loadbench.Report
	out = must(t, program, "bench", "load", "--model", world.Model, "--rounds", "1", "--json")
	if err := json.Unmarshal([]byte(out), &load); err != nil || len(load.Rows) != 2 || load.Bytes == 0 {
		t.Errorf("%v: %s", err, out)
	}
	for want, args := range map[string]string{
		"bench tokenize: --model is missing":                "tokenize",
		"bench tokenize: --rounds 0: must be at least 1":    "tokenize --model x --rounds 0",
		"folder nowhere/ does not exist":                    "tokenize --model nowhere/",
		"bench load: --model is missing":                    "load",
		`bench load: argument "x" is too much`:              "load x",
		"nowhere/at/all does not exist":                     "load --model nowhere/at/all",
		"no such file or directory; a model's folder holds": "tokenize --model nowhere/tokenizer.json",
		"texts: no such file":                               "tokenize --model " + world.Model + " --texts nowhere/texts",
		"python9\": executable file not found":              "load --python python9 --model " + world.Model,
		"python8\": executable file not found":              "tokenize --python python8 --strings 5 --model " + world.Model,
	} {
		p := toEnd(t, program, append([]string{"bench"}, strings.Fields(args)...)...)
		if msg := p.err.String(); p.wait() != 1 || !strings.Contains(msg, want) || strings.Count(msg, "\n") != 1 {
			t.Errorf("bench %s: exit code %d, %q, want one line with %q", args, p.wait(), msg, want)
		}
	}
}
