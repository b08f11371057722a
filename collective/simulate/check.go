package simulate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vgid/collective"
	"vgid/collective/frame"
)

// What a communicator may take longer than it says.
const (
	// of Options.Timeout: for the note that explains an error, and until memory is free
	slack = 1500 * time.Millisecond
	grace = 6 * time.Second // of Close: it waits 5 s for ranks that are busy
)

// soon is how soon a call ends after a fault.
var soon = map[Kind]time.Duration{
	Kill: 2 * time.Second, Freeze: 5 * time.Second, Thaw: 5 * time.Second, Cut: 5 * time.Second, CutOneWay: 5 * time.Second, CutOff: 5 * time.Second,
	OtherCall: 2 * time.Second,
	EndsEarly: 6 * time.Second, // a message may be on its way until the rank is gone, 5 s after its goodbye
}

// check looks whether what must hold did. That results are right was looked at when
// there were any.
func (p *player) check() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for r, e := range p.w.ends {
		if e.lent != 0 {
			say("rank %d has %d frames that it was given and did not release", r, e.lent)
		}
		for _, k := range p.ranks[r].kept {
			if sumOf(k.b) != k.sum {
				say("rank %d: memory of step %d was written after the call had returned", r, k.step)
			}
		}
	}
	for r, me := range p.ranks {
		if p.still(r) {
			continue
		}
		for i, t := range me.steps {
			if most := p.s.Options.Timeout + slack; t.end-t.begin > most {
				say("rank %d: step %d took %v, more than %v: %v", r, i, t.end-t.begin, most, t.err)
			}
		}
		if d := me.closed.end - me.closed.begin; d > grace {
			say("rank %d: Close took %v", r, d)
		}
	}
	p.checkLate(say)
	struck := p.struck()
	if len(struck) == 0 {
		p.checkWell(say)
		return wrong
	}
	p.checkBlame(struck, say)
	return wrong
}

// still reports whether a rank has stood still for longer than others bear.
func (p *player) still(rank int) bool {
	return slices.ContainsFunc(p.s.Faults, func(f *Fault) bool {
		return f.struck && f.Rank == rank && (f.Kind == Freeze || f.Kind == Thaw || f.Kind == Pause)
	})
}

// struck are the faults that happened and are not borne.
func (p *player) struck() (out []*Fault) {
	for _, f := range p.s.Faults {
		if f.struck && !f.Kind.Borne() {
			out = append(out, f)
		}
	}
	return out
}

// checkWell is for worlds in which nobody may fail.
func (p *player) checkWell(say func(string, ...any)) {
	for r, me := range p.ranks {
		if err := errors.Join(me.err(), me.closed.err); err != nil {
			say("false accusation: rank %d: %v", r, err)
		}
	}
}

// checkLate looks whom OnLate named.
func (p *player) checkLate(say func(string, ...any)) {
	late, held := map[int]*Fault{}, false
	for _, f := range p.s.Faults {
		switch {
		case !f.struck:
		case f.Kind == Late || f.Kind == Never:
			late[f.Rank] = f
		case !f.Kind.Borne():
			held = true
		}
	}
	if held {
		return // whoever waits for the rank that is at fault may be late for others
	}
	for _, t := range p.told {
		for _, r := range t.Ranks {
			if late[r] == nil {
				say("OnLate of rank %d names rank %d, which is not late: %v", t.by, r, t.Late)
			}
		}
	}
	patience := min(5*time.Second, p.s.Options.Timeout/4)
	if len(p.s.Faults) > 1 {
		return
	}
	for r, f := range late {
		if f.For < patience+time.Second || !waitsForAll(p.s.Steps[f.Step].Job.Call) {
			continue
		}
		if !slices.ContainsFunc(p.told, func(t told) bool { return slices.Contains(t.Ranks, r) }) {
			say("OnLate never named rank %d, which was late for %v", r, f.For)
		}
	}
}

// waitsForAll reports whether no rank ends a call before all have come to it.
func waitsForAll(c frame.Call) bool {
	return c == frame.CallBarrier || c == frame.CallAllReduce
}

// named are the ranks that an error blames. That ranks have made other calls can
// only be said of two, of which either may be the odd one: who told of it is one of them.
func named(err error, calls bool) []int {
	var m *collective.MismatchError
	var re *collective.RankError
	var remote *frame.RemoteError
	switch {
	case errors.As(err, &m):
		return []int{m.Rank, m.Peer}
	case !errors.As(err, &re):
		return nil
	case !calls:
		return []int{re.Peer}
	case errors.As(err, &remote):
		return []int{re.Peer, remote.From}
	}
	return []int{re.Peer, re.Rank}
}

// checkBlame looks whom errors name. With two faults they may name the ranks of
// either, and take longer.
func (p *player) checkBlame(struck []*Fault, say func(string, ...any)) {
	guilty, excused, calls := map[int]bool{}, map[int]bool{}, false
	for _, f := range struck {
		guilty[f.Rank], calls = true, calls || f.Kind >= OtherCall
		switch f.Kind {
		case Cut, CutOneWay:
			guilty[f.Peer] = true
		case Kill, Freeze, Thaw, CutOff, EndsEarly, OneMore, Never:
			excused[f.Rank] = true
		}
	}
	alone := struck[0]
	if len(struck) > 1 || len(p.s.Faults) > 1 {
		alone = nil
	}
	for r, me := range p.ranks {
		err := errors.Join(me.err(), me.closed.err)
		if err == nil || excused[r] {
			if alone != nil {
				p.checkNoticed(alone, r, err, say)
			}
			continue
		}
		if !slices.ContainsFunc(named(err, calls), func(r int) bool { return guilty[r] }) {
			say("rank %d names %v, who did nothing: %v", r, named(err, calls), err)
		}
		if alone != nil {
			p.checkOne(alone, r, me, err, say)
		}
	}
}

// checkOne is for worlds with one fault: what a rank that failed says of it, and when.
func (p *player) checkOne(f *Fault, r int, me *played, err error, say func(string, ...any)) {
	var m *collective.MismatchError
	if f.Kind == OtherCall && errors.As(err, &m) && (m.Rank == f.Rank) == (m.Peer == f.Rank) {
		say("rank %d: ranks %d and %d do not differ: %v", r, m.Rank, m.Peer, err)
	}
	last := me.closed
	if me.err() != nil {
		last = me.steps[len(me.steps)-1]
	}
	if most, ok := soon[f.Kind]; ok && me.err() != nil && last.end > max(last.begin, f.struckAt)+most {
		say("rank %d fails %v after the fault, more than %v: %v", r, last.end-max(last.begin, f.struckAt), most, err)
	}
}

// checkNoticed is for ranks that did not fail: some faults all notice.
func (p *player) checkNoticed(f *Fault, r int, err error, say func(string, ...any)) {
	switch f.Kind {
	case OtherCall:
		say("rank %d does not notice the other call of rank %d", r, f.Rank)
	case EndsEarly:
		if r != f.Rank && len(p.ranks[r].steps) < p.s.calls() {
			say("rank %d does not notice that rank %d ended before", r, f.Rank)
		}
	case OneMore:
		if r == f.Rank && err == nil {
			say("rank %d does not notice that it made a call more", r)
		}
	}
}
