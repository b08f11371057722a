//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/hub/hubtest"
)

// A model by its name does what its folder does; tokenizing fetches no weights.
func TestModelOfHub(t *testing.T) {
	asked := hubtest.Serve(t, world.Model, nil)
	texts := filepath.Join(t.TempDir(), "texts")
	if err := os.WriteFile(texts, []byte("\"Who is the person? <image>\"\n\"\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tokenize := func(model string) string {
		return must(t, program, "tokenize", "--in", texts, "--model", model)
	}
	want := tokenize(world.Model)
	if got := tokenize("org/tiny"); got != want || !strings.Contains(want, ",") {
		t.Errorf("ids %q of a model by its name, %q of its folder", got, want)
	}
	if a := asked(); strings.Contains(a, ".safetensors") || !strings.Contains(a, "tokenizer.json") {
		t.Errorf("tokenizing asked for %s", a)
	}
	if out := must(t, program, "inspect", "--model", "org/tiny"); !strings.Contains(out, "llava") {
		t.Errorf("inspect says\n%s", out)
	}
	if a := asked(); !strings.Contains(a, "model.safetensors") || strings.Count(a, "tokenizer.json") != 1 {
		t.Errorf("after all, %s was asked for", a)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	if got := tokenize("org/tiny@main"); got != want {
		t.Errorf("ids %q offline, %q before", got, want)
	}
	if p := toEnd(t, program, "tokenize", "--in", texts, "--model", "org/tiny@v2"); p.wait() != 1 || !strings.Contains(p.err.String(), "org/tiny@v2 is not in the cache") {
		t.Errorf("another revision: %s", p.err.String())
	}
}
