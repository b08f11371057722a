package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"vgid/launch"
	"vgid/launch/agent"
)

func parse(t *testing.T, args ...string) (o agent.Options, err error) {
	t.Helper()
	o, _, err = parseIn(t, nil, args...)
	return o, err
}

// parseIn is parse with variables of other launchers.
func parseIn(t *testing.T, env map[string]string, args ...string) (o agent.Options, said string, err error) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir()) // where a user's secret is kept
	app := newApp(func(c *cli.Context) error {
		var lines []string
		o, lines, err = options(c, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		said = strings.Join(lines, "; ")
		return nil
	})
	app.Writer, app.ErrWriter = os.Stderr, os.Stderr
	if rerr := app.Run(bareBooleans(app, append([]string{"vgid-launch"}, args...))); rerr != nil {
		t.Fatal(rerr)
	}
	return o, said, err
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
	if _, err := parse(t, "--nodes", "2", "--local", "--nproc-per-node", "auto", "--", "x"); err == nil || !strings.Contains(words(err), "would claim all GPUs") {
		t.Errorf("two nodes on the GPUs of one machine: %v", err)
	}
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	if o, err := parse(t, "--nproc-per-node", "auto", "--", "x"); err != nil || o.Procs != 1 {
		t.Errorf("auto without GPU: %d, %v", o.Procs, err)
	}
	for _, bad := range []string{"gpu", "0", "-1", "many"} {
		if _, err := parse(t, "--nproc-per-node", bad, "--", "x"); err == nil || !strings.HasPrefix(words(err), "--nproc-per-node "+bad) && !strings.HasPrefix(words(err), `--nproc-per-node "`+bad) {
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

func TestOtherLaunchers(t *testing.T) {
	srun := map[string]string{"SLURM_STEP_ID": "0", "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_NODEID": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x3)"}
	kubeflow := map[string]string{"PET_NODE_RANK": "1", "PET_NNODES": "2", "PET_MASTER_ADDR": "j-node-0-0.j"}
	pod := map[string]string{"JOB_COMPLETION_INDEX": "1"}
	two := map[string]string{"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
	alone := map[string]string{"SLURM_STEP_ID": "0", "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "VGID_ALONE": "1"}
	for _, c := range []struct {
		env          map[string]string
		args         string
		nodes, index int
		join, say    string // say is of the error if nodes is 0
	}{
		{srun, "--join a:1", 3, 2, "a:1", "SLURM_PROCID=2, SLURM_STEP_NUM_TASKS=3, SLURM_STEP_TASKS_PER_NODE=1(x3): node 2 of 3"},
		{srun, "--nodes 3 --node-rank 0", 3, 0, "", "node 2 of 3"},
		{srun, "--nodes 2", 0, 0, "", "but --nodes is 2; give both the same number"},
		{srun, "--nodes 3 --local", 0, 0, "", "--local would start the whole job in each of them"},
		{alone, "--nodes 2 --local", 2, 0, "", ""},
		{kubeflow, "", 2, 1, "j-node-0-0.j:7946", "PET_NODE_RANK=1, PET_NNODES=2: node 1 of 2, which joins j-node-0-0.j:7946"},
		{kubeflow, "--port 8000", 2, 1, "j-node-0-0.j:8000", "node 1 of 2"},
		{kubeflow, "--join b:1", 2, 1, "b:1", "node 1 of 2"},
		{map[string]string{"PET_NODE_RANK": "0", "PET_NNODES": "2", "PET_MASTER_ADDR": "j-node-0-0.j"}, "", 2, 0, "", "node 0 of 2"},
		{pod, "", 0, 0, "", "does not say of how many; give --nodes"},
		{pod, "--nodes 4 --join a:1", 4, 1, "a:1", "node 1 of 4"},
		{two, "--nodes 2", 0, 0, "", "2 of them on this node, where vgid-launch starts the workers itself"},
	} {
		o, said, err := parseIn(t, c.env, strings.Fields(c.args+" -- x")...)
		if c.nodes == 0 {
			if err == nil || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), "VGID_ALONE=1") {
				t.Errorf("%v %s: %v", c.env, c.args, err)
			}
			continue
		}
		if err != nil || o.Nodes != c.nodes || o.Index != c.index || strings.Join(o.Join, " ") != c.join || !strings.Contains(said, c.say) || (c.say == "") != (said == "") {
			t.Errorf("%v %s: %d nodes, %d, join %v, %q, %v", c.env, c.args, o.Nodes, o.Index, o.Join, said, err)
		}
	}
}

func TestOwnAddress(t *testing.T) {
	own := func() (all []net.Addr, err error) {
		for _, s := range []string{"127.0.0.1/8", "10.1.2.3/16", "192.168.0.7/24", "192.168.0.8/24", "fd00::5/64"} {
			ip, n, err := net.ParseCIDR(s)
			if err != nil {
				return nil, err
			}
			all = append(all, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return all, nil
	}
	for s, want := range map[string]string{"10.0.0.0/8": "10.1.2.3", "fd00::/16": "fd00::5", "10.1.2.3": "10.1.2.3", "::": "::", "127.0.0.0/8": "127.0.0.1", "host": "host"} {
		if got, err := ownAddress(s, own); err != nil || got != want {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{"172.16.0.0/12": "no address in this network", "192.168.0.0/24": "192.168.0.7 and 192.168.0.8; give one of them"} {
		if got, err := ownAddress(s, own); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
}

func TestSecretSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(file, []byte("the secret of a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{launch.EnvSecret: "the secret of the environment"}
	for _, c := range []struct {
		env  map[string]string
		args string
		want string // "own": of the user
		say  string
	}{
		{nil, "--nodes 2 --secret-file " + file, "the secret of a file", ""},
		{env, "--nodes 2 --secret-file " + file, "the secret of a file", ""},
		{env, "--nodes 2", "the secret of the environment", ""},
		{nil, "--nodes 2", "own", ""},
		{nil, "--nodes 2 --local", "", ""},
		{nil, "--nodes 1", "", ""},
		{nil, "--nodes 2 --bind-addr 192.0.2.1 --insecure-network", "", "nothing proves that the other agents are yours"},
		{env, "--nodes 2 --bind-addr 192.0.2.1 --insecure-network", "the secret of the environment", ""},
	} {
		o, said, err := parseIn(t, c.env, strings.Fields(c.args+" -- x")...)
		got := string(o.Secret)
		if c.want == "own" && len(got) >= 16 {
			got = "own"
		}
		if err != nil || got != c.want || !strings.HasPrefix(said, c.say) || (c.say == "") != (said == "") {
			t.Errorf("%s: %q, %q, %v", c.args, o.Secret, said, err)
		}
	}
	if _, _, err := parseIn(t, map[string]string{launch.EnvSecret: "short"}, "--nodes", "2", "--", "x"); err == nil || !strings.Contains(err.Error(), "VGID_SECRET: a secret of 5 bytes is too short") {
		t.Errorf("short: %v", err)
	}
	if _, err := parse(t, "--secret-file", "/nowhere", "--", "x"); err == nil || !strings.HasPrefix(err.Error(), "--secret-file: ") {
		t.Errorf("no file: %v", err)
	}
}

// TestUsageLinesAreTaken: who copies a line of the help, with real addresses, is not refused.
func TestUsageLinesAreTaken(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "job.key")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	real := strings.NewReplacer("A:7946", "10.0.0.1:7946", "addr A", "addr 10.0.0.1", "addr B", "addr 10.0.0.2", "FILE", secret, "vgid unlearn", "true")
	lines := 0
	for line := range strings.Lines(usage) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), "vgid-launch --")
		if !ok {
			continue
		}
		lines++
		o, err := parse(t, strings.Fields("--"+real.Replace(args))...)
		if err == nil {
			err = o.Check()
		}
		if err != nil || o.Nodes != 2 || strings.Contains(line, "FILE") && len(o.Secret) == 0 {
			t.Errorf("%s: %v, %+v", strings.TrimSpace(line), err, o)
		}
	}
	if lines != 3 {
		t.Errorf("%d lines of commands in the help", lines)
	}
}
