package watch

import (
	"time"

	"vgid/collective/flight"
)

// Heard is what is known of the other ranks, one sighting for each rank and
// communicator, for a record that is taken now.
func (w *Watch) Heard(now time.Duration) (out []flight.Sighting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.table.entries {
		e := &w.table.entries[r]
		if r == w.rank || e.beat == 0 {
			continue
		}
		for _, s := range e.in {
			seen := flight.Sighting{Rank: r, Age: flight.Seconds(now - e.when), Left: e.leaving != staying, Comm: s.comm, Number: s.at.seq(), In: s.in()}
			if s.call != 0 {
				seen.Call = s.call.String()
			}
			out = append(out, seen)
		}
	}
	return out
}
