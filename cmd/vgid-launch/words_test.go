package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"vgid/launch/agent"
	"vgid/launch/job"
	"vgid/launch/option"
)

func TestEverySettingHasAFlag(t *testing.T) {
	known := map[string]bool{}
	for _, f := range newApp(nil).Flags {
		for _, n := range f.Names() {
			known["--"+n] = true
		}
	}
	for _, n := range option.All() {
		if !known[flags[n]] {
			t.Errorf("%q is spelled %q, which is no flag", n, flags[n])
		}
	}
	if len(flags) != len(option.All()) {
		t.Errorf("%d spellings of %d settings", len(flags), len(option.All()))
	}
}

func TestCauseWords(t *testing.T) {
	for want, c := range map[string]job.Cause{
		"rank 1 on a failed with exit code 2: panic: x (the whole report is in the output of a; --log-dir keeps it in a file)": {Node: "a", Text: "rank 1 on a failed with exit code 2: panic: x", Advice: job.KeepReport},
		"rank 1 on a ended well; keep its output open, and make room for --log-dir":                                            {Text: "rank 1 on a ended well", Advice: job.MakeRoom},
		"node a was lost": {Text: "node a was lost"},
	} {
		if got := causeWords(c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What is wrong with the options of an agent is said in the flags of this
// program.
func TestBadOptions(t *testing.T) {
	tests := []struct {
		want   string
		change func(*agent.Options)
	}{
		{"no command given; write it after --, as in: vgid-launch --nodes 2 --local -- vgid unlearn", func(o *agent.Options) { o.Command = nil }},
		{`command "no-such-program": executable file not found`, func(o *agent.Options) { o.Command = []string{"no-such-program"} }},
		{"--nodes 0", func(o *agent.Options) { o.Nodes = 0 }},
		{"--nproc-per-node 65", func(o *agent.Options) { o.Procs = 65 }},
		{`--job "a b"`, func(o *agent.Options) { o.Job = "a b" }},
		{`--join "x": not host:port`, func(o *agent.Options) { o.Nodes, o.Join = 2, []string{"x"} }},
		{"--join with --nodes 1", func(o *agent.Options) { o.Join = []string{"a:1"} }},
		{`--bind-addr "host": not an IP address`, func(o *agent.Options) { o.BindAddr = "host" }},
		{"--bind-addr 10.0.0.1: what workers tell each other is not encrypted there; pass --insecure-network", func(o *agent.Options) { o.BindAddr = "10.0.0.1" }},
		{`--node-name "my host": must be 1 to 63 letters`, func(o *agent.Options) { o.Node = "my host" }},
		{"--advertise-addr is missing", func(o *agent.Options) { o.BindAddr, o.InsecureNetwork = "0.0.0.0", true }},
		{"--timeout 0s: must be positive", func(o *agent.Options) { o.Timeout = 0 }},
		{"--log-dir: mkdir /dev/null", func(o *agent.Options) { o.LogDir = "/dev/null/x" }},
	}
	for _, c := range tests {
		o := agent.Options{Command: []string{os.Args[0]}, Nodes: 1, Procs: 1, Job: "test", Node: "n", BindAddr: "127.0.0.1", Timeout: time.Minute}
		c.change(&o)
		_, err := agent.Run(context.Background(), o, agent.IO{Stdout: os.Stdout, Stderr: os.Stderr})
		if err == nil || !strings.HasPrefix(words(err), c.want) || strings.Contains(words(err), "\n") {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
