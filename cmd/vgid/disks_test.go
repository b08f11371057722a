//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// apart starts vgid on two nodes, each in a folder of its own below top, as on
// machines without a shared disk.
func apart(t *testing.T, top string, args ...string) *process {
	t.Helper()
	for _, node := range []string{"0", "1"} {
		if err := os.MkdirAll(filepath.Join(top, node), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := `top=$1; shift; cd "$top/$VGID_NODE_RANK" && exec "$0" "$@"`
	return start(t, nil, launcher(t), append([]string{"--nodes", "2", "--local", "--", "sh", "-c", script, program, top}, args...)...)
}

// Machines without a shared disk run a whole job and resume it; what is only on one
// of them is found out before anything is trained.
func TestNodesWithoutASharedDisk(t *testing.T) {
	top := t.TempDir()
	over := map[string]string{
		"data.dir": "", "data.people": "5", "data.views": "1", "data.celebrities": "2", "train.steps": "2", "unlearn.steps": "2",
		"model.gold": "none", "eval.max_new": "3", "data.eval_people": "1",
	}
	args := append([]string{"run"}, flags("out", over)...)
	p := apart(t, top, args...)
	if p.wait() != 0 {
		t.Fatal(p.out.String(), p.err.String())
	}
	p.nothingLeft(t)
	model := filepath.Join("out", "r", "unlearned", "model", "model.safetensors")
	if !bytes.Equal(read(t, top, "0", model), read(t, top, "1", model)) {
		t.Error("the nodes have different models")
	}
	if got := files(t, filepath.Join(top, "1")); slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, ".worker-") }) {
		t.Errorf("marks are left: %v", got)
	}
	p = apart(t, top, append(args, "--resume")...)
	if p.wait() != 0 || !strings.Contains(p.out.String(), "unlearned: finished before, kept") {
		t.Errorf("resumed: %s%s", p.out.String(), p.err.String())
	}
	mine := filepath.Join(top, "1", model)
	if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	p = apart(t, top, append(args, "--resume")...)
	if p.wait() == 0 || !strings.Contains(p.err.String(), model+" is not what rank 0 has there") || !bytes.Equal(read(t, mine), []byte("mine")) {
		t.Errorf("over a file of another: %s%s", p.out.String(), p.err.String())
	}
	noTrace(t, p)

	// The model to begin with is not made by the run: it has to be everywhere, and equal.
	for _, node := range []string{"0", "1"} {
		if err := os.CopyFS(filepath.Join(top, node, "base"), os.DirFS(world.Model)); err != nil {
			t.Fatal(err)
		}
	}
	weights := filepath.Join(top, "1", "base", "model.safetensors")
	b := read(t, weights)
	b[len(b)-2] ^= 1
	if err := os.WriteFile(weights, b, 0o644); err != nil {
		t.Fatal(err)
	}
	over["model.base"], over["name"] = "base", "other"
	p = apart(t, top, append([]string{"run"}, flags("out", over)...)...)
	want := "workers do not read the same files: base/model.safetensors: model.safetensors (weights) differs from rank 0's on rank 1 (node node1)"
	if p.wait() == 0 || !strings.Contains(lastLine(p.err.String()), want) {
		t.Errorf("with other weights: %s%s", p.out.String(), p.err.String())
	}
	noTrace(t, p)
	p.nothingLeft(t)
}
