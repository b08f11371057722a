package bench

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"vgid/collective/netlab"
)

func TestOnNode(t *testing.T) {
	got := onNode([]string{"--node-rank", "{node}", "{address}:1", "--join={first}:7946", "{other}"}, 2)
	want := []string{"--node-rank", "2", "10.213.7.3:1", "--join=10.213.7.1:7946", "{other}"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRunOnNodes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root makes network namespaces")
	}
	spec := netlab.Spec{Nodes: 2, Rate: 1e9}
	if l, err := netlab.Start(spec); err != nil {
		t.Skipf("SKIPPED: this machine makes no network namespaces: %v", err)
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := runOnNodes(t.Context(), spec, []string{"sh", "-c", "exit {node}"})
	if err == nil || !strings.Contains(err.Error(), "node 1: sh: exit status 1") {
		t.Errorf("a command that fails on node 1: %v", err)
	}
	if err := runOnNodes(t.Context(), spec, []string{"true"}); err != nil {
		t.Error(err)
	}
	if err := runOnNodes(t.Context(), spec, []string{"no-such-program-there"}); err == nil || !strings.Contains(err.Error(), "node 0") {
		t.Errorf("a command that there is not: %v", err)
	}
	// What is interrupted ends its commands and does not wait for them.
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := runOnNodes(ctx, spec, []string{"sleep", "600"}); err == nil {
		t.Error("an interrupted command ends well")
	}
}
