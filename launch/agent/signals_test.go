//go:build unix

package agent

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A scheduler ends a job by signalling every process of it, more than once:
// the workers are asked, and have the time they take.
func TestWholeTreeIsSignalled(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2} {
		o := options(nodes, 2)
		signals := make(chan syscall.Signal, 3)
		var once sync.Once
		out, stdout, stderr, err := runJob(t, o, "orderly", signals, func(s string) {
			if strings.Count(s, "ready") == 2*nodes {
				once.Do(func() {
					for range 3 {
						signals <- syscall.SIGTERM
					}
				})
			}
		})
		if err != nil || out.Code() != 143 || out.Interrupted != syscall.SIGTERM || strings.Count(stdout, "ended in order") != 2*nodes {
			t.Errorf("%d nodes: code %d, %+v, %v\n%s%s", nodes, out.Code(), out.Cause, err, stdout, stderr)
		}
	}
}

func TestWorkersHearWhatIsAnnounced(t *testing.T) {
	t.Parallel()
	signals := make(chan syscall.Signal, 2)
	var once sync.Once
	out, stdout, stderr, err := runJob(t, options(2, 1), "announced", signals, func(s string) {
		if strings.Count(s, "ready") == 2 {
			once.Do(func() { signals <- syscall.SIGUSR1; signals <- syscall.SIGUSR2 })
		}
	})
	if err != nil || out.Code() != 0 || out.Interrupted != 0 || strings.Count(stdout, "heard both") != 2 {
		t.Errorf("code %d, %+v, %v\n%s%s", out.Code(), out, err, stdout, stderr)
	}
}

// Workers that were asked and go on are killed after the grace.
func TestGraceIsBounded(t *testing.T) {
	t.Parallel()
	o := options(2, 1)
	o.Grace = 300 * time.Millisecond
	signals := make(chan syscall.Signal, 1)
	var once sync.Once
	out, _, stderr, err := runJob(t, o, "stubborn", signals, func(s string) {
		if strings.Count(s, "ready") == 2 {
			once.Do(func() { signals <- syscall.SIGTERM })
		}
	})
	if err != nil || out.Code() != 137 || out.Interrupted != syscall.SIGTERM {
		t.Errorf("code %d, %+v, %v\n%s", out.Code(), out, err, stderr)
	}
}
