//go:build linux

package agent

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStandstill(t *testing.T) {
	type look struct {
		ms      int
		stopped bool
	}
	for name, c := range map[string]struct {
		looks []look
		want  int // milliseconds
	}{
		"stopped throughout":       {[]look{{0, false}, {500, true}, {1000, true}, {1500, true}}, 1500},
		"goes on":                  {[]look{{0, true}, {500, true}, {1000, false}, {1500, true}}, 500},
		"first look":               {[]look{{0, true}}, 0},
		"the agent stood still":    {[]look{{0, true}, {500, true}, {60000, true}}, 1500},
		"the clock was set back":   {[]look{{5000, true}, {1000, true}, {1500, true}}, 500},
		"looks that come too late": {[]look{{0, true}, {1400, true}, {2800, true}}, 2000},
	} {
		var s standstill
		var got time.Duration
		for _, l := range c.looks {
			got = s.look(time.Unix(100, 0).Add(time.Duration(l.ms)*time.Millisecond), l.stopped)
		}
		if got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("%s: %v, want %d ms", name, got, c.want)
		}
	}
}

func TestStoppedProcess(t *testing.T) {
	for name, line := range map[string]string{
		"itself":            "kill -STOP $$",
		"below a shell":     "sh -c 'kill -STOP $$'; true",
		"below two of them": `sh -c "sh -c 'kill -STOP \$\$'; true"; true`,
	} {
		c := exec.Command("sh", "-c", line)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if name != "itself" {
			if _, err := os.Stat("/proc/self/task"); err != nil {
				t.Skip("no /proc: ", err)
			}
		}
		deadline := time.Now().Add(time.Minute)
		for !stoppedBelow(c.Process.Pid) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not seen", name)
			}
			time.Sleep(5 * time.Millisecond)
		}
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		c.Wait()
	}
	if stopped(os.Getpid()) || stoppedBelow(os.Getpid()) || stoppedBelow(1<<30) {
		t.Error("a process that runs, or none, is called stopped")
	}
}

// Whoever is stopped for a moment is not given up.
func TestDozingWorker(t *testing.T) {
	out, _, stderr, err := job(t, options(2, 1), "doze 1", nil, nil)
	if err != nil || out.Code() != 0 {
		t.Errorf("code %d, %+v, %v\n%s", out.Code(), out.Cause, err, stderr)
	}
}

func TestWitness(t *testing.T) {
	l := newLedger(twoByTwo(), 0)
	l.exit(1, Exit{Rank: 2, Signal: 9, Stood: 4 * time.Second, AtMilli: 5})
	l.exit(0, Exit{Rank: 0, Code: 75, AtMilli: 6, Line: "vgid: collective: rank 0: all-reduce #7: peer rank 20: lost"})
	l.exit(0, Exit{Rank: 1, Code: 75, AtMilli: 7, Line: "vgid: collective: rank 1: all-reduce #7: peer rank 2: lost"})
	c, ok := l.cause()
	if !ok || c.Code != 137 || !strings.HasSuffix(c.Text, "rank 2 on n1 stood still for 4s, stopped by a signal (as SIGSTOP), and was killed; rank 1 then ended with: vgid: collective: rank 1: all-reduce #7: peer rank 2: lost") {
		t.Errorf("%+v", c)
	}
}
