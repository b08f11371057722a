//go:build unix

package agent

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	const intr, term, hup, usr = syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1
	type at struct {
		ms int
		s  syscall.Signal
	}
	for name, c := range map[string]struct {
		sent []at
		want []wish
	}{
		"a scheduler repeats itself":          {[]at{{0, term}, {2, term}, {30, term}, {5000, term}}, []wish{wishEnd, wishNothing, wishNothing, wishNothing}},
		"a person presses twice":              {[]at{{0, intr}, {900, intr}}, []wish{wishEnd, wishKill}},
		"one key, two ways":                   {[]at{{0, intr}, {3, intr}}, []wish{wishEnd, wishNothing}},
		"two ways, then again":                {[]at{{0, intr}, {3, intr}, {300, intr}}, []wish{wishEnd, wishNothing, wishKill}},
		"asked by a scheduler, then a person": {[]at{{0, term}, {1000, intr}, {3000, intr}}, []wish{wishEnd, wishNothing, wishKill}},
		"a lost terminal":                     {[]at{{0, hup}, {1, hup}, {900, term}}, []wish{wishEnd, wishNothing, wishNothing}},
		"an announcement":                     {[]at{{0, usr}, {1, usr}, {900, term}}, []wish{wishPass, wishPass, wishEnd}},
	} {
		var p patience
		var got []wish
		start := time.Unix(100, 0)
		for _, a := range c.sent {
			got = append(got, p.take(a.s, start.Add(time.Duration(a.ms)*time.Millisecond)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// A scheduler ends a job by signalling every process of it, more than once:
// the workers are asked, and have the time they take.
func TestWholeTreeIsSignalled(t *testing.T) {
	for _, nodes := range []int{1, 2} {
		o := options(nodes, 2)
		signals := make(chan syscall.Signal, 3)
		var once sync.Once
		out, stdout, stderr, err := job(t, o, "orderly", signals, func(s string) {
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
	signals := make(chan syscall.Signal, 2)
	var once sync.Once
	out, stdout, stderr, err := job(t, options(2, 1), "announced", signals, func(s string) {
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
	o := options(2, 1)
	o.Grace = 300 * time.Millisecond
	signals := make(chan syscall.Signal, 1)
	var once sync.Once
	out, _, stderr, err := job(t, o, "stubborn", signals, func(s string) {
		if strings.Count(s, "ready") == 2 {
			once.Do(func() { signals <- syscall.SIGTERM })
		}
	})
	if err != nil || out.Code() != 137 || out.Interrupted != syscall.SIGTERM {
		t.Errorf("code %d, %+v, %v\n%s", out.Code(), out, err, stderr)
	}
}
