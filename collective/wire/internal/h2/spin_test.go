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

// Who gave the core to somebody that keeps it does not ask again at once, though the
// waits are short.
func TestSpinnerKeepsTheCoreWhereItIsWanted(t *testing.T) {
	const limit = 100 * time.Microsecond
	for _, came := range []bool{false, true} { // while the core was away
		s, now := spinner{limit: limit}, time.Unix(0, 0)
		s.reset()
		if !s.again(now) {
			t.Fatal("the first wait does not begin with asking")
		}
		now = now.Add(3 * time.Millisecond)
		if !came && s.again(now) {
			t.Error("asks on after the core was away for 3 ms")
		}
		s.over(now)
		for i := range 3 {
			if asked := waitFor(&s, time.Microsecond); (asked > 0) != (i > 0) {
				t.Errorf("came %v: wait %d after that asked for %v", came, i, asked)
			}
			if i == 1 && s.pause != 0 {
				t.Error("asking that was worth it is not remembered")
			}
		}
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
