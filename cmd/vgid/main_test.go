//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vgid/vgid/vgidtest"
)

// asMain makes a process of this test binary the program itself: the real main,
// with the race detector where the tests have it.
const asMain = "VGID_TEST_AS_MAIN"

// mark is in the environment of everything a test starts, workers included, so
// that what it leaves behind can be found.
const mark = "VGID_TEST_MARK"

// program is the one under test, world what it works on.
//
// Under the race detector there are two builds of it. raced is this test binary,
// for tests whose subject is what runs at once: two workers, signals, resuming. The
// others are about what is printed and written, which the detector cannot change and
// makes several times slower: program is for them, built as users build it. Without
// the detector, and where coverage is counted, which only this binary does, both are
// this one.
var (
	program string
	raced   string
	world   vgidtest.World
	temp    string
)

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(func() int {
		err := os.Setenv(asMain, "1") // for the workers of vgid-launch, too
		if err == nil {
			raced, err = os.Executable()
			program = raced
		}
		if err == nil {
			temp, err = os.MkdirTemp("", "vgid-cmd-")
		}
		if err == nil {
			defer os.RemoveAll(temp)
			err = os.Setenv("XDG_CONFIG_HOME", filepath.Join(temp, "config")) // where vgid-launch keeps a user's secret
		}
		if err == nil {
			world, err = vgidtest.Make(filepath.Join(temp, "world"))
		}
		flag.Parse() // testing.Short and CoverMode need it, before m.Run does it
		if _, none := exec.LookPath("go"); err == nil && race && none == nil && !testing.Short() && testing.CoverMode() == "" {
			program, err = build("vgid", "CGO_ENABLED=0")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// launcher builds vgid-launch once, with the race detector where the tests
// have it, as then its packages are compiled already.
func launcher(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("NOT TESTED: the go command, which builds vgid-launch, is not on PATH")
	}
	path, err := buildLauncher()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildLauncher = sync.OnceValues(func() (string, error) {
	if race {
		return build("vgid-launch", "CGO_ENABLED=1", "-race")
	}
	return build("vgid-launch", "")
})

// build makes a command of the module in the folder of the tests. env is a variable
// more for the compiler: the packages are those that it has compiled already. Without
// what debuggers read, as the Makefile has it, linking takes half as long.
func build(name, env string, flags ...string) (string, error) {
	path := filepath.Join(temp, name)
	c := exec.Command("go", append(append([]string{"build", "-ldflags=-s -w", "-o", path}, flags...), "vgid/cmd/"+name)...)
	if env != "" {
		c.Env = append(os.Environ(), env)
	}
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build vgid/cmd/%s: %w\n%s", name, err, out)
	}
	return path, nil
}

// flags are the command-line flags of a run in the folder out on the small
// world; over is stronger than its settings.
func flags(out string, over map[string]string) []string {
	set := world.Settings(over)
	set["out"] = out
	if set["threads"] == "" {
		set["threads"] = "1"
	}
	var args []string
	for k, v := range set {
		args = append(args, "--"+k+"="+v)
	}
	slices.Sort(args)
	return args
}

// process is one running command.
type process struct {
	*exec.Cmd
	out, err output
	mark     string
	done     chan struct{}
}

// output may be read while a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a command until the test ends, at the latest.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: runs of whole processes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	p := &process{Cmd: exec.CommandContext(ctx, name, args...), done: make(chan struct{})}
	p.mark = fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano())
	p.Env = append(append(os.Environ(), env...), mark+"="+p.mark)
	p.Stdout, p.Stderr = &p.out, &p.err
	p.WaitDelay = time.Minute // for its last words to arrive
	if err := p.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// wait gives the exit code, -1 for an end by a signal.
func (p *process) wait() int {
	<-p.done
	return p.ProcessState.ExitCode()
}

// ended reports whether the command has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// toEnd is start and wait.
func toEnd(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := start(t, nil, name, args...)
	p.wait()
	return p
}

// must runs a command that has to succeed, and gives its standard output.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	p := toEnd(t, name, args...)
	if code := p.wait(); code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s", filepath.Base(name), args[0], code, p.err.String())
	}
	return p.out.String()
}

// processes lists the PIDs of what p started that still runs: all, or the
// worker of one rank.
func (p *process) processes(t *testing.T, rank int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil {
			continue
		}
		raw, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue // gone meanwhile, or not ours
		}
		env := strings.Split(string(raw), "\x00")
		if !slices.Contains(env, mark+"="+p.mark) || rank >= 0 && !slices.Contains(env, fmt.Sprintf("VGID_RANK=%d", rank)) {
			continue
		}
		out = append(out, pid)
	}
	return out
}

// worker is the PID of the worker of a rank.
func (p *process) worker(t *testing.T, rank int) int {
	t.Helper()
	pids := p.processes(t, rank)
	if len(pids) != 1 {
		t.Fatalf("rank %d: %d processes, want one\n%s", rank, len(pids), p.err.String())
	}
	return pids[0]
}

// nothingLeft fails when something that p started outlives it.
func (p *process) nothingLeft(t *testing.T) {
	t.Helper()
	eventually(t, p, "every process that was started to end", func() bool { return len(p.processes(t, -1)) == 0 })
}

// eventually waits until what holds.
func eventually(t *testing.T, p *process, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited five minutes for %s\n%s%s", what, p.out.String(), p.err.String())
		}
	}
}

// files lists the files below dir, by path relative to it, temporary ones
// included.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		out = append(out, rel)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
