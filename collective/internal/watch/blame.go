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
		all[i].elsewhere = slices.ContainsFunc(e.in, func(s standing) bool { return s.comm != p.comm && s.at%2 == 0 && s.at > 0 })
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
	if w.opt.OnLate != nil && slices.Min(waiting) == w.rank && p.alarm.due(h.Seq, now-since) {
		w.opt.OnLate(Late{Call: *h, Ranks: late, Waiting: waiting, For: now - since, Size: len(p.Ranks), at: at})
	}
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
		return quiet, "it hangs, was stopped, or is cut off"
	}
	if h := p.header.Load(); h != nil {
		late, _ := holders(h.Seq, slices.Index(p.Ranks, w.rank), p.sinceBegan(), w.opt.Heartbeat, w.sightings(p))
		if len(late) > 0 {
			return p.Ranks[late[0]], "it is alive, but has not come to this call"
		}
	}
	return int(p.waiting.Load()), "it hangs, was stopped, or is cut off"
}
