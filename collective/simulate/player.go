package simulate

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"vgid/collective"
)

// player does what the ranks of a schedule do, and notes what comes of it. What
// steps are is in steps.go.
type player struct {
	s     *Schedule
	w     *network
	ranks []*played

	mu     sync.Mutex        // guards what follows
	wrong  []string          // results, and what is wrong in all schedules
	told   []told            // by OnLate
	bits   map[string]uint64 // of results that are the same on all ranks
	bitsOf map[string]int    // whose they are
}

// told is what OnLate told.
type told struct {
	by int
	collective.Late
}

// played is what came of a rank.
type played struct {
	done   chan struct{}
	steps  []taken
	closed taken
	kept   []kept
}

// taken is a step that a rank took, or its Close.
type taken struct {
	begin, end time.Duration
	err        error
}

// kept is memory that a call has returned: nobody writes it afterwards.
type kept struct {
	step int
	b    []byte
	sum  uint64
}

func sumOf(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

func (p *player) fail(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// fault is the fault of a kind that befalls a rank in a step, or nil.
func (p *player) fault(k Kind, rank, step int) *Fault {
	for _, f := range p.s.Faults {
		if f.Kind == k && f.Rank == rank && f.Step == step {
			return f
		}
	}
	return nil
}

// strikes notes that a fault of the program happens now.
func (p *player) strikes(f *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.struck, f.struckAt = true, p.w.now()
}

// play is the program of a rank.
func (p *player) play(rank int) {
	me := p.ranks[rank]
	defer close(me.done)
	r := rand.New(rand.NewPCG(p.s.Seed, uint64(ofProgram)<<32|uint64(rank)))
	// Each rank begins at a time of its own, so that their beats never fall together.
	time.Sleep(within(r.Uint64(), 50*time.Millisecond))
	opt := p.s.Options
	opt.OnLate = func(l collective.Late) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told = append(p.told, told{rank, l})
	}
	c, err := collective.New(p.w.ends[rank], opt)
	if err != nil {
		p.fail("rank %d: %v", rank, err)
		return
	}
	defer func() {
		me.closed.begin = p.w.now()
		me.closed.err = c.Close()
		me.closed.end = p.w.now()
		p.w.trace.call(me.closed.end, rank, len(p.s.Steps), "close", me.closed.err)
	}()
	time.Sleep(begin)
	var child *collective.Comm
	if p.s.Colors > 0 {
		me.step(p, rank, -1, "split", func() (err error) {
			child, err = c.Split(context.Background(), rank%p.s.Colors, rank)
			return err
		})
	}
	for i := range p.s.Steps {
		if len(me.steps) > 0 && me.steps[len(me.steps)-1].err != nil {
			break
		}
		st := &p.s.Steps[i]
		busy := within(r.Uint64(), st.Busy) + 1
		if f := p.fault(Late, rank, i); f != nil {
			p.strikes(f)
			busy = f.For
		}
		if f := p.fault(Never, rank, i); f != nil {
			p.strikes(f)
			busy = f.For
		}
		time.Sleep(busy)
		if f := p.fault(EndsEarly, rank, i); f != nil {
			p.strikes(f)
			return
		}
		me.step(p, rank, i, fmt.Sprint(st.Way, " ", st.Job.Call), func() error { return p.take(c, child, st, i) })
	}
	if f := p.fault(OneMore, rank, p.s.Faults[0].Step); f != nil && me.err() == nil {
		p.strikes(f)
		me.step(p, rank, len(p.s.Steps), "one more", func() error { return c.Barrier(context.Background()) })
	}
	time.Sleep(within(r.Uint64(), 50*time.Millisecond))
}

// err is why a rank's last step failed.
func (me *played) err() error {
	if len(me.steps) == 0 {
		return nil
	}
	return me.steps[len(me.steps)-1].err
}

// step notes what comes of one.
func (me *played) step(p *player, rank, i int, what string, do func() error) {
	t := taken{begin: p.w.now()}
	t.err = do()
	t.end = p.w.now()
	p.w.trace.call(t.end, rank, i, what, t.err)
	me.steps = append(me.steps, t)
}
