package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/frame"
)

const workerEnv = "VGID_WIRE_TEST_WORKER"

// workerSpec is what a worker process of the tests is told.
type workerSpec struct {
	Rank    int
	Peers   []string
	Timeout time.Duration
	Silence time.Duration
	Memory  bool
}

// outcome is the last line of a worker.
type outcome struct {
	Peer    int
	Op      string
	Seq     uint64
	Message string
	Named   bool // the error is a RankError
}

// workerMain is the other life of the test binary: a rank that all-reduces
// without end and tells how it ended.
func workerMain() bool {
	text, ok := os.LookupEnv(workerEnv)
	if !ok {
		return false
	}
	var spec workerSpec
	fail := func(err error) bool {
		fmt.Println("failed:", err)
		os.Exit(1)
		return true
	}
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fail(err)
	}
	f := os.NewFile(3, "listener")
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	t, err := Connect(ctx, Config{Job: "test", Token: "secret", Rank: spec.Rank, Peers: spec.Peers, Listener: l, Memory: spec.Memory})
	if err != nil {
		return fail(err)
	}
	c, err := collective.New(t, collective.Options{Job: "test", Timeout: spec.Timeout, Silence: spec.Silence, Heartbeat: 200 * time.Millisecond})
	if err != nil {
		return fail(err)
	}
	v := make([]float32, 1<<18)
	for round := 0; ; round++ {
		if err = c.AllReduce(ctx, collective.F32(v), collective.Sum); err != nil {
			break
		}
		if round == 1 {
			fmt.Println("running")
		}
	}
	out := outcome{Message: err.Error()}
	var re *frame.RankError
	if out.Named = errors.As(err, &re); out.Named {
		out.Peer, out.Op, out.Seq = re.Peer, re.Op.String(), re.Seq
	}
	if err := c.Close(); err != nil {
		return fail(err)
	}
	b, _ := json.Marshal(out)
	fmt.Println(string(b))
	return true
}

type worker struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startWorkers starts n ranks. Only the first gives up a silent peer, after
// silence: where it is healthy itself, a slow machine makes it blame nobody but
// the others.
func startWorkers(t *testing.T, n int, silence time.Duration, memory bool) []worker {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ls, addrs := listen(t, n)
	ws := make([]worker, n)
	for r := range n {
		f, err := ls[r].(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		ls[r].Close()
		patience := time.Hour
		if r == 0 {
			patience = silence
		}
		spec, err := json.Marshal(workerSpec{Rank: r, Peers: addrs, Timeout: time.Hour, Silence: patience, Memory: memory})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), workerEnv+"="+string(spec))
		cmd.ExtraFiles = []*os.File{f}
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		ws[r] = worker{cmd, bufio.NewScanner(out)}
	}
	for r, w := range ws {
		if !w.lines.Scan() || w.lines.Text() != "running" {
			t.Fatalf("rank %d says %q instead of running", r, w.lines.Text())
		}
	}
	return ws
}

// TestStruckProcess kills or freezes one process in the middle of an
// all-reduce; the others must end, name it, and say how they know. Who is named
// among several, and when, is tried in virtual time (package collective): here
// it is that the kernel's view of a dead and of a stopped process comes through.
func TestStruckProcess(t *testing.T) {
	for name, tc := range map[string]struct {
		signal    syscall.Signal
		n, victim int
		silence   time.Duration
		says      string
		memory    bool
	}{
		"killed":                {syscall.SIGKILL, 4, 2, time.Hour, "peer rank 2: ", false},
		"frozen":                {syscall.SIGSTOP, 2, 1, 2 * time.Second, "no sign of life", false},
		"killed, shared memory": {syscall.SIGKILL, 4, 2, time.Hour, "peer rank 2: ", true},
		"frozen, shared memory": {syscall.SIGSTOP, 2, 1, 2 * time.Second, "no sign of life", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			ws := startWorkers(t, tc.n, tc.silence, tc.memory)
			begin := time.Now()
			if err := ws[tc.victim].cmd.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			for r, w := range ws {
				if r != tc.victim {
					w.expect(t, r, tc.victim, tc.says)
					t.Logf("rank %d after %v", r, time.Since(begin).Round(time.Millisecond))
				}
			}
		})
	}
}

// expect reads how a worker ended, and by whose fault.
func (w worker) expect(t *testing.T, rank, victim int, says string) {
	t.Helper()
	stop := time.AfterFunc(5*time.Minute, func() { w.cmd.Process.Kill() })
	defer stop.Stop()
	var o outcome
	if !w.lines.Scan() {
		t.Fatalf("rank %d ended without a word", rank)
	}
	if err := json.Unmarshal(w.lines.Bytes(), &o); err != nil {
		t.Fatalf("rank %d says %q", rank, w.lines.Text())
	}
	if !o.Named || o.Peer != victim || o.Op != "all-reduce" || o.Seq < 2 || !strings.Contains(o.Message, fmt.Sprintf("peer rank %d", victim)) {
		t.Errorf("rank %d: %+v does not name rank %d", rank, o, victim)
	}
	if !strings.Contains(o.Message, says) {
		t.Errorf("rank %d: %q does not say %q", rank, o.Message, says)
	}
}
