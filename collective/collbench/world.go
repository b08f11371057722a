package collbench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"vgid/collective"
	"vgid/model/kit/measure/bench"
)

// task is what the processes of a world do in a turn.
type task struct {
	Call   call
	DType  collective.DType
	Count  int // elements of the longest buffer
	Warm   int // rounds that come first and do not count
	Rounds int
	Check  bool // the call is made once before, and its result compared
}

// taskWords is how many words a task has. All programs read the same words, those in testdata
// too.
const taskWords = 6

func (t task) words() []any {
	check := 0
	if t.Check {
		check = 1
	}
	return []any{t.Call.name, t.DType, t.Count, t.Warm, t.Rounds, check}
}

// hello is what a process says when all of its world have met.
type hello struct {
	Version string `json:"version"` // of a peer
}

// answer is what a process has to say of a task.
// Seconds has a round each, the same rounds on all ranks, so that they can be compared one
// by one.
type answer struct {
	Seconds     []float64 `json:"seconds"`
	CPU         float64   `json:"cpu"` // seconds of processor time in all rounds
	Connections int       `json:"connections"`
	Shared      int       `json:"shared"` // connections through shared memory
	Algorithm   string    `json:"algorithm,omitempty"`
	Peak        int64     `json:"peak_rss_bytes"`
	Error       string    `json:"error,omitempty"`
	Lacks       string    `json:"lacks,omitempty"` // why the program has no such call
}

// world is processes that make calls together.
//
// What must always hold: they are asked the same tasks in the same order, and have no work
// between tasks; when one of them fails, all are ended; and none is left after close.
type world struct {
	name        string
	way         way // of ours
	ranks       int
	peers       []*bench.Peer // one for each rank, or one that speaks for all
	version     string
	met         float64 // seconds from the start until all had met
	connections int     // of the rank with the most
	shared      int     // connections through shared memory, likewise
	peak        int64   // resident bytes of the largest process
	// delayed says that messages take a while, so that ranks leave a barrier at different times: by up to the delay, and
	// the one that is early waits as much longer for the others. A call's time is then the mean of the ranks'.
	delayed bool
	ctx     context.Context
	cancel  context.CancelFunc
}

// way is how ranks of ours make calls: by a transport, and by an algorithm, or one that they choose.
type way struct {
	Transport string `json:"transport"`
	Algorithm string `json:"algorithm"`
}

func (w way) String() string {
	if w.Algorithm == Algorithms[0] {
		return w.Transport
	}
	return w.Transport + ", " + w.Algorithm
}

// straggle is how long other ranks may take to end a task that one failed in.
const straggle = 2 * time.Second

// starter starts the process of a rank.
type starter func(rank int, cmd *exec.Cmd) error

// here starts it as any other.
func here(_ int, cmd *exec.Cmd) error { return cmd.Start() }

// startWorld starts processes and waits until they have met. They are made with the context that commands is
// given, which ends them.
func startWorld(ctx context.Context, name string, ranks int, start starter, commands func(context.Context) ([]*exec.Cmd, error)) (*world, error) {
	w := &world{name: name, ranks: ranks}
	w.ctx, w.cancel = context.WithCancel(ctx)
	cmds, err := commands(w.ctx)
	if err != nil {
		w.cancel()
		return nil, err
	}
	w.peers = make([]*bench.Peer, len(cmds))
	hellos := make([]hello, len(cmds))
	begin := time.Now()
	err = w.each(func(r int) (err error) {
		cmds[r].WaitDelay = 5 * time.Second // for what a process started itself
		w.peers[r], err = bench.StartBy(func(c *exec.Cmd) error { return start(r, c) }, cmds[r], &hellos[r])
		return err
	})
	if err != nil {
		w.close()
		return nil, err
	}
	w.met = time.Since(begin).Seconds()
	for _, h := range hellos {
		w.version = h.Version
	}
	return w, nil
}

// each does something for every process at the same time. The first error counts: what comes after it
// on other ranks comes of it.
func (w *world) each(do func(r int) error) error {
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	for r := range w.peers {
		wg.Go(func() {
			err := do(r)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first != nil {
				return
			}
			if first = err; len(w.peers) > 1 {
				first = fmt.Errorf("rank %d of %d: %w", r, w.ranks, err)
			}
			late := time.AfterFunc(straggle, w.cancel)
			context.AfterFunc(w.ctx, func() { late.Stop() })
		})
	}
	wg.Wait()
	return first
}

// sample is what a world measured in a turn.
type sample struct {
	Seconds []float64 // of the slowest rank in each round; over a network with a delay, the mean of the ranks
	CPU     float64   // seconds of processor time of all ranks in all rounds
	// Algorithm is what ours took.
	Algorithm string
}

// lackError says that a program has no such call.
type lackError struct{ why string }

func (e *lackError) Error() string { return e.why }

// measure has a task done.
func (w *world) measure(t task) (s sample, err error) {
	answers := make([]answer, len(w.peers))
	err = w.each(func(r int) error {
		a := &answers[r]
		if err := w.peers[r].Ask(a, t.words()...); err != nil {
			return err
		}
		switch {
		case a.Error != "":
			return errors.New(a.Error)
		case a.Lacks == "" && len(a.Seconds) != t.Rounds:
			return fmt.Errorf("it measured %d rounds of %d", len(a.Seconds), t.Rounds)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	for r, a := range answers {
		if a.Lacks != "" {
			return s, &lackError{a.Lacks}
		}
		if r == 0 {
			s.Seconds, s.Algorithm = slices.Clone(a.Seconds), a.Algorithm
		}
		for k, t := range a.Seconds {
			if w.delayed {
				s.Seconds[k] += (t - s.Seconds[k]) / float64(r+1)
			} else {
				s.Seconds[k] = max(s.Seconds[k], t)
			}
		}
		s.CPU += a.CPU
		w.connections, w.shared, w.peak = max(w.connections, a.Connections), max(w.shared, a.Shared), max(w.peak, a.Peak)
	}
	return s, nil
}

// close ends the processes, all at the same time: there may be many.
func (w *world) close() {
	var wg sync.WaitGroup
	for _, p := range w.peers {
		if p != nil {
			wg.Go(p.Close)
		}
	}
	wg.Wait()
	w.cancel()
}
