// Package flight is the flight recorder of a rank: its last calls, kept in memory
// that is there from the start, and the record that is made of them when the
// communicators of a job fail. Merge makes one story of the records of several
// ranks, Table shows it to a person.
//
// Times in a record are seconds before it was taken. The first failure is told to
// all ranks at once, so that those moments lie as far apart as a message travels,
// while clocks of two machines may differ by anything; nothing is computed from
// them.
package flight

import (
	"sync"
	"time"

	"vgid/collective/frame"
)

// Keep is how many calls that have ended a rank remembers.
const Keep = 256

// NoRank stands where no rank is meant.
const NoRank = -1

// Ended is a call that has ended, as it is kept.
type Ended struct {
	Header     frame.Header
	Peer       int32         // of a message, by its number in the job; NoRank in other calls
	LongestFor int32         // the rank of the job that the call waited for longest, or NoRank
	Longest    time.Duration // for how long, in a row
	Began, End time.Duration // since the process began
	Sent       uint64        // bytes, with headers
	Received   uint64
}

// Ring keeps the calls that have ended last, of all communicators of a job.
//
// What must always hold: adding allocates nothing, and forgets the oldest once
// there are Keep.
type Ring struct {
	mu   sync.Mutex // guards what follows
	last [Keep]Ended
	n    uint64 // calls so far
}

// Add keeps a call.
func (r *Ring) Add(e *Ended) {
	r.mu.Lock()
	r.last[r.n%Keep] = *e
	r.n++
	r.mu.Unlock()
}

// Last gives the calls that are kept, the oldest first, and how many were before.
func (r *Ring) Last() (kept []Ended, before uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.n - min(r.n, Keep)
	for i := before; i < r.n; i++ {
		kept = append(kept, r.last[i%Keep])
	}
	return kept, before
}
