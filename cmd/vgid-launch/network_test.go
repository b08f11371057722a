//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asMain makes a process of this test binary the program itself.
const asMain = "VGID_LAUNCH_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// machines are network namespaces on one bridge, node i at 10.91.0.i+1.
type machines struct {
	t    *testing.T
	name string
}

// network makes n machines; without the rights to do so the test is skipped.
func network(t *testing.T, name string, n int) *machines {
	t.Helper()
	m := &machines{t, fmt.Sprintf("vl%d%s", os.Getpid(), name)}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("NOT TESTED: the command ip, which makes network namespaces, is not there: ", err)
	}
	if out, err := exec.Command("ip", "netns", "add", m.name+"s").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: no right to make network namespaces: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", m.name+"s").Run() })
	m.ip("-n %[1]ss link add br0 type bridge")
	m.ip("-n %[1]ss link set br0 up")
	for i := range n {
		ns := fmt.Sprint(m.name, i)
		m.ip("netns add %[1]s%[2]d", i)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		m.ip("-n %[1]ss link add p%[2]d type veth peer name eth0 netns %[1]s%[2]d", i)
		m.ip("-n %[1]ss link set p%[2]d master br0 up", i)
		m.ip("-n %[1]s%[2]d link set lo up", i)
		m.ip("-n %[1]s%[2]d link set eth0 up", i)
		m.ip("-n %[1]s%[2]d addr add 10.91.0.%[3]d/24 dev eth0", i, i+1)
	}
	return m
}

func (m *machines) ip(format string, args ...any) {
	m.t.Helper()
	line := fmt.Sprintf(format, append([]any{m.name}, args...)...)
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		m.t.Fatalf("ip %s: %v %s", line, err, out)
	}
}

// node is a running vgid-launch.
type node struct {
	cmd  *exec.Cmd
	last string // line on standard error
	done sync.WaitGroup
}

// job starts a vgid-launch on every machine and waits until all workers run.
func (m *machines) job(n int) []*node {
	m.t.Helper()
	secret := m.t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte("a secret of this test"), 0o600); err != nil {
		m.t.Fatal(err)
	}
	var nodes []*node
	up := make(chan struct{}, n)
	for i := range n {
		args := []string{"netns", "exec", fmt.Sprint(m.name, i), os.Args[0], "--nodes", fmt.Sprint(n), "--bind-addr", "10.91.0.0/24", "--insecure-network",
			"--secret-file", secret, "--node-name", fmt.Sprint("n", i), "--node-rank", fmt.Sprint(i), "--join", "10.91.0.1:7946", "--", "sh", "-c", "echo up; exec sleep 3600"}
		k := &node{cmd: exec.Command("ip", args...)}
		k.cmd.Env = append(os.Environ(), asMain+"=1")
		out, err := k.cmd.StdoutPipe()
		if err != nil {
			m.t.Fatal(err)
		}
		errs, err := k.cmd.StderrPipe()
		if err != nil {
			m.t.Fatal(err)
		}
		if err := k.cmd.Start(); err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(func() { k.cmd.Process.Kill() })
		k.done.Go(func() {
			if s := bufio.NewScanner(out); s.Scan() {
				up <- struct{}{}
			}
			io.Copy(io.Discard, out)
		})
		k.done.Go(func() {
			for s := bufio.NewScanner(errs); s.Scan(); {
				k.last = s.Text()
			}
		})
		nodes = append(nodes, k)
	}
	for range n {
		select {
		case <-up:
		case <-time.After(2 * time.Minute):
			m.t.Fatal("the workers do not start")
		}
	}
	return nodes
}

// end waits for a node, which `ip netns exec` has become, and gives how it ended.
func (k *node) end() (code int, last string) {
	k.done.Wait()
	k.cmd.Wait()
	return k.cmd.ProcessState.ExitCode(), k.last
}

// A link that is cut in one direction, a node that is cut off, an agent that
// stands still: who can still speak says what it was, and all the same.
func TestNetworkFaults(t *testing.T) {
	cutOff := "vgid-launch: node n2 is cut off from all others (n0, n1)"
	for name, c := range map[string]struct {
		strike func(m *machines, nodes []*node)
		want   []string // by node; empty: not asked
	}{
		"link": {func(m *machines, _ []*node) { m.ip("-n %[1]s0 route add blackhole 10.91.0.3/32") }, []string{
			"vgid-launch: nodes n0 and n2 do not reach each other (n1 reaches both); look at the network between these two",
			"vgid-launch: nodes n0 and n2 do not reach each other (n1 reaches both); look at the network between these two",
			"vgid-launch: nodes n0 and n2 do not reach each other (n1 reaches both); look at the network between these two"}},
		"node": {func(m *machines, _ []*node) { m.ip("-n %[1]ss link set p2 nomaster") }, []string{
			"vgid-launch: node n2 (rank 2) was lost: its agent does not answer", "vgid-launch: node n2 (rank 2) was lost: its agent does not answer", cutOff}},
		"agent": {func(_ *machines, nodes []*node) { nodes[1].cmd.Process.Signal(syscall.SIGSTOP) }, []string{
			"vgid-launch: node n1 (rank 1) was lost: its agent does not answer", "", "vgid-launch: node n1 (rank 1) was lost: its agent does not answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			m := network(t, name, 3)
			nodes := m.job(3)
			begin := time.Now()
			c.strike(m, nodes)
			for i, k := range nodes {
				if c.want[i] == "" {
					continue
				}
				if code, last := k.end(); code != 1 || last != c.want[i] {
					t.Errorf("node %d: exit code %d, %q; want %q", i, code, last, c.want[i])
				}
				t.Logf("node %d ended after %v", i, time.Since(begin))
			}
		})
	}
}
