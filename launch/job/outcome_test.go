package job

import (
	"syscall"
	"testing"

	"vgid/launch"
)

func TestInterruptedIsNotAPeersFault(t *testing.T) {
	for _, c := range []struct {
		code   int
		signal syscall.Signal
		want   int
	}{{launch.ExitPeerFailed, syscall.SIGINT, 130}, {launch.ExitPeerFailed, 0, launch.ExitPeerFailed}, {3, syscall.SIGINT, 3}} {
		if got := (Outcome{Cause: &Cause{Code: c.code}, Interrupted: c.signal}).Code(); got != c.want {
			t.Errorf("cause %d, signal %v: exit code %d, want %d", c.code, c.signal, got, c.want)
		}
	}
}
