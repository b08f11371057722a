package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What rank 0 does for all may take longer than an operation is waited for: a
// model of 30 GB on its way to a slow disk. Time passes only while every rank
// waits, so a busy machine makes nobody late.
func TestOnLeadTakesItsTime(t *testing.T) {
	c := small(t, nil)
	c.Collective.Timeout = 400 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		onWorld(t, 3, c, func(ctx context.Context, j *Job) error {
			done := false
			err := j.onLead(ctx, func() error {
				time.Sleep(3 * c.Collective.Timeout)
				done = true
				return nil
			})
			if done != (j.Comm.Rank() == 0) {
				t.Errorf("rank %d: done %t", j.Comm.Rank(), done)
			}
			return err
		})
	})
}

// Where one rank fails all end at once, those whose work goes on are told to stop
// it, and each knows who it was.
func TestMeetEndsWithTheFirstFailure(t *testing.T) {
	long(t)
	broken := errors.New("no room on the disk")
	onWorld(t, 3, small(t, nil), func(ctx context.Context, j *Job) error {
		_, err := j.meet(ctx, func(ctx context.Context) ([]byte, error) {
			if j.Comm.Rank() == 1 {
				return nil, broken
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		var lead *LeadError
		switch {
		case j.Comm.Rank() == 1 && !errors.Is(err, broken):
			t.Errorf("rank 1: %v", err)
		case j.Comm.Rank() != 1 && (!errors.As(err, &lead) || lead.Rank != 1 || lead.Text != broken.Error()):
			t.Errorf("rank %d: %v", j.Comm.Rank(), err)
		}
		return nil
	})
}
