//go:build unix

package agent

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestBadOptions(t *testing.T) {
	tests := []struct {
		want   string
		change func(*Options)
	}{
		{"no command given", func(o *Options) { o.Command = nil }},
		{`command "no-such-program": executable file not found`, func(o *Options) { o.Command = []string{"no-such-program"} }},
		{"number of nodes 0", func(o *Options) { o.Nodes = 0 }},
		{"workers per node 65", func(o *Options) { o.Procs = 65 }},
		{`job "a b"`, func(o *Options) { o.Job = "a b" }},
		{`addresses to join "x": not host:port`, func(o *Options) { o.Nodes, o.Join = 2, []string{"x"} }},
		{"addresses to join with number of nodes 1", func(o *Options) { o.Join = []string{"a:1"} }},
		{`bind address "host": not an IP address`, func(o *Options) { o.BindAddr = "host" }},
		{"bind address 10.0.0.1: what workers tell each other is not encrypted there; pass insecure network", func(o *Options) { o.BindAddr = "10.0.0.1" }},
		{"advertised address 0.0.0.0: no other node can call this one there", func(o *Options) { o.AdvertiseAddr, o.InsecureNetwork = "0.0.0.0", true }},
		{`node name "-a": must be 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first`, func(o *Options) { o.Node = "-a" }},
		{"advertised address is missing", func(o *Options) { o.BindAddr, o.InsecureNetwork = "0.0.0.0", true }},
		{"timeout 0s: must be positive", func(o *Options) { o.Timeout = 0 }},
		{"log folder: mkdir /dev/null", func(o *Options) { o.LogDir = "/dev/null/x" }},
	}
	for _, c := range tests {
		o := options(1, 1)
		c.change(&o)
		_, err := Run(context.Background(), o, IO{Stdout: os.Stdout, Stderr: os.Stderr})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestProcs(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "1,0,-1,2") // the driver stops at the first that is none
	for s, want := range map[string]int{"3": 3, "gpu": 2, "auto": 2} {
		if n, err := Procs(s); err != nil || n != want {
			t.Errorf("%s: %d, %v", s, n, err)
		}
	}
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	if n, err := Procs("auto"); err != nil || n != 1 {
		t.Errorf("auto without GPU: %d, %v", n, err)
	}
	for s, want := range map[string]string{"gpu": "workers per node gpu: this node has no NVIDIA GPU", "0": `workers per node "0": must be`, "many": `workers per node "many": must be`} {
		if _, err := Procs(s); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", s, err)
		}
	}
}
