package h2

import (
	"testing"
	"time"
)

// waitFor has a spinner wait for so long and tells how long of that it asks, a question
// a microsecond.
func waitFor(s *spinner, d time.Duration) (asked time.Duration) {
	begin := time.Unix(0, 0)
	s.reset()
	for now := begin; now.Sub(begin) < d; now = now.Add(time.Microsecond) {
		if !s.again(now) {
			break
		}
		asked += time.Microsecond
	}
	s.over(begin.Add(d))
	return asked
}

func TestSpinnerAsksWhereWaitsAreShort(t *testing.T) {
	const limit, short, long = 100 * time.Microsecond, 5 * time.Microsecond, 30 * time.Millisecond
	for name, c := range map[string]struct {
		waits []time.Duration
		asked []time.Duration
	}{
		"short waits are asked through":               {[]time.Duration{short, short, short}, []time.Duration{short, short, short}},
		"a long one is given up, and the next sleeps": {[]time.Duration{long, short}, []time.Duration{limit, 0}},
		"one that was short asleep counts":            {[]time.Duration{long, short, short, short}, []time.Duration{limit, 0, short, short}},
		"in vain ever more seldom": {
			[]time.Duration{long, long, long, long, long, long, long},
			[]time.Duration{limit, 0, limit, 0, 0, 0, limit}},
		"as many in vain as calls, between which ranks compute": {
			[]time.Duration{long, short, short, long, short, short, long},
			[]time.Duration{limit, 0, short, limit, 0, short, limit}},
	} {
		t.Run(name, func(t *testing.T) {
			s := spinner{limit: limit}
			for i, d := range c.waits {
				if got := waitFor(&s, d); got != c.asked[i] {
					t.Errorf("wait %d of %v: asked for %v, want %v", i, d, got, c.asked[i])
				}
			}
		})
	}
}

// loseCore has a spinner lose the core for 3 ms when it first gives way; in that time
// there came something, or nothing.
func loseCore(t *testing.T, s *spinner, came bool) {
	t.Helper()
	now := time.Unix(0, 0)
	s.reset()
	if !s.again(now) {
		t.Fatal("the wait does not begin with asking")
	}
	now = now.Add(3 * time.Millisecond)
	if !came && s.again(now) {
		t.Error("asks on after the core was away for 3 ms")
	}
	s.over(now)
}

// Who gave the core to somebody that keeps it does not ask again at once, though the
// waits are short.
func TestSpinnerKeepsTheCoreWhereItIsWanted(t *testing.T) {
	for _, came := range []bool{false, true} {
		s := spinner{limit: 100 * time.Microsecond}
		loseCore(t, &s, came)
		for i := range 5 {
			if asked := waitFor(&s, time.Microsecond); (asked > 0) != (i >= 3) {
				t.Errorf("came %v: wait %d after that asked for %v", came, i, asked)
			}
		}
		loseCore(t, &s, came) // what was won in between makes good for little
		if s.skip != 15 {
			t.Errorf("came %v: a second loss pauses for %d waits", came, s.skip)
		}
	}
}

// Where every 20th wait that is asked through loses the core, few are; when that is over,
// nearly all are again.
func TestSpinnerOnABusyMachine(t *testing.T) {
	const rounds = 100_000
	s, lost, asked := spinner{limit: 100 * time.Microsecond}, 0, 0
	for range rounds {
		if s.skip == 0 {
			if asked++; asked%20 == 0 {
				loseCore(t, &s, true)
				lost++
				continue
			}
		}
		waitFor(&s, time.Microsecond)
	}
	if most := rounds/maxPause + 6; lost == 0 || lost > most {
		t.Errorf("lost the core %d times in %d waits, want at most %d", lost, rounds, most)
	}
	asked = 0
	for range rounds {
		if waitFor(&s, time.Microsecond) > 0 {
			asked++
		}
	}
	if asked < rounds-maxPause || s.robbed != 0 {
		t.Errorf("asked in %d of %d waits afterwards; a loss would pause for %d", asked, rounds, 4*s.robbed+3)
	}
}

// A rank that always waits long asks next to never; one that is not to ask never does.
func TestSpinnerCostsLittleInVain(t *testing.T) {
	const limit, rounds = 100 * time.Microsecond, 10_000
	s, sum := spinner{limit: limit}, time.Duration(0)
	for range rounds {
		sum += waitFor(&s, time.Millisecond)
	}
	// The pauses double up to maxPause, which ten of them reach.
	if most := (rounds/maxPause + 10) * limit; sum == 0 || sum > most {
		t.Errorf("%v were spent asking in %d waits of 1 ms, want at most %v and not nothing", sum, rounds, most)
	}
	if asked := waitFor(&spinner{}, time.Microsecond); asked != 0 {
		t.Errorf("a spinner without limit asked for %v", asked)
	}
}
