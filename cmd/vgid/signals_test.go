//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// steps counts the lines of a stage's history.
func steps(out, stage string) int {
	raw, err := os.ReadFile(filepath.Join(out, "r", stage, "history.jsonl"))
	if err != nil {
		return 0
	}
	return strings.Count(string(raw), "\n")
}

var keptStep = regexp.MustCompile(`^vgid: interrupted \((\w+)\) after step (\d+) of 100000 of unlearned: checkpoint kept, continue with --resume\n$`)

// A signal ends a run behind the step it is in, with a checkpoint also where none
// is asked for: once, three times within milliseconds, and by whatever name a
// scheduler sends it.
func TestSignalKeepsTheSteps(t *testing.T) {
	over := maps.Clone(long)
	over["checkpoint.every"] = "0"
	for _, c := range []struct {
		signal syscall.Signal
		times  int
	}{{syscall.SIGTERM, 3}, {syscall.SIGINT, 1}, {syscall.SIGUSR1, 2}, {syscall.SIGHUP, 1}} {
		if signal.Ignored(c.signal) {
			// As under nohup: children inherit it, and let the signal pass.
			t.Logf("NOT TESTED: %v is ignored in this process", c.signal)
			continue
		}
		out := t.TempDir()
		p := start(t, nil, raced, append([]string{"unlearn"}, flags(out, over)...)...)
		eventually(t, p, "a few steps", func() bool { return steps(out, "unlearned") > 3 })
		for range c.times {
			p.Process.Signal(c.signal)
			time.Sleep(3 * time.Millisecond)
		}
		code, said := p.wait(), p.err.String()
		m := keptStep.FindStringSubmatch(said)
		if code != 128+int(c.signal) || m == nil || m[2] != fmt.Sprint(steps(out, "unlearned")) || !hasCheckpoint(out) {
			t.Errorf("%d times %v after %d steps: exit code %d, %q", c.times, c.signal, steps(out, "unlearned"), code, said)
			continue
		}
		// It goes on from there.
		p = start(t, nil, raced, append([]string{"unlearn", "--resume"}, flags(out, over)...)...)
		eventually(t, p, "the resumed run's steps", func() bool { return strings.Contains(p.out.String(), "resumed after step "+m[2]) })
		p.Process.Signal(syscall.SIGTERM)
		if code := p.wait(); code != 143 {
			t.Errorf("the resumed run: exit code %d, %q", code, p.err.String())
		}
	}
}

// Where a process was told to let hang-ups pass, they pass.
func TestHangupUnderNohup(t *testing.T) {
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Skip("NOT TESTED: no nohup on PATH")
	}
	out := t.TempDir()
	p := start(t, nil, nohup, append([]string{program, "unlearn"}, flags(out, long)...)...)
	checkpointed(t, p, out)
	p.Process.Signal(syscall.SIGHUP)
	before := steps(out, "unlearned")
	eventually(t, p, "more steps", func() bool { return steps(out, "unlearned") > before+20 || p.ended() })
	p.Process.Signal(syscall.SIGTERM)
	if code := p.wait(); code != 143 {
		t.Errorf("exit code %d, %q", code, p.err.String())
	}
}

// A second SIGINT is a person's, who wants the end at once.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	// The step in progress never ends: the frozen rank's share is missing.
	out := t.TempDir()
	p := launched(t, []string{"--grace", "1m"}, append([]string{"unlearn", "--collective.timeout", "5m"}, flags(out, long)...)...)
	checkpointed(t, p, out)
	frozen, worker := p.worker(t, 1), p.worker(t, 0)
	syscall.Kill(frozen, syscall.SIGSTOP)
	defer syscall.Kill(frozen, syscall.SIGKILL)
	const want = "vgid: interrupted (SIGINT) twice: ended at once, what was in progress is lost"
	eventually(t, p, "the worker's end", func() bool {
		// Two that come too close together are one to the system.
		syscall.Kill(worker, syscall.SIGINT)
		time.Sleep(20 * time.Millisecond)
		return strings.Contains(p.err.String(), want) || p.ended()
	})
	syscall.Kill(frozen, syscall.SIGKILL)
	p.wait()
	if !strings.Contains(p.err.String(), want) {
		t.Errorf("%q", p.err.String())
	}
	p.nothingLeft(t)
}

// A signal that reaches one worker alone ends all behind the same step; that of the
// launcher and one to every process of the job lead to the same.
func TestSignalToOneWorkerEndsAll(t *testing.T) {
	over := maps.Clone(long)
	over["checkpoint.every"] = "0"
	for rank := -2; rank < 2; rank++ {
		out := t.TempDir()
		p := launched(t, []string{"--grace", "1m"}, append([]string{"unlearn"}, flags(out, over)...)...)
		eventually(t, p, "a few steps", func() bool { return steps(out, "unlearned") > 3 })
		if rank == -2 { // as Slurm does at a time limit: to every process, again and again
			for range 3 {
				for _, pid := range p.processes(t, -1) {
					syscall.Kill(pid, syscall.SIGTERM)
				}
				time.Sleep(2 * time.Millisecond)
			}
		} else if rank == -1 {
			p.Process.Signal(syscall.SIGTERM)
		} else if err := syscall.Kill(p.worker(t, rank), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		code := p.wait()
		line := fmt.Sprintf("vgid: interrupted (SIGTERM) after step %d of 100000 of unlearned: checkpoint kept", steps(out, "unlearned"))
		if code != 143 || strings.Count(p.err.String(), "] "+line) != 2 || !hasCheckpoint(out) {
			t.Errorf("asked rank %d: exit code %d, want 143 and twice %q:\n%s", rank, code, line, p.err.String())
		}
		p.nothingLeft(t)
	}
}

// Outside of steps a job ends as soon as it can and says what it keeps.
func TestSignalBetweenSteps(t *testing.T) {
	out := t.TempDir()
	over := map[string]string{"train.steps": "2", "eval.max_new": "150", "model.gold": "none", "unlearn.steps": "2", "data.eval_people": "0"}
	p := start(t, nil, raced, append([]string{"run"}, flags(out, over)...)...)
	eventually(t, p, "the look at the teacher", func() bool {
		_, err := os.Stat(filepath.Join(out, "r", "vanilla", "stage.json"))
		return err == nil || p.ended()
	})
	p.Process.Signal(syscall.SIGTERM)
	code, said := p.wait(), p.err.String()
	if code != 143 || !strings.HasPrefix(said, "vgid: interrupted (SIGTERM) ") || !strings.Contains(said, "vanilla") || !strings.HasSuffix(said, "continue with --resume\n") || strings.Count(said, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, said)
	}
	for _, f := range files(t, out) {
		if strings.Contains(filepath.Base(f), ".tmp") || strings.HasPrefix(filepath.Base(f), ".") {
			t.Errorf("%s is left", f)
		}
	}
}

// A command that waits for its input has nothing to lose.
func TestSignalEndsACommandThatWaits(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in")
	if err := syscall.Mkfifo(in, 0o600); err != nil {
		t.Skip("NOT TESTED: no named pipes: ", err)
	}
	p := start(t, nil, raced, "tokenize", "--model", world.Model, "--in", in)
	w, err := os.OpenFile(in, os.O_WRONLY, 0) // once the command reads
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p.Process.Signal(syscall.SIGTERM)
	if code := p.wait(); code != 143 || p.err.String() != "vgid: interrupted (SIGTERM)\n" {
		t.Errorf("exit code %d, %q", code, p.err.String())
	}
}
