// Package simulate runs whole worlds of communicators in virtual time, over a network
// whose delays, cuts and deaths follow from a seed, and looks whether what a
// communicator promises holds: a call ends, with the right result or with an error
// that names who is to blame, in time.
//
// Everything is a function of the seed (Draw), the order of all events included, so
// that a schedule that fails can be run again with every event printed. Begin reading
// at network, which is how that is done; then Schedule, which is what may happen, and
// check.go, what must hold.
package simulate

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// Report is what came of a schedule.
type Report struct {
	Schedule *Schedule
	Wrong    []string // what did not hold
	Sum      uint64   // fingerprint of all events
	Events   uint64
	Struck   []Kind // faults that happened before all was over
	Took     time.Duration
}

// limit is when a schedule that has not ended counts as hanging: no rank computes or
// waits for so long in all.
const limit = 10 * time.Minute

// Run runs the schedule of a seed in a bubble of virtual time. Each event becomes a line
// of out, if that is not nil.
func Run(t *testing.T, s *Schedule, out io.Writer) (rep *Report) {
	// One thread: what several goroutines of a rank do at one virtual time they then do
	// in the order in which they were woken.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(*testing.T) { rep = s.run(out) })
	return rep
}

func (s *Schedule) run(out io.Writer) *Report {
	tr := &Trace{Out: out}
	before := runtime.NumGoroutine()
	w := newNetwork(s.Ranks, s.stream, s.Conditions, tr)
	if s.spoil != nil {
		s.spoil(w)
	}
	for _, f := range s.Faults {
		w.arm(f)
	}
	p := &player{s: s, w: w, bits: map[string]uint64{}, bitsOf: map[string]int{}}
	for range s.Ranks {
		p.ranks = append(p.ranks, &played{done: make(chan struct{})})
	}
	go w.run()
	for r := range s.Ranks {
		go p.play(r)
	}
	p.await()
	w.direct(func() {}) // everything that was asked for before has been answered
	time.Sleep(time.Second)
	close(w.stop)
	<-w.stopped
	synctest.Wait()
	if n := runtime.NumGoroutine(); n > before {
		p.fail("%d goroutines are left:\n%s", n-before, stacks())
	}
	rep := &Report{Schedule: s, Wrong: append(p.wrong, p.check()...), Sum: tr.Sum(), Events: tr.events, Took: w.now()}
	for _, f := range s.Faults {
		if f.struck {
			rep.Struck = append(rep.Struck, f.Kind)
		}
	}
	return rep
}

// stuck reports whether a rank never ends by itself.
func (s *Schedule) stuck(rank int) bool {
	for _, f := range s.Faults {
		if f.Kind == Freeze && f.Rank == rank && f.struck {
			return true
		}
	}
	return false
}

// await waits for all ranks, and then ends those that stand still for good.
func (p *player) await() {
	late := time.NewTimer(limit)
	defer late.Stop()
	wait := func(rank int) bool {
		select {
		case <-p.ranks[rank].done:
			return true
		case <-late.C:
			return false
		}
	}
	for r := range p.ranks {
		for !p.isStuck(r) {
			select {
			case <-p.ranks[r].done:
			case <-time.After(time.Second):
				continue
			case <-late.C:
				p.fail("hang: rank %d has not ended after %v:\n%s", r, limit, stacks())
				p.w.direct(p.w.killAll)
				late.Reset(time.Minute)
				continue
			}
			break
		}
	}
	p.w.direct(p.w.killAll)
	for r := range p.ranks {
		if !wait(r) {
			panic(fmt.Sprintf("simulate: %v: rank %d does not end though its transport has:\n%s", p.s, r, stacks()))
		}
	}
}

func (p *player) isStuck(rank int) bool {
	stuck := false
	p.w.direct(func() { stuck = p.s.stuck(rank) })
	return stuck
}

// killAll ends what is still there.
func (w *network) killAll() {
	for _, e := range w.ends {
		for e.out.shut > 0 {
			w.thaw(e)
		}
		w.die(e)
	}
}

// stacks are those of all goroutines.
func stacks() []byte {
	b := make([]byte, 1<<20)
	return bytes.TrimSpace(b[:runtime.Stack(b, true)])
}
