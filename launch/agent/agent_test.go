//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vgid/launch"
	"vgid/launch/job"
)

// The test program is launcher, agent and worker: envWork says what a worker
// does.
const envWork = "LAUNCH_TEST_WORK"

func TestMain(m *testing.M) {
	if Child(IO{Stdout: os.Stdout, Stderr: os.Stderr}, error.Error) {
		return
	}
	if how := os.Getenv(envCrash); how != "" {
		crash(how)
	}
	if work := os.Getenv(envWork); work != "" {
		os.Exit(workerMain(work))
	}
	goleak.VerifyTestMain(m)
}

func workerMain(work string) int {
	w, err := launch.FromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	verb, arg, _ := strings.Cut(work, " ")
	guilty := strconv.Itoa(w.Rank) == arg
	switch verb {
	case "place":
		fmt.Printf("place %d/%d local %d/%d node %d epoch %d job %s token %d peers %d procs %s\n", w.Rank, w.WorldSize, w.LocalRank,
			w.LocalWorldSize, w.NodeRank, w.Epoch, w.Job, len(w.Token), len(w.Peers), os.Getenv("GOMAXPROCS"))
		return ring(w)
	case "fail":
		if guilty {
			fmt.Fprintln(os.Stderr, "cannot read the data")
			return 3
		}
		return wait()
	case "chain": // the guilty one closes its connections and takes a while to die
		if guilty {
			time.Sleep(200 * time.Millisecond)
			fmt.Fprintln(os.Stderr, "bad batch")
			return 4
		}
		fmt.Fprintln(os.Stderr, "a peer failed")
		return launch.ExitPeerFailed
	case "suicide":
		if guilty {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return wait()
	case "orphan": // the guilty one's agent dies
		fmt.Printf("pid %d\n", os.Getpid())
		if guilty {
			syscall.Kill(os.Getppid(), syscall.SIGKILL)
		}
		return wait()
	case "halt":
		fmt.Printf("pid %d\n", os.Getpid())
		if guilty {
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
		return wait()
	case "halt-late": // when it is asked to end for the sake of another
		if guilty {
			time.Sleep(300 * time.Millisecond)
			return 3
		}
		signal.Ignore(syscall.SIGTERM)
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		return wait()
	case "bereaved": // the guilty one's agent dies, the others hear who is lost
		if guilty {
			syscall.Kill(os.Getppid(), syscall.SIGKILL)
			return wait()
		}
		lost := make(chan string, 8)
		signal.Ignore(syscall.SIGTERM)
		defer w.OnLost(func(rank int, why string) { lost <- fmt.Sprintf("lost rank %d: %s", rank, why) })()
		fmt.Println(<-lost)
		return launch.ExitPeerFailed
	case "freeze":
		if guilty {
			syscall.Kill(os.Getppid(), syscall.SIGSTOP)
		}
		return wait()
	case "graceful":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGINT)
		fmt.Println("ready")
		<-c
		fmt.Println("got SIGINT")
		return 0
	case "orderly": // while its agent gets the same signal
		c := make(chan os.Signal, 8)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		if w.WorldSize > w.LocalWorldSize { // an agent of its own, not the test
			syscall.Kill(os.Getppid(), syscall.SIGTERM)
			syscall.Kill(os.Getppid(), syscall.SIGHUP)
		}
		time.Sleep(300 * time.Millisecond)
		fmt.Println("ended in order")
		return 128 + int(syscall.SIGTERM)
	case "announced":
		c := make(chan os.Signal, 8)
		signal.Notify(c, syscall.SIGUSR1, syscall.SIGUSR2)
		fmt.Println("ready")
		<-c
		<-c
		fmt.Println("heard both")
		return 0
	case "stubborn":
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
		fmt.Println("ready")
		return wait()
	case "stubborn-but": // all ignore SIGTERM, one fails
		signal.Ignore(syscall.SIGTERM)
		if guilty {
			time.Sleep(100 * time.Millisecond)
			return 6
		}
		return wait()
	}
	return 9
}

// wait outlasts every test: who waits has to be stopped.
func wait() int {
	time.Sleep(time.Hour)
	return 0
}

// ring greets the next rank at its published address and hears the previous.
func ring(w launch.Worker) int {
	defer w.Listener.Close()
	c, err := net.Dial("tcp", w.Peers[(w.Rank+1)%w.WorldSize])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Fprintf(c, "%d %s", w.Rank, w.Token)
	c.Close()
	c, err = w.Listener.Accept()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	b, err := io.ReadAll(c)
	if want := fmt.Sprintf("%d %s", (w.Rank+w.WorldSize-1)%w.WorldSize, w.Token); err != nil || string(b) != want {
		fmt.Fprintf(os.Stderr, "heard %q, error %v\n", b, err)
		return 2
	}
	return 0
}

func options(nodes, procs int) Options {
	return Options{Command: []string{os.Args[0]}, Nodes: nodes, Procs: procs, Job: "test", Node: "n", BindAddr: "127.0.0.1",
		Timeout: time.Minute, Grace: time.Minute, MachineWorkers: procs, Quiet: true}
}

// runJob runs work on this machine; seen is called with the output so far.
func runJob(t *testing.T, o Options, work string, signals chan syscall.Signal, seen func(string)) (out job.Outcome, stdout, stderr string, err error) {
	t.Helper()
	o.Command = []string{"env", envWork + "=" + work, os.Args[0]}
	var texts [2]strings.Builder
	var mu sync.Mutex
	var wg sync.WaitGroup
	var files [2]*os.File
	for i := range files {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		files[i] = w
		wg.Go(func() {
			defer r.Close()
			b := make([]byte, 4096)
			for {
				n, err := r.Read(b)
				mu.Lock()
				texts[i].Write(b[:n])
				s := texts[i].String()
				mu.Unlock()
				if err != nil {
					return
				}
				if i == 0 && seen != nil {
					seen(s)
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err = RunLocal(ctx, o, IO{Stdout: files[0], Stderr: files[1], Signals: signals})
	files[0].Close()
	files[1].Close()
	wg.Wait()
	return out, texts[0].String(), texts[1].String(), err
}

func TestEveryRankKnowsItsPlace(t *testing.T) {
	for _, c := range []struct{ nodes, procs int }{{1, 1}, {1, 3}, {2, 2}, {4, 1}} {
		t.Setenv("GOMAXPROCS", "")
		os.Unsetenv("GOMAXPROCS")
		o := options(c.nodes, c.procs)
		o.LogDir = t.TempDir()
		out, stdout, stderr, err := runJob(t, o, "place", nil, nil)
		if err != nil || out.Code() != 0 {
			t.Fatalf("%+v: %+v, %v\n%s", c, out, err, stderr)
		}
		n := c.nodes * c.procs
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		slices.Sort(lines)
		if len(lines) != n {
			t.Fatalf("%+v: %d lines:\n%s", c, len(lines), stdout)
		}
		for r, got := range lines {
			place := fmt.Sprintf("place %d/%d local %d/%d node %d epoch 1 job test token 26 peers %d procs ", r, n, r%c.procs, c.procs, r/c.procs, n)
			prefix := fmt.Sprintf("[%d] ", r)
			if n == 1 {
				prefix = ""
			}
			if !regexp.MustCompile("^" + regexp.QuoteMeta(prefix+place) + "[1-9][0-9]*$").MatchString(got) {
				t.Errorf("%+v: rank %d said %q, want %q", c, r, got, prefix+place)
			}
			log, err := os.ReadFile(filepath.Join(o.LogDir, fmt.Sprintf("rank%d.log", r)))
			if err != nil || string(log) != strings.TrimPrefix(got, prefix)+"\n" {
				t.Errorf("%+v: log of rank %d: %q, %v", c, r, log, err)
			}
		}
	}
}

func TestFailuresHaveACause(t *testing.T) {
	tests := []struct {
		work        string
		nodes, proc int
		code        int
		want        string
	}{
		{"fail 1", 2, 1, 3, "rank 1 on node1 failed with exit code 3: cannot read the data"},
		{"fail 2", 2, 2, 3, "rank 2 on node1 failed with exit code 3: cannot read the data"},
		{"fail 0", 1, 2, 3, "rank 0 on n failed with exit code 3: cannot read the data"},
		{"chain 1", 2, 1, 4, "rank 1 on node1 failed with exit code 4: bad batch"},
		{"chain 7", 2, 1, 75, "failed with exit code 75: a peer failed"},
		{"suicide 1", 2, 1, 137, "rank 1 on node1 was killed by SIGKILL"},
		{"orphan 1", 2, 1, 1, "node node1 was lost: its agent process ended early (signal: killed)"},
		{"freeze 1", 2, 1, 1, "node node1 was lost: its agent process stood still for "},
		{"halt 1", 2, 1, 137, "rank 1 on node1 stood still for "},
		{"halt 0", 1, 2, 137, "rank 0 on n stood still for "},
		{"halt-late 1", 2, 1, 3, "rank 1 on node1 failed with exit code 3"},
		{"stubborn-but 1", 2, 1, 6, "rank 1 on node1 failed with exit code 6"},
	}
	// All at once, and not as many as there are cores: most of it is waiting.
	var all sync.WaitGroup
	defer all.Wait()
	for _, c := range tests {
		all.Go(func() {
			t.Run(c.work, func(t *testing.T) {
				o := options(c.nodes, c.proc)
				o.StandFor = time.Second // its length is the subject of package job
				switch c.work {
				case "stubborn-but 1":
					o.Grace = 300 * time.Millisecond
				case "halt-late 1": // it is killed for not hearing that it was asked to end
					o.StandFor = time.Hour
				}
				out, stdout, stderr, err := runJob(t, o, c.work, nil, nil)
				if err != nil || out.Code() != c.code || !strings.Contains(out.Cause.Text, c.want) {
					t.Errorf("got code %d, cause %+v, error %v; want %d, %q\n%s", out.Code(), out.Cause, err, c.code, c.want, stderr)
				}
				for _, m := range regexp.MustCompile(`pid (\d+)`).FindAllStringSubmatch(stdout, -1) {
					pid, _ := strconv.Atoi(m[1])
					for limit := time.Now().Add(time.Minute); alive(pid); time.Sleep(10 * time.Millisecond) {
						if time.Now().After(limit) {
							t.Errorf("worker %d outlived the job", pid)
							break
						}
					}
				}
			})
		})
	}
}

// alive reports whether a process still runs; one that ended and waits for
// whoever adopted it to notice does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		work string
		send int
		code int
	}{{"graceful", 1, 0}, {"stubborn", 2, 137}} {
		signals := make(chan syscall.Signal, c.send)
		var once sync.Once
		out, stdout, _, err := runJob(t, options(2, 1), c.work, signals, func(s string) {
			if strings.Count(s, "ready") == 2 {
				once.Do(func() {
					for range c.send {
						signals <- syscall.SIGINT
						time.Sleep(2 * job.SameKeystroke)
					}
				})
			}
		})
		if err != nil || out.Code() != c.code || out.Interrupted != syscall.SIGINT {
			t.Errorf("%s: interrupted %v, cause %+v, %v", c.work, out.Interrupted, out.Cause, err)
		}
		if n := strings.Count(stdout, "got SIGINT"); c.code == 0 && n != 2 {
			t.Errorf("%d of 2 workers got the signal once: %q", n, stdout)
		}
	}
}

func TestMeetingFails(t *testing.T) {
	t.Parallel()
	timeout := 500 * time.Millisecond
	run := func(change func(*Options)) error {
		o := options(2, 1)
		o.Timeout = timeout
		change(&o)
		_, err := Run(context.Background(), o, IO{Stdout: os.Stdout, Stderr: os.Stderr})
		return err
	}
	if err := run(func(*Options) {}); err == nil || !strings.Contains(err.Error(), "within timeout 500ms: 1 of 2 nodes present: n; start the missing ones with addresses to join 127.0.0.1:") {
		t.Errorf("alone: %v", err)
	}
	for { // until a machine that is busy has asked for once before the time is up
		err := run(func(o *Options) { o.Join = []string{"127.0.0.1:1"} })
		if err != nil && strings.Contains(err.Error(), "no agent answers at 127.0.0.1:1 (addresses to join)") {
			break
		}
		if timeout *= 4; timeout > time.Minute {
			t.Fatalf("nobody at --join: %v", err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if err := run(func(o *Options) { o.Port = port }); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d: 127.0.0.1:%d is occupied", port, port)) {
		t.Errorf("occupied port: %v", err)
	}
	signals := make(chan syscall.Signal, 1)
	signals <- syscall.SIGINT
	_, err = Run(context.Background(), options(2, 1), IO{Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals})
	if want := (job.InterruptedError{Signal: syscall.SIGINT}); !errors.Is(err, want) {
		t.Errorf("interrupted: %v", err)
	}
}

// Agents that start together on a machine which has other things to do find
// each other, agree, and take none of them for dead.
func TestManyAgents(t *testing.T) {
	t.Parallel()
	o := options(32, 1)
	o.Command = []string{"true"}
	out, err := RunLocal(context.Background(), o, IO{Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil || out.Code() != 0 {
		t.Errorf("code %d, %+v, %v", out.Code(), out.Cause, err)
	}
}

func TestSeeds(t *testing.T) {
	for n := range 40 {
		before := make([]string, n)
		for i := range before {
			before[i] = strconv.Itoa(i)
		}
		got := seeds(before)
		sorted := slices.Sorted(slices.Values(got))
		if len(got) != min(n, 4) || n > 0 && (got[0] != "0" || got[len(got)-1] != strconv.Itoa(n-1)) || len(slices.Compact(sorted)) != len(got) {
			t.Errorf("of %d: %v", n, got)
		}
	}
}

func TestWorkersHearWhoIsLost(t *testing.T) {
	t.Parallel()
	out, stdout, stderr, err := runJob(t, options(2, 1), "bereaved 1", nil, nil)
	if want := "lost rank 1: node node1 was lost: its agent is gone"; err != nil || !strings.Contains(stdout, want) {
		t.Errorf("%+v, %v: %q does not say %q\n%s", out.Cause, err, stdout, want, stderr)
	}
}
