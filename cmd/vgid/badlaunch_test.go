//go:build linux

package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestBadInputOfLauncher(t *testing.T) {
	l := launcher(t)
	script := `exec "$0" "$@" --unlearn.alpha=$((1 + VGID_RANK))`
	for _, tc := range []struct {
		name string
		args func(t *testing.T, dir string) []string
		want []string
	}{
		{"ranks disagree", func(t *testing.T, dir string) []string {
			return append([]string{"--nodes", "2", "--local", "--", "sh", "-c", script, program}, unlearnWith(dir, nil)...)
		}, []string{"rank ", "workers disagree on the configuration: rank 0 has unlearn.alpha: 1, rank 1 has unlearn.alpha: 2", "start all with the same"}},
		{"ranks of other commands", func(t *testing.T, dir string) []string {
			script := `[ $VGID_RANK = 1 ] && exec "$0" train vanilla "$@"; exec "$0" unlearn "$@"`
			return append([]string{"--nodes", "2", "--local", "--", "sh", "-c", script, program}, flags(dir, nil)...)
		}, []string{"workers disagree on the configuration: rank 0 has command unlearn, rank 1 has command train vanilla; start all with the same"}},
		{"ranks that evaluate other models", func(t *testing.T, dir string) []string {
			script := `exec "$0" eval "$@" --model=m$VGID_RANK`
			return append([]string{"--nodes", "2", "--local", "--", "sh", "-c", script, program}, flags(dir, nil)...)
		}, []string{"rank 0 has command eval --model m0, rank 1 has command eval --model m1"}},
		{"bad input of every rank", func(t *testing.T, dir string) []string {
			return append([]string{"--nodes", "2", "--local", "--", program}, unlearnWith(dir, map[string]string{"model.base": "/nowhere/llava"})...)
		}, []string{"failed with exit code 1: vgid: model folder /nowhere/llava", "give a Hugging Face folder"}},
		{"bad input of one rank's machine", func(t *testing.T, dir string) []string {
			// Rank 1 is the second worker of this machine: it takes the next port.
			free, _ := neighbours(t)
			script := fmt.Sprintf(`[ $VGID_RANK = 1 ] && set -- "$@" --metrics.addr=%s; exec "$0" "$@"`, free)
			return append([]string{"--nodes", "2", "--local", "--", "sh", "-c", script, program}, unlearnWith(dir, nil)...)
		}, []string{"rank 1 on node1 failed with exit code 1: vgid: metrics.addr: 127.0.0.1:", "is taken by another process"}},
		{"full disk", func(t *testing.T, dir string) []string {
			mount(t, dir, 0, "size=400k")
			return append([]string{"--nodes", "2", "--local", "--", program}, unlearnWith(dir, nil)...)
		}, []string{"rank 0 on node0 failed with exit code 1: vgid: ", "model.safetensors: ", "no space left on device", "free some space"}},
		{"occupied port", func(t *testing.T, dir string) []string {
			_, port, err := net.SplitHostPort(occupied(t))
			if err != nil {
				t.Fatal(err)
			}
			return []string{"--nodes", "2", "--port", port, "--", program, "config", "show"}
		}, []string{"--port ", "is occupied", "choose another --port, 0 takes any free one"}},
		{"nodes that do not come", func(t *testing.T, dir string) []string {
			return []string{"--nodes", "2", "--port", "0", "--timeout", "500ms", "--", program, "config", "show"}
		}, []string{"did not come together within --timeout 500ms", "start the missing ones with --join 127.0.0.1:"}},
		{"a log that cannot be written", func(t *testing.T, dir string) []string {
			logs := t.TempDir()
			mount(t, logs, 0, "size=4k")
			return []string{"--nodes", "1", "--log-dir", logs, "--", program, "config", "show"}
		}, []string{"rank 0 on ", "ended well, but its output could not be written", "rank0.log: no space left on device", "--log-dir"}},
		{"no such command", func(t *testing.T, dir string) []string { return []string{"--", "/nowhere/vgid"} }, []string{`command "/nowhere/vgid"`, "no such file"}},
		{"no command", func(t *testing.T, dir string) []string { return []string{"--nodes", "2", "--local"} }, []string{"no command given", "write it after --"}},
		{"unknown flag", func(t *testing.T, dir string) []string { return []string{"--nods", "2", "--", program} }, []string{"unknown flag --nods", "vgid-launch --help"}},
		{"a number that is none", func(t *testing.T, dir string) []string { return []string{"--nodes", "two", "--", program} }, []string{`--nodes: "two" cannot be read as its value`, "vgid-launch --help"}},
		{"an address that leaves this machine", func(t *testing.T, dir string) []string {
			return []string{"--nodes", "2", "--bind-addr", "192.0.2.1", "--", program}
		}, []string{"192.0.2.1", "--insecure-network"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			p := toEnd(t, l, tc.args(t, dir)...)
			last := lastLine(p.err.String())
			t.Logf("prints %s", last)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !strings.HasPrefix(last, "vgid-launch: ") {
				t.Errorf("the last line is not the launcher's: %q", last)
			}
			for _, want := range tc.want {
				if !strings.Contains(last, want) {
					t.Errorf("%q does not say %q", last, want)
				}
			}
			noTrace(t, p)
			for _, f := range files(t, dir) {
				if !whole.MatchString(f) {
					t.Errorf("left behind: %s", f)
				}
			}
			p.nothingLeft(t)
		})
	}
}
