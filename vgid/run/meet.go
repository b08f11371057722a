package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// meetEvery is how often workers tell each other that they still work on
// something the others wait for: at least that often.
const meetEvery = 2 * time.Second

// word is what a rank tells the others when they meet.
type word struct {
	Running bool           `json:"r,omitempty"`
	Failed  string         `json:"f,omitempty"` // why it failed
	Stopped bool           `json:"s,omitempty"` // it ended because of a signal
	Asked   syscall.Signal `json:"a,omitempty"` // by which it was asked to end
}

// meet runs f on every rank and gives all of them what each rank's f gave, or the
// first failure. A download, a model's way to the disk or a rank's answers may take
// longer than any operation is waited for, so the ranks meet until all have ended.
// f must not communicate. All ranks call it.
//
// Once any rank is asked to end, the context of f ends on all of them. Where f
// gives up because of it on any, all are Interrupted; an f that does not heed its
// context does its work to the end, and so does meet.
func (j *Job) meet(ctx context.Context, f func(context.Context) ([]byte, error)) ([][]byte, error) {
	work, cancel := context.WithCancelCause(ctx)
	if s := j.request(); s != 0 {
		cancel(&Interrupted{Signal: s})
	} else if j.Asked != nil {
		defer context.AfterFunc(j.Asked, func() { cancel(&Interrupted{Signal: j.request()}) })()
	}
	var own []byte
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		own, failed = f(work)
	}()
	defer func() {
		cancel(context.Canceled)
		<-ended
	}()
	every := meetEvery
	if t := j.Config.Collective.Timeout; t > 0 {
		every = min(every, t/4)
	}
	for {
		var mine word
		select {
		case <-ended:
			if by := gaveUp(work, failed); by != 0 {
				mine.Stopped, mine.Asked = true, by
			} else if failed != nil {
				mine.Failed = cmp.Or(failed.Error(), "failed")
			}
		case <-time.After(every):
			mine.Running = true
		}
		mine.Asked = cmp.Or(mine.Asked, j.request())
		all, err := exchange(ctx, j, mine)
		switch {
		case mine.Failed != "":
			return nil, failed
		case err != nil && mine.Stopped: // the peers were asked as well, and did not wait
			return nil, j.interrupted(mine.Asked)
		case err != nil:
			return nil, err
		}
		var running, stopped bool
		var asked syscall.Signal
		for r, w := range all {
			if w.Failed != "" {
				return nil, &LeadError{Rank: r, Text: w.Failed}
			}
			asked = cmp.Or(asked, w.Asked)
			running, stopped = running || w.Running, stopped || w.Stopped
		}
		switch {
		case stopped:
			return nil, j.interrupted(asked)
		case asked != 0:
			cancel(&Interrupted{Signal: asked})
		}
		if !running {
			return j.Comm.AllGatherBytes(ctx, own)
		}
	}
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

// onLead runs f on rank 0 while the others wait, and gives all of them its
// error, so that none goes on without what f was to make. What f has begun it
// does to its end, also when a rank is asked to end meanwhile.
func (j *Job) onLead(ctx context.Context, f func() error) error {
	_, err := j.meet(ctx, func(context.Context) ([]byte, error) {
		if j.lead() {
			return nil, f()
		}
		return nil, nil
	})
	return err
}

// LeadError is what the other ranks get when one, mostly rank 0, failed at
// something that all wait for.
type LeadError struct {
	Rank int
	Text string
}

func (e *LeadError) Error() string { return fmt.Sprintf("rank %d: %s", e.Rank, e.Text) }
