package vgid

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// meetEvery is how often workers tell each other that they still work on
// something the others wait for: at least that often.
const meetEvery = 2 * time.Second

// meet runs f on every rank and gives all of them what each rank's f gave, or the
// first failure. A download, a model's way to the disk or a rank's answers may take
// longer than any operation is waited for, so the ranks meet until all have ended.
// f must not communicate. All ranks call it.
func (j *Job) meet(ctx context.Context, f func(context.Context) ([]byte, error)) ([][]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	var own []byte
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		own, failed = f(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	every := meetEvery
	if t := j.Config.Collective.Timeout; t > 0 {
		every = min(every, t/4)
	}
	for {
		word := "…"
		running := false
		select {
		case <-ended:
			if word = ""; failed != nil {
				word = "!" + failed.Error()
			}
		case <-time.After(every):
			running = true
		}
		all, err := j.Comm.AllGatherBytes(ctx, []byte(word))
		if !running && failed != nil {
			return nil, failed
		}
		if err != nil {
			return nil, err
		}
		done := true
		for r, w := range all {
			if text, ok := strings.CutPrefix(string(w), "!"); ok {
				return nil, &LeadError{Rank: r, Text: text}
			}
			done = done && len(w) == 0
		}
		if done {
			return j.Comm.AllGatherBytes(ctx, own)
		}
	}
}

// onLead runs f on rank 0 while the others wait, and gives all of them its
// error, so that none goes on without what f was to make.
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
