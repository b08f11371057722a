//go:build linux

package agent

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

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
