//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// long is a run that no test waits for the end of.
var long = map[string]string{"unlearn.steps": "100000", "checkpoint.every": "3"}

// launched starts vgid on two workers, each on a node of its own, under the race
// detector where the tests have it.
func launched(t *testing.T, launchFlags []string, args ...string) *process {
	t.Helper()
	args = append(append(append([]string{"--nodes", "2", "--local"}, launchFlags...), "--", raced), args...)
	return start(t, nil, launcher(t), args...)
}

// checkpointed waits until a run of unlearn has written a checkpoint.
func checkpointed(t *testing.T, p *process, out string) {
	t.Helper()
	eventually(t, p, "a checkpoint", func() bool { return hasCheckpoint(out) })
}

func hasCheckpoint(out string) bool {
	m, _ := filepath.Glob(filepath.Join(out, "r", "unlearned", "checkpoint", "step-*.safetensors"))
	return len(m) > 0
}

// struck starts a run, waits for the moment and kills a process of it, and gives
// the run with the folder of its files. Where it was too late for that, the file
// last written already, it tries again from the beginning.
func struck(t *testing.T, last string, begin func(out string) *process, moment func(out string) bool, victim func(p *process) []int) (*process, string) {
	t.Helper()
	for range 10 {
		out := t.TempDir()
		p := begin(out)
		for !moment(out) && !p.ended() {
			time.Sleep(5 * time.Millisecond)
		}
		if pids := victim(p); len(pids) == 1 && !p.ended() {
			if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
		}
		code := p.wait()
		if _, err := os.Stat(filepath.Join(out, last)); code != 0 && err != nil {
			return p, out
		}
	}
	t.Fatal("ten runs ended before they were killed")
	return nil, ""
}

func TestKilledRunResumesToTheBit(t *testing.T) {
	over := map[string]string{"unlearn.steps": "24", "checkpoint.every": "3", "unlearn.lora.dropout": "0.1"}
	for workers := 1; workers <= 2; workers++ {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			begin := func(args []string) *process {
				if workers == 1 {
					return start(t, nil, program, append([]string{"unlearn"}, args...)...)
				}
				return launched(t, nil, append([]string{"unlearn"}, args...)...)
			}
			whole := t.TempDir()
			if p := begin(flags(whole, over)); p.wait() != 0 {
				t.Fatal(p.err.String())
			}
			model := filepath.Join("r", "unlearned", "model", "model.safetensors")
			p, parts := struck(t, model, func(out string) *process { return begin(flags(out, over)) },
				hasCheckpoint,
				func(p *process) []int {
					if workers > 1 {
						return p.processes(t, 0)
					}
					return []int{p.Process.Pid}
				})
			p.nothingLeft(t)
			if p := begin(append(flags(parts, over), "--resume", "true")); p.wait() != 0 || !strings.Contains(p.out.String(), ": resumed after step ") {
				t.Fatalf("did not resume from a checkpoint: %s%s", p.out.String(), p.err.String())
			}
			for _, f := range []string{model, filepath.Join("r", "unlearned", "adapter", "adapter_model.safetensors"), filepath.Join("r", "unlearned", "history.jsonl")} {
				if !bytes.Equal(read(t, whole, f), read(t, parts, f)) {
					t.Errorf("%s of the resumed run differs from that of the whole one", f)
				}
			}
			if a, b := files(t, whole), files(t, parts); !slices.Equal(a, b) {
				t.Errorf("the resumed run leaves %v, the whole one %v", b, a)
			}
		})
	}
}

// A whole job that was killed between its stages keeps what it has done.
func TestKilledJobGoesOn(t *testing.T) {
	over := map[string]string{"train.steps": "20", "unlearn.steps": "20"}
	whole := t.TempDir()
	must(t, program, append([]string{"run"}, flags(whole, over)...)...)
	_, parts := struck(t, "r/summary.json", func(out string) *process {
		return start(t, nil, program, append([]string{"run"}, flags(out, over)...)...)
	}, func(out string) bool {
		_, err := os.Stat(filepath.Join(out, "r", "vanilla", "stage.json"))
		return err == nil
	}, func(p *process) []int { return []int{p.Process.Pid} })
	out := must(t, program, append([]string{"run", "--resume", "true"}, flags(parts, over)...)...)
	if !strings.Contains(out, "vanilla: finished before, kept") {
		t.Errorf("trained the vanilla model again:\n%s", out)
	}
	for _, f := range []string{"r/unlearned/model/model.safetensors", "r/gold/model/model.safetensors", "r/unlearned/answers.jsonl", "r/teacher.json"} {
		if !bytes.Equal(read(t, whole, f), read(t, parts, f)) {
			t.Errorf("%s of the resumed job differs from that of the whole one", f)
		}
	}
	// How people are asked changes no weights: nothing is trained again.
	over["eval.max_new"] = "3"
	out = must(t, program, append([]string{"run", "--resume", "true"}, flags(parts, over)...)...)
	for _, want := range []string{"vanilla: finished before, kept", "gold: finished before, kept", "unlearned: finished before, kept", "evaluated on"} {
		if !strings.Contains(out, want) {
			t.Errorf("resumed with another evaluation, the job does not say %q:\n%s", want, out)
		}
	}
}

func TestKilledWorkerEndsTheJob(t *testing.T) {
	for rank := range 2 {
		t.Run(fmt.Sprintf("rank %d", rank), func(t *testing.T) {
			out := t.TempDir()
			p := launched(t, nil, append([]string{"unlearn"}, flags(out, long)...)...)
			checkpointed(t, p, out)
			if err := syscall.Kill(p.worker(t, rank), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			code := p.wait()
			if code != 128+int(syscall.SIGKILL) {
				t.Errorf("exit code %d", code)
			}
			want := fmt.Sprintf("vgid-launch: rank %d on node%d was killed by SIGKILL", rank, rank)
			if got := lastLine(p.err.String()); !strings.HasPrefix(got, want) {
				t.Errorf("the last line is %q, want %q…", got, want)
			}
			noTrace(t, p)
			p.nothingLeft(t)
		})
	}
}

func TestFrozenWorkerIsNamed(t *testing.T) {
	for rank := range 2 {
		t.Run(fmt.Sprintf("rank %d", rank), func(t *testing.T) {
			t.Parallel() // most of it is waiting
			out := t.TempDir()
			p := launched(t, nil, append([]string{"unlearn"}, flags(out, long)...)...)
			checkpointed(t, p, out)
			if err := syscall.Kill(p.worker(t, rank), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(); code != 128+int(syscall.SIGKILL) {
				t.Errorf("exit code %d", code)
			}
			got := lastLine(p.err.String())
			for _, want := range []string{
				fmt.Sprintf("vgid-launch: rank %d on node%d stood still for ", rank, rank),
				fmt.Sprintf("; rank %d then ended with: vgid: ", 1-rank), fmt.Sprintf("collective: rank %d: ", 1-rank), " #", fmt.Sprintf("peer rank %d: ", rank),
			} {
				if !strings.Contains(got, want) {
					t.Errorf("the last line is %q, want it to say %q", got, want)
				}
			}
			noTrace(t, p)
			p.nothingLeft(t)
		})
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// noTrace fails on what a crash prints.
func noTrace(t *testing.T, p *process) {
	t.Helper()
	for _, s := range []string{p.out.String(), p.err.String()} {
		for _, bad := range []string{"panic:", "goroutine ", "DATA RACE"} {
			if strings.Contains(s, bad) {
				t.Errorf("printed %q:\n%s", bad, s)
			}
		}
	}
}

// What could not be printed is told at the end, of work that is done: behind a full
// disk, and behind a reader that went away.
func TestLostOutputIsTold(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		open       func() (*os.File, error)
	}{
		{"a full disk", "no space left on device", func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }},
		{"no reader", "broken pipe", func() (*os.File, error) {
			from, to, err := os.Pipe()
			if err == nil {
				err = from.Close()
			}
			return to, err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to, err := tc.open()
			if err != nil {
				t.Skip("no such output here: ", err)
			}
			defer to.Close()
			out := t.TempDir()
			var said bytes.Buffer
			c := exec.Command(program, append([]string{"unlearn"}, flags(out, map[string]string{"unlearn.steps": "1"})...)...)
			c.Stdout, c.Stderr = to, &said
			err = c.Run()
			if c.ProcessState == nil || c.ProcessState.ExitCode() != 1 || strings.Count(said.String(), "\n") != 1 ||
				!strings.Contains(said.String(), "lines are missing in the output (write /dev/stdout: "+tc.want+"); the work is done") {
				t.Errorf("%v: %q", err, said.String())
			}
			if found, _ := filepath.Glob(filepath.Join(out, "*", "unlearned", "adapter", "adapter_model.safetensors")); len(found) != 1 {
				t.Errorf("the adapter is not there: %v", found)
			}
		})
	}
}
