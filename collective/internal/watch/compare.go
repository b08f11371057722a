package watch

import (
	"fmt"
	"slices"
	"time"

	"vgid/collective/frame"
)

// doubt is the number of a call before which a rank made other calls, and when that was seen first.
type doubt struct {
	seq   uint64
	since time.Time
}

// compare looks at the latest call of a neighbour in a communicator. Ranks that
// make different calls may all wait for frames that nobody is going to send, or
// end them without having exchanged a frame; between any two such ranks there are
// neighbours that differ.
//
// That the latest calls are the same is not enough. Frames of an earlier one that
// nobody takes may fill the way, so that the next one neither sends nor comes to
// see them; hence the sum. It says less than those frames do, which have a beat to come.
func (w *Watch) compare(from int, theirs *announced) {
	w.mu.Lock()
	var mine *announced
	at := place{theirs.Comm, from}
	for _, p := range w.all {
		if p.comm == theirs.Comm && slices.Contains(p.Ranks, from) {
			mine = p.announced(theirs.Seq)
			w.latest[at] = theirs.Header
		}
	}
	if mine != nil && theirs.sum != mine.sum && w.odd[at].seq != theirs.Seq {
		w.odd[at] = doubt{theirs.Seq, time.Now()}
	}
	// Signs may follow each other at once, so it is a beat that counts and not their number.
	again := w.odd[at].seq == theirs.Seq && time.Since(w.odd[at].since) >= w.opt.Heartbeat
	w.mu.Unlock()
	switch {
	case mine == nil:
	case !theirs.SameCall(&mine.Header):
		w.failure.End(&frame.MismatchError{Rank: w.rank, Peer: from, Local: mine.Header, Remote: theirs.Header}, true)
	case theirs.sum != mine.sum && again:
		w.failure.End(&frame.RankError{Rank: w.rank, Peer: from, Err: fmt.Errorf("%w before %v #%d", errOtherCalls, mine.Call, mine.Seq)}, true)
	}
}
