package barrier

import (
	"cmp"
	"context"
	"errors"
	"syscall"
	"time"
)

// mostSilence is the longest time between two words of a rank that still works.
const mostSilence = 2 * time.Second

// word is what a rank tells the others in one round of a barrier.
type word struct {
	Running bool           `json:"r,omitempty"`
	Failed  string         `json:"f,omitempty"` // why it failed
	Stopped bool           `json:"s,omitempty"` // it ended because of a signal
	Asked   syscall.Signal `json:"a,omitempty"` // by which it was asked to end
}

// Barrier runs f on every rank and gives all of them what each rank's f gave, by
// rank, or the first failure: the rank's own as it is, another's as a *PeerError. A
// download, a model's way to the disk or a rank's answers may take longer than any
// operation is waited for, so the ranks exchange words until all have ended. f must
// not communicate but by a communicator of its own. All ranks call it.
//
// Once any rank is asked to end, the context of f ends on all of them. Where f
// gives up because of it on any, all are Interrupted; an f that does not heed its
// context does its work to the end, and so does the barrier.
func (g *Group) Barrier(ctx context.Context, f func(context.Context) ([]byte, error)) ([][]byte, error) {
	work, cancel := context.WithCancelCause(ctx)
	if s := g.Asked(); s != 0 {
		cancel(&Interrupted{Signal: s})
	} else if g.opt.Asked != nil {
		defer context.AfterFunc(g.opt.Asked, func() { cancel(&Interrupted{Signal: g.Asked()}) })()
	}
	var own []byte
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		own, failed = f(work)
	}()
	// The work ends before Barrier returns: what it writes to is its caller's.
	defer func() {
		cancel(context.Canceled)
		<-ended
	}()
	for {
		var mine word
		select {
		case <-ended:
			mine = lastWord(work, failed)
		case <-time.After(g.every):
			mine.Running = true
		}
		mine.Asked = cmp.Or(mine.Asked, g.Asked())
		all, err := Exchange(ctx, g, mine)
		switch {
		case mine.Failed != "":
			return nil, failed
		case err != nil && mine.Stopped: // the peers were asked as well, and did not wait
			return nil, g.interrupted(mine.Asked)
		case err != nil:
			return nil, err
		}
		r, err := round(all)
		switch {
		case err != nil:
			return nil, err
		case r.Stopped:
			return nil, g.interrupted(r.Asked)
		case r.Asked != 0:
			cancel(&Interrupted{Signal: r.Asked})
		}
		if !r.Running {
			return g.comm.AllGatherBytes(ctx, own)
		}
	}
}

// lastWord is that of a rank whose work has ended, with err.
func lastWord(work context.Context, err error) (w word) {
	if by := gaveUp(work, err); by != 0 {
		w.Stopped, w.Asked = true, by
	} else if err != nil {
		w.Failed = cmp.Or(err.Error(), "failed")
	}
	return w
}

// round is what all ranks say together in one round: what is true of any, and the
// failure of the lowest that failed. It is the same on all ranks.
func round(all []word) (sum word, err error) {
	for r, w := range all {
		if w.Failed != "" {
			return sum, &PeerError{Rank: r, Text: w.Failed}
		}
		sum.Asked = cmp.Or(sum.Asked, w.Asked)
		sum.Running, sum.Stopped = sum.Running || w.Running, sum.Stopped || w.Stopped
	}
	return sum, nil
}

// gaveUp is the signal by which work ended, where err says no more than that it
// ended; else 0.
func gaveUp(work context.Context, err error) syscall.Signal {
	var i *Interrupted
	if err == nil || !errors.As(context.Cause(work), &i) || !errors.Is(err, context.Canceled) && !errors.As(err, &i) {
		return 0
	}
	return i.Signal
}

// Each is Barrier for work that gives nothing but an error.
func (g *Group) Each(ctx context.Context, f func(context.Context) error) error {
	_, err := g.Barrier(ctx, func(ctx context.Context) ([]byte, error) { return nil, f(ctx) })
	return err
}

// OnRank0 runs f on rank 0 while the others wait, and gives all of them its
// error, so that none goes on without what f was to make. What f has begun it
// does to its end, also when a rank is asked to end meanwhile.
func (g *Group) OnRank0(ctx context.Context, f func() error) error {
	return g.Each(ctx, func(context.Context) error {
		if g.Rank() == 0 {
			return f()
		}
		return nil
	})
}
