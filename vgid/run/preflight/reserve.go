package preflight

import (
	"context"
	"runtime/debug"

	"vgid/model/backend"
	"vgid/vgid/config"
	"vgid/vgid/run/barrier"
)

// Check compares what the ranks need with what is free where they work.
type Check struct {
	Ranks   *barrier.Group
	Backend backend.Backend // the device that the work is for; nothing is taken of it
	Place   string          // ranks that say the same share its memory
	Spell   config.Spelling // of settings that are advised
}

// request is what a rank needs of the memory that it shares with others.
type request struct {
	Place string
	Need  int64
	Free  int64 // there, as this rank sees it; -1 where that is not known
}

// Reserve refuses work that takes more memory than the workers of a place have
// between them, before any of it is taken, with a *MemoryError on the lowest rank
// that lacks it and a *barrier.PeerError that tells it on the others. advise says
// what would help with so much memory and so many workers. All ranks call it.
func (c *Check) Reserve(ctx context.Context, work string, need int64, advise func(ctx context.Context, free int64, workers int) Advice) error {
	short, rank, err := c.compare(ctx, need)
	if err == nil && rank >= 0 {
		// What stages before this one left behind does not count: it is given back, and
		// all look again.
		debug.FreeOSMemory()
		short, rank, err = c.compare(ctx, need)
	}
	if err != nil || rank < 0 {
		return err
	}
	// To try settings takes as long as many estimates.
	said, err := c.Ranks.Barrier(ctx, func(ctx context.Context) ([]byte, error) {
		if rank != c.Ranks.Rank() {
			return nil, nil
		}
		short.Work, short.Mapped, short.spell = work, c.Backend.Traits().Adopts, c.Spell
		short.Advice = advise(ctx, short.Free, short.Workers)
		return []byte(short.Error()), context.Cause(ctx)
	})
	switch {
	case err != nil:
		return err
	case rank == c.Ranks.Rank():
		return short
	}
	return &barrier.PeerError{Rank: rank, Text: string(said[rank])}
}

// compare gathers what every rank needs and sees free, and gives the lowest rank whose
// place has too little, -1 where there is enough everywhere. All ranks get the same.
func (c *Check) compare(ctx context.Context, need int64) (*MemoryError, int, error) {
	mine := request{Place: c.Place, Need: need, Free: -1}
	if free, err := c.Backend.FreeBytes(); err == nil {
		mine.Free = free
	}
	all, err := barrier.Exchange(ctx, c.Ranks, mine)
	if err != nil {
		return nil, 0, err
	}
	short, rank := shortage(all)
	return short, rank, nil
}

// shortage finds the first rank in whose place more is needed than any of its workers
// sees free; -1 where there is enough everywhere.
func shortage(all []request) (*MemoryError, int) {
	for r, c := range all {
		e := &MemoryError{Free: -1}
		for _, o := range all {
			if o.Place == c.Place {
				e.Need, e.Free, e.Workers = e.Need+o.Need, max(e.Free, o.Free), e.Workers+1
			}
		}
		if e.Free >= 0 && e.Need > e.Free {
			return e, r
		}
	}
	return nil, -1
}
