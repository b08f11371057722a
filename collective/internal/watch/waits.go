package watch

import (
	"slices"
	"sync/atomic"
	"time"
)

// waits is for which rank an operation waits how long: written by the goroutine
// that receives, read by whoever takes a record.
//
// Waits for one rank that follow each other count as one, since in a ring or a
// chain every frame comes from the same.
type waits struct {
	since atomic.Int64 // when the wait began that goes on, nanoseconds since start; 0: none
	rank  atomic.Int64 // that this one, or the last, is for; -1: none
	row   atomic.Int64 // nanoseconds waited for that rank in a row

	most    atomic.Int64 // the longest row of another rank before
	mostFor atomic.Int64

	ranks []int          // of the communicator, by their numbers in the job
	at    int            // the place of rank among them
	sums  []atomic.Int64 // nanoseconds of all operations, by that place
}

func newWaits(ranks []int) waits { return waits{ranks: ranks, sums: make([]atomic.Int64, len(ranks))} }

func (w *waits) reset() {
	w.since.Store(0)
	w.rank.Store(-1)
	w.row.Store(0)
	w.most.Store(0)
	w.mostFor.Store(-1)
}

func (w *waits) begin(rank int) {
	if before := w.rank.Load(); before != int64(rank) {
		if row := w.row.Load(); row > w.most.Load() {
			w.most.Store(row)
			w.mostFor.Store(before)
		}
		w.rank.Store(int64(rank))
		w.row.Store(0)
		// In the communicator of the job ranks have their own places.
		if w.at = rank; rank >= len(w.ranks) || w.ranks[rank] != rank {
			w.at = slices.Index(w.ranks, rank)
		}
	}
	w.since.Store(int64(time.Since(start)))
}

func (w *waits) end() {
	if since := w.since.Swap(0); since != 0 {
		waited := int64(time.Since(start)) - since
		w.row.Add(waited)
		if w.at >= 0 {
			w.sums[w.at].Add(waited)
		}
	}
}

// total is the time of all waits for a rank of the job that have ended.
func (w *waits) total(rank int) time.Duration {
	if i := slices.Index(w.ranks, rank); i >= 0 {
		return time.Duration(w.sums[i].Load())
	}
	return 0
}

// longest counts a wait that goes on.
func (w *waits) longest() (rank int, d time.Duration) {
	row := w.row.Load()
	if since := w.since.Load(); since != 0 {
		row += int64(time.Since(start)) - since
	}
	if most := w.most.Load(); most > row {
		return int(w.mostFor.Load()), time.Duration(most)
	}
	return int(w.rank.Load()), time.Duration(row)
}
