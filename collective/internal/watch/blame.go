package watch

import (
	"slices"
	"time"

	"vgid/collective/frame"
)

// sightings is what is known of the ranks of a communicator, this one included.
func (w *Watch) sightings(p *Progress) []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]sighting, len(p.Ranks))
	for i, r := range p.Ranks {
		e := &w.table.entries[r]
		all[i] = sighting{known: e.beat > 0, when: e.when}
		all[i].standing, _ = e.of(p.comm) // one that it has not made yet is before its first call
		all[i].elsewhere = slices.ContainsFunc(e.in, func(s standing) bool { return s.comm != p.comm && s.in() })
	}
	return all
}

// findLate counts the time that running calls wait for late ranks, and tells of
// them.
func (w *Watch) findLate(now, tick time.Duration) {
	w.mu.Lock()
	all := slices.Clone(w.all)
	w.mu.Unlock()
	for _, p := range all {
		if h := p.header.Load(); h != nil {
			w.findLateTo(p, h, now, tick)
		}
	}
}

// findLateTo does it for one call: of the ranks that wait the lowest tells.
func (w *Watch) findLateTo(p *Progress, h *frame.Header, now, tick time.Duration) {
	since := p.sinceBegan()
	seen := w.sightings(p)
	late, waiting := holders(h.Seq, slices.Index(p.Ranks, w.rank), since, w.opt.Heartbeat, seen)
	if len(late) == 0 {
		return
	}
	at := seen[late[0]].standing
	at.comm = p.comm
	for _, ranks := range [][]int{late, waiting} {
		for i := range ranks {
			ranks[i] = p.Ranks[ranks[i]]
		}
	}
	for _, r := range late {
		w.held[r].Add(int64(min(tick, now-since)))
	}
	if w.opt.OnLate == nil || !p.alarm.due(h.Seq, now-since) {
		return
	}
	l := Late{Call: *h, Ranks: late, Waiting: waiting, For: now - since, Size: len(p.Ranks), at: at}
	teller := slices.Min(waiting)
	if v := w.follow(now, w.rank); !v.plain(late) {
		l.blame, teller = v, v.teller
		l.Ranks = v.ranks()
		l.at = w.whereabouts(l.Ranks[0])
	} else if len(v.links) > 0 {
		l.Ranks = v.roots
	}
	if teller == w.rank {
		w.opt.OnLate(l)
	}
}

// findExpected tells of ranks that somebody of this rank waits for the messages of,
// or those that keep these.
func (w *Watch) findExpected(now time.Duration) {
	expects := w.expects(now)
	if w.opt.OnLate == nil || len(expects) == 0 {
		return
	}
	oldest := expects[0]
	w.expecting.after = w.world.alarm.after
	if !w.expecting.due(uint64(now-oldest.Age), oldest.Age) {
		return
	}
	v := w.follow(now, w.rank)
	if v.teller != w.rank || len(v.links) == 0 {
		return
	}
	who := v.ranks()
	w.opt.OnLate(Late{Call: frame.Header{Call: oldest.Call}, Ranks: who, Waiting: []int{w.rank}, For: oldest.Age, Size: w.size,
		at: w.whereabouts(who[0]), blame: v})
}

// ranks are those that a verdict finds.
func (v *verdict) ranks() (out []int) {
	for _, l := range v.cycle {
		out = append(out, l.from)
	}
	if out == nil {
		return v.roots
	}
	slices.Sort(out)
	return out
}

// plain reports whether a verdict finds none but ranks of those that are late
// to one call, which wait for nobody.
func (v *verdict) plain(late []int) bool {
	if v.cycle != nil {
		return false
	}
	if len(v.links) == 0 {
		return true // nothing is known
	}
	for _, r := range v.roots {
		if !slices.Contains(late, r) {
			return false
		}
	}
	return true
}

// follow finds out whom ranks wait for in the end, by what is known now.
func (w *Watch) follow(now time.Duration, from ...int) verdict {
	expects := w.expects(now)
	w.mu.Lock()
	s := scene{all: slices.Clone(w.table.entries), members: map[uint32][]int{}, beat: w.opt.Heartbeat}
	own := entry{beat: s.all[w.rank].beat + 1, when: now, expects: expects}
	for _, p := range w.all {
		s.members[p.comm] = p.Ranks
		own.in = append(own.in, p.standing(now))
	}
	w.mu.Unlock()
	s.all[w.rank] = own
	return s.follow(from...)
}

// expects are the messages that somebody of this rank waits for.
func (w *Watch) expects(now time.Duration) []Expect {
	if w.opt.Expects == nil {
		return nil
	}
	return w.opt.Expects(now)
}

// whereabouts is where a rank was last known to be, in the communicator of the
// whole job if that is known.
func (w *Watch) whereabouts(rank int) (at standing) {
	if rank == w.rank {
		return w.world.standing(time.Since(start))
	}
	e := w.entry(rank)
	if s, ok := e.of(w.world.comm); ok {
		return s
	}
	return standing{at: afterCall(0)}
}

// findSlow tells of a rank that is slow; the lowest of the others does.
func (w *Watch) findSlow(now time.Duration) {
	if w.opt.OnSlow == nil {
		return
	}
	w.mu.Lock()
	all := slices.Clone(w.table.entries)
	all[w.rank] = entry{beat: 1, when: now, inCalls: w.inCalls(now)}
	w.mu.Unlock()
	if s, found := w.shares.look(all); found {
		teller := 0
		if s.Rank == teller {
			teller = 1
		}
		if w.rank == teller {
			w.opt.OnSlow(s)
		}
	}
}

// Blame is the rank to name when a call took too long, and why: one that there
// is no news of, else one that is alive but has not come to the call, else the
// one waited for.
func (w *Watch) Blame(p *Progress) (rank int, why string) {
	w.mu.Lock()
	quiet := w.silence.quietest(&w.table)
	w.mu.Unlock()
	if quiet >= 0 {
		return quiet, hangs
	}
	now := time.Since(start)
	if h := p.header.Load(); h != nil {
		late, _ := holders(h.Seq, slices.Index(p.Ranks, w.rank), p.sinceBegan(), w.opt.Heartbeat, w.sightings(p))
		for i, r := range late {
			late[i] = p.Ranks[r]
		}
		switch v := w.follow(now, w.rank); {
		case len(late) == 0:
		case !v.plain(late):
			return w.accuse(&v)
		case len(v.links) > 0:
			return v.roots[0], notCome
		default:
			return late[0], notCome
		}
	}
	return int(p.waiting.Load()), hangs
}

// Why a rank is named.
const (
	hangs   = "it hangs, was stopped, or is cut off"
	notCome = "it is alive, but has not come to this call"
)

// BlameFor is the rank to name when a message took too long to or from a peer; why
// is what there is to say of the peer itself.
func (w *Watch) BlameFor(peer int, why string) (rank int, whyElse string) {
	if w.size < 2 {
		return peer, why
	}
	w.mu.Lock()
	quiet := w.silence.quietest(&w.table)
	w.mu.Unlock()
	if quiet >= 0 {
		return quiet, hangs
	}
	if v := w.follow(time.Since(start), w.rank); !v.plain([]int{peer}) {
		return w.accuse(&v)
	}
	return peer, why
}

// accuse names a rank of a verdict, and says why.
func (w *Watch) accuse(v *verdict) (rank int, why string) {
	if v.cycle == nil {
		return v.roots[0], "it is alive, but others wait for it: " + listed(v.links)
	}
	who := v.ranks()
	if rank = who[0]; rank == w.rank {
		rank = who[1]
	}
	return rank, deadlock(v.cycle)
}
