package collective_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/flight"
	"vgid/collective/frame"
	"vgid/collective/mem"
)

// recorded runs a world in virtual time and merges what its ranks recorded.
func recorded(t *testing.T, n int, opt collective.Options, faults []mem.Fault, f func(c *collective.Comm) error) (s flight.Story, all []collective.Record) {
	var mu sync.Mutex
	opt.Job, opt.Epoch = "job", 1
	opt.OnFailure = func(r collective.Record) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r)
	}
	world(t, n, opt, faults, f)
	if len(all) == 0 {
		return s, nil
	}
	s, err := flight.Merge(all)
	if err != nil {
		t.Fatal(err)
	}
	return s, all
}

// Whatever ends a job, every rank that lives records its calls, once, and together
// they tell what happened.
func TestRecordsTellTheStory(t *testing.T) {
	ctx := context.Background()
	reduce := func(c *collective.Comm, n int) error {
		return c.AllReduce(ctx, collective.F32(make([]float32, n)), collective.Sum)
	}
	for _, c := range []struct {
		name    string
		faults  []mem.Fault
		f       func(c *collective.Comm) error
		records int
		want    string
	}{
		{"a late rank", nil, func(c *collective.Comm) error {
			if err := reduce(c, 10); err != nil || c.Rank() == 2 {
				time.Sleep(13 * time.Second)
				return err
			}
			return reduce(c, 100_000)
		}, 4, "rank 2 is past all-reduce #1, all others at all-reduce #2 (sum, f32, 100000 elements) for 12s"},
		{"another call", nil, func(c *collective.Comm) error {
			if err := reduce(c, 10); err != nil || c.Rank() != 1 {
				return reduce(c, 10)
			}
			time.Sleep(time.Second) // all others have come
			return c.Broadcast(ctx, collective.U8(make([]byte, 3)), 2)
		}, 4, "rank 1 made broadcast #2 (u8, 3 elements, root 2), all others made all-reduce #2 (sum, f32, 10 elements), as call #2 of communicator 0"},
		{"a rank that leaves", nil, func(c *collective.Comm) error {
			if err := reduce(c, 10); err != nil || c.Rank() == 3 {
				time.Sleep(time.Second)
				return err
			}
			return reduce(c, 10)
		}, 4, "rank 3 is gone after all-reduce #1, all others at all-reduce #2 (sum, f32, 10 elements) for 1s"},
		{"a message that does not come", nil, func(c *collective.Comm) error {
			if err := reduce(c, 10); err != nil || c.Rank() != 0 {
				time.Sleep(13 * time.Second)
				return err
			}
			_, err := c.Recv(ctx, collective.F32(make([]float32, 3)), 2, 7)
			return err
		}, 4, "rank 2 is past all-reduce #1, rank 0 in recv from rank 2, tag 7 for 12s"},
	} {
		inBubble(t, c.name, func(t *testing.T) {
			s, all := recorded(t, 4, collective.Options{Timeout: 12 * time.Second}, c.faults, c.f)
			if len(all) != c.records || s.Line != c.want {
				t.Errorf("%d records: %q; want %d: %q", len(all), s.Line, c.records, c.want)
			}
		})
	}
}

// A rank that is killed or stands still leaves no record, but the others say where
// they last heard of it.
func TestRecordsOfTheOthers(t *testing.T) {
	for what, kind := range map[string]mem.Kind{"killed": mem.Kill, "frozen": mem.Freeze} {
		inBubble(t, what, func(t *testing.T) {
			// In the second step of the ring's second call, which nobody can have ended or not begun.
			ring := collective.Options{Algorithm: collective.Ring}
			s, _ := recorded(t, 3, ring, []mem.Fault{{From: 1, To: 2, Nth: 5, Kind: kind}}, func(c *collective.Comm) error {
				for {
					time.Sleep(300 * time.Millisecond)
					if err := c.AllReduce(context.Background(), collective.F32(make([]float32, 50_000)), collective.Sum); err != nil {
						return err
					}
				}
			})
			for _, r := range s.Records {
				if r.Rank != 1 && (r.Blames != 1 || len(r.Calls) == 0 || !r.Calls[len(r.Calls)-1].State.Open()) {
					t.Errorf("rank %d blames %d, its calls end with %+v", r.Rank, r.Blames, r.Calls)
				}
			}
		})
	}
}

// What a record holds: the calls of all communicators and messages in the order of
// their ends, with their bytes, then what is open.
func TestRecordOfEveryKind(t *testing.T) {
	ctx := context.Background()
	inBubble(t, "2", func(t *testing.T) {
		_, all := recorded(t, 2, collective.Options{Timeout: time.Second}, nil, func(c *collective.Comm) error {
			half, err := c.Split(ctx, 0, 0)
			if err != nil {
				return err
			}
			b := collective.F64(make([]float64, 4))
			if err := half.AllReduce(ctx, b, collective.Max); err != nil {
				return err
			}
			if c.Rank() == 1 {
				if err := c.Send(ctx, b, 0, 9); err != nil {
					return err
				}
				time.Sleep(2 * time.Second)
				return nil
			}
			if _, err := c.Recv(ctx, b, 1, 9); err != nil {
				return err
			}
			c.Async().Recv(ctx, b, 1, 3)
			c.Async().Barrier(ctx)
			return c.Async().Barrier(ctx).Wait(ctx)
		})
		for _, r := range all {
			if r.Rank != 0 {
				continue
			}
			var got []string
			for _, c := range r.Calls {
				got = append(got, fmt.Sprintf("%s: %s, %d and %d bytes, %s", c.Words(), c.State, c.Sent, c.Received, c.Algorithm))
			}
			n := r.Communicators[1].Number
			const header = frame.HeaderSize
			want := []string{
				fmt.Sprintf("split #2 (i64, 1 elements): ended, %d and %d bytes, tree", 2*header+24, 2*header+16),
				fmt.Sprintf("all-reduce #1 (max, f64, 4 elements) of communicator %d: ended, %d and %d bytes, doubling", n, header+32, header+32),
				fmt.Sprintf("recv from rank 1, tag 9: ended, 0 and %d bytes, ", header+32),
				fmt.Sprintf("barrier #3: waiting, %d and 0 bytes, dissemination", header),
				"barrier: queued, 0 and 0 bytes, ",
				"recv from rank 1, tag 3: running, 0 and 0 bytes, ",
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("recorded\n%q, want\n%q", got, want)
			}
		}
	})
}

// Who is to end a job that hangs has all ranks record their calls, also those that
// are in none; one that works records nothing, and nothing has failed.
func TestStuckRecords(t *testing.T) {
	for name, wait := range map[string]time.Duration{"works": time.Second, "hangs": 7 * time.Second} {
		inBubble(t, name, func(t *testing.T) {
			var mu sync.Mutex
			var errs []error
			s, all := recorded(t, 4, collective.Options{}, nil, func(c *collective.Comm) error {
				if c.Rank() == 2 {
					time.Sleep(20 * time.Second)
				}
				if c.Rank() == 1 {
					time.AfterFunc(wait, func() { c.Stuck("asked to end") })
				}
				err := c.Barrier(context.Background())
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
				return err
			})
			switch {
			case errors.Join(errs...) != nil:
				t.Error(errs)
			case name == "works" && all != nil:
				t.Errorf("%d records", len(all))
			case name == "hangs" && (len(all) != 4 || s.Line != "rank 2 is before its first call, all others at barrier #1 for 7s"):
				t.Errorf("%d records: %q", len(all), s.Line)
			}
			for _, r := range all {
				if r.Cause != "collective: rank 1: asked to end while a call had waited for 7s" || r.Blames != flight.NoRank {
					t.Errorf("rank %d: %q, blames %d", r.Rank, r.Cause, r.Blames)
				}
			}
		})
	}
}

// A job that goes well records nothing.
func TestNoRecordWithoutFailure(t *testing.T) {
	inBubble(t, "3", func(t *testing.T) {
		if _, all := recorded(t, 3, collective.Options{}, nil, func(c *collective.Comm) error { return c.Barrier(context.Background()) }); all != nil {
			t.Errorf("%d records", len(all))
		}
	})
}

// What a call costs more for its record; each of its receives costs what the
// benchmark of package watch says.
func BenchmarkRecord(b *testing.B) {
	c := collective.Solo()
	for b.Loop() {
		collective.NoteCall(c)
	}
}
