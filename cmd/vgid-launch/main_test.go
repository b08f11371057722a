package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"vgid/launch/agent"
)

func parse(t *testing.T, args ...string) (o agent.Options, err error) {
	t.Helper()
	app := newApp(func(c *cli.Context) error {
		o, err = options(c)
		return nil
	})
	app.Writer, app.ErrWriter = os.Stderr, os.Stderr
	if rerr := app.Run(bareBooleans(app, append([]string{"vgid-launch"}, args...))); rerr != nil {
		t.Fatal(rerr)
	}
	return o, err
}

func TestFlags(t *testing.T) {
	o, err := parse(t, "--nodes", "2", "--nproc-per-node", "3", "--join", "a:1", "--join", "b:2", "--grace", "1s", "--port", "0",
		"--advertise-addr", "10.0.0.1", "--", "vgid", "unlearn", "--lr", "1")
	if err != nil || o.Nodes != 2 || o.Procs != 3 || o.MachineWorkers != 3 || len(o.Join) != 2 || o.Grace != time.Second ||
		o.Index != 1 || o.AdvertiseAddr != "10.0.0.1" || o.Job != "vgid" || o.Timeout != time.Minute || o.Port != 0 {
		t.Errorf("got %+v, %v", o, err)
	}
	if got := strings.Join(o.Command, " "); got != "vgid unlearn --lr 1" {
		t.Errorf("command %q", got)
	}
	if o, err = parse(t, "--", "x"); err != nil || o.Nodes != 1 || o.Index != 0 || o.BindAddr != "127.0.0.1" || o.Port != 7946 || o.Node == "" {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	if o, err = parse(t, "--node-rank", "4", "--join", "a:1", "--", "x"); err != nil || o.Index != 4 {
		t.Errorf("node rank: %d, %v", o.Index, err)
	}
}

// The flags of the command stay as they are.
func TestBooleanFlags(t *testing.T) {
	for given, want := range map[string]string{
		"--insecure-network true -- x --local true": "x --local true",
		"--insecure-network x --local":              "x --local",
		"--insecure-network=true -- true":           "true",
	} {
		o, err := parse(t, strings.Fields(given)...)
		if got := strings.Join(o.Command, " "); err != nil || got != want || !o.InsecureNetwork {
			t.Errorf("%s: command %q, insecure %t, %v", given, got, o.InsecureNetwork, err)
		}
	}
}

func TestProcsPerNode(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "0,2,GPU-abc")
	if o, err := parse(t, "--nproc-per-node", "gpu", "--", "x"); err != nil || o.Procs != 3 {
		t.Errorf("gpu: %d, %v", o.Procs, err)
	}
	if _, err := parse(t, "--nodes", "2", "--local", "--nproc-per-node", "auto", "--", "x"); err == nil || !strings.Contains(err.Error(), "would claim all GPUs") {
		t.Errorf("two nodes on the GPUs of one machine: %v", err)
	}
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	if o, err := parse(t, "--nproc-per-node", "auto", "--", "x"); err != nil || o.Procs != 1 {
		t.Errorf("auto without GPU: %d, %v", o.Procs, err)
	}
	for _, bad := range []string{"gpu", "0", "-1", "many"} {
		if _, err := parse(t, "--nproc-per-node", bad, "--", "x"); err == nil || !strings.HasPrefix(err.Error(), "--nproc-per-node "+bad) && !strings.HasPrefix(err.Error(), `--nproc-per-node "`+bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestLocalExcludes(t *testing.T) {
	for _, args := range [][]string{{"--join", "a:1"}, {"--port", "1"}, {"--advertise-addr", "10.0.0.1"}, {"--node-rank", "1"}, {"--node-name", "x"}} {
		_, err := parse(t, append(append([]string{"--local"}, args...), "--", "x")...)
		if err == nil || !strings.HasPrefix(err.Error(), args[0]+" with --local") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
