package run

import (
	"context"
	"fmt"
	"runtime/debug"

	"vgid/model/backend"
	"vgid/vgid/run/barrier"
)

// claimed is what a worker is about to take of the memory it shares with others.
type claimed struct {
	Place string // workers of one place share its memory
	Need  int64
	Free  int64 // there, as this worker sees it; -1 where that is not known
}

// MemoryError is the refusal of work that would take more memory than is free.
type MemoryError struct {
	Need, Free int64 // bytes, of all workers that share the memory
	text       string
}

func (e *MemoryError) Error() string { return e.text }

// claim refuses work that takes more memory than the workers of a place have
// between them, before any of it is taken: on all ranks, in a line that begins
// with what and ends with the remedy for so much memory and so many workers. All
// ranks call it.
func (j *Job) claim(ctx context.Context, what string, need int64, remedy func(free int64, workers int) string) error {
	for again := false; ; again = true {
		all, err := j.claims(ctx, need)
		if err != nil {
			return err
		}
		rank, total, free, workers := shortage(all)
		if rank < 0 {
			return nil
		}
		if !again { // what stages before this one left behind does not count
			debug.FreeOSMemory()
			continue
		}
		text := ""
		if rank == j.Comm.Rank() {
			who := ""
			if workers > 1 {
				who = fmt.Sprintf(" for the %d workers here", workers)
			}
			if j.Backend.Traits().Adopts {
				who += " besides mapped files"
			}
			text = fmt.Sprintf("%s %v of memory%s and %v are free: %v are missing; %s", what,
				backend.Bytes(total), who, backend.Bytes(free), backend.Bytes(total-free), remedy(free, workers))
		}
		said, err := j.Comm.AllGatherBytes(ctx, []byte(text))
		switch {
		case err != nil:
			return err
		case text != "":
			return &MemoryError{total, free, text}
		}
		return &barrier.PeerError{Rank: rank, Text: string(said[rank])}
	}
}

// claims gathers what every rank claims.
func (j *Job) claims(ctx context.Context, need int64) ([]claimed, error) {
	mine := claimed{Place: j.Place, Need: need, Free: -1}
	if free, err := j.Backend.FreeBytes(); err == nil {
		mine.Free = free
	}
	return barrier.Exchange(ctx, j.ranks, mine)
}

// shortage finds the first rank in whose place more is claimed than any of its
// workers sees free, and how much that is; -1 where there is enough everywhere.
// It is the same on all ranks.
func shortage(all []claimed) (rank int, total, free int64, workers int) {
	for r, c := range all {
		total, free, workers = 0, -1, 0
		for _, o := range all {
			if o.Place == c.Place {
				total, free, workers = total+o.Need, max(free, o.Free), workers+1
			}
		}
		if free >= 0 && total > free {
			return r, total, free, workers
		}
	}
	return -1, 0, 0, 0
}
