package job

import (
	"slices"
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
		want []request
	}{
		"a scheduler repeats itself":          {[]at{{0, term}, {2, term}, {30, term}, {5000, term}}, []request{requestEnd, requestNone, requestNone, requestNone}},
		"a person presses twice":              {[]at{{0, intr}, {900, intr}}, []request{requestEnd, requestKill}},
		"one key, two ways":                   {[]at{{0, intr}, {3, intr}}, []request{requestEnd, requestNone}},
		"two ways, then again":                {[]at{{0, intr}, {3, intr}, {300, intr}}, []request{requestEnd, requestNone, requestKill}},
		"asked by a scheduler, then a person": {[]at{{0, term}, {1000, intr}, {3000, intr}}, []request{requestEnd, requestNone, requestKill}},
		"a lost terminal":                     {[]at{{0, hup}, {1, hup}, {900, term}}, []request{requestEnd, requestNone, requestNone}},
		"an announcement":                     {[]at{{0, usr}, {1, usr}, {900, term}}, []request{requestPass, requestPass, requestEnd}},
	} {
		var p patience
		var got []request
		start := time.Unix(100, 0)
		for _, a := range c.sent {
			got = append(got, p.take(a.s, start.Add(time.Duration(a.ms)*time.Millisecond)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
