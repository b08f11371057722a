//go:build unix

package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// envChild marks a process that RunLocal started as an agent.
const envChild = "VGID_LAUNCH_AGENT"

// Descriptors of an agent that RunLocal started.
const (
	childIn  = 3 // lines of order
	childOut = 4 // lines of answer
)

// order tells a child agent what to do; the end of the stream tells it that
// its launcher is gone.
type order struct {
	Options *Options `json:"options,omitempty"`
	Join    []string `json:"join,omitempty"`
	Signal  int      `json:"signal,omitempty"`
}

// answer tells the launcher how a child agent is doing.
type answer struct {
	Addr        string   `json:"addr,omitempty"`
	Outcome     *Outcome `json:"outcome,omitempty"`
	Err         string   `json:"err,omitempty"`
	Interrupted int      `json:"interrupted,omitempty"` // with Err: it was told to stop
}

// RunLocal runs a whole job on this machine: one agent process per node, each
// with o.Procs workers, which meet over loopback as machines would over a
// network. The running program starts itself again as agents; its main must
// call Child first.
func RunLocal(ctx context.Context, o Options, io IO) (Outcome, error) {
	if err := o.Check(); err != nil {
		return Outcome{}, err
	}
	if o.Nodes == 1 {
		return Run(ctx, o, io)
	}
	if len(o.Secret) == 0 {
		o.Secret = []byte(rand.Text()) // the agents get it by their pipes
	}
	l := &local{o: o, io: io, answers: make(chan childAnswer, 2*o.Nodes)}
	defer func() {
		for _, c := range l.children {
			c.in.Close()
		}
		l.wg.Wait()
	}()
	for i := range o.Nodes {
		if err := l.start(i); err != nil {
			return Outcome{}, fmt.Errorf("cannot start the agent of node%d: %w", i, err)
		}
	}
	return l.loop(ctx)
}

type local struct {
	o        Options
	io       IO
	children []*child
	answers  chan childAnswer
	wg       sync.WaitGroup
}

type child struct {
	node  string
	cmd   *exec.Cmd
	in    *os.File
	addr  string
	final bool // its outcome, error or end is known
	gone  bool // the process has ended
	still standstill
	stood time.Duration // it was killed because it stood still for so long
}

type childAnswer struct {
	node int
	answer
	died error // the process is gone, and how
}

func (l *local) start(i int) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer inR.Close()
	outR, outW, err := os.Pipe()
	if err != nil {
		inW.Close()
		return err
	}
	defer outW.Close()
	c := &child{node: fmt.Sprintf("node%d", i), in: inW, cmd: exec.Command(exe)} //nolint:noctx // it ends by an order, or when the pipe of orders does
	c.cmd.Args = []string{"vgid-launch agent " + c.node}
	c.cmd.Env = append(os.Environ(), envChild+"=1")
	c.cmd.Stdout, c.cmd.Stderr = l.io.Stdout, l.io.Stderr
	c.cmd.ExtraFiles = []*os.File{inR, outW}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches it through us, once
	if err := c.cmd.Start(); err != nil {
		inW.Close()
		outR.Close()
		return err
	}
	l.children = append(l.children, c)
	l.wg.Go(func() {
		defer outR.Close()
		lines := bufio.NewScanner(outR)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var a answer
			if err := json.Unmarshal(lines.Bytes(), &a); err == nil {
				l.answers <- childAnswer{node: i, answer: a}
			}
		}
		err := c.cmd.Wait()
		if err == nil {
			err = errors.New("ended")
		}
		l.answers <- childAnswer{node: i, died: err}
	})
	o := l.o
	o.Node, o.Index, o.Port = c.node, i, 0
	o.Quiet = o.Quiet || i > 0
	o.MachineWorkers = l.o.Nodes * l.o.Procs
	o.Watched = canWatch
	return c.order(order{Options: &o})
}

func (c *child) order(o order) error {
	return json.NewEncoder(c.in).Encode(o)
}

// fate is what the answers of the agents amount to.
type fate struct {
	out     *Outcome
	failure error
	died    *Cause // an agent that ended without an answer
	met     bool   // the agents know of each other
}

// loop lets the agents run until the fate of each is known.
func (l *local) loop(ctx context.Context) (Outcome, error) {
	var f fate
	var laggards <-chan time.Time // when to stop waiting for agents that others are done with
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for open := len(l.children); open > 0; {
		select {
		case now := <-look.C:
			l.look(now)
		case <-ctx.Done():
			return Outcome{}, context.Cause(ctx)
		case <-laggards:
			open -= l.fence(func(*child) bool { return true })
		case s := <-l.io.Signals:
			for _, c := range l.children {
				_ = c.order(order{Signal: int(s)}) // one that is gone needs none
			}
		case a := <-l.answers:
			open -= l.take(&f, a)
			if f.out != nil && laggards == nil {
				laggards = time.After(l.o.Grace + straggle)
			}
		}
	}
	switch {
	case f.died != nil: // no worker can bring an agent down: nothing comes before it
		return Outcome{Cause: f.died}, nil
	case f.failure != nil:
		return Outcome{}, f.failure
	}
	return *f.out, nil
}

// take adds an answer to the fate, and gives the number of agents that need not
// be waited for any more.
func (l *local) take(f *fate, a childAnswer) int {
	c := l.children[a.node]
	c.gone = c.gone || a.died != nil
	known := 1
	switch {
	case c.final:
		return 0
	case a.Addr != "":
		c.addr = a.Addr
		f.met = l.introduce() || f.met
		return 0
	case a.Outcome != nil:
		if f.out == nil || f.out.Cause == nil {
			f.out = a.Outcome
		}
		if lost := a.Outcome.Cause; lost != nil && lost.Rank < 0 {
			known += l.fence(func(o *child) bool { return o.node == lost.Node })
		}
	case a.Err != "":
		if f.failure == nil {
			f.failure = errors.New(a.Err)
			if a.Interrupted != 0 {
				f.failure = ErrInterrupted{syscall.Signal(a.Interrupted)}
			}
		}
		l.dismiss()
	case earlyEnd(a.died) != 0:
		// Whoever ends all processes of a job may do so before the
		// agent is deaf to it, and then no worker runs yet.
		if f.failure == nil {
			f.failure = ErrInterrupted{earlyEnd(a.died)}
		}
		l.dismiss()
	default:
		if f.died == nil {
			how := fmt.Sprintf("ended early (%v)", a.died)
			if c.stood > 0 {
				how = fmt.Sprintf("stood still for %v, stopped by a signal (as SIGSTOP), and was killed", c.stood.Round(time.Second/10))
			}
			f.died = &Cause{Rank: -1, Node: c.node, Code: 1, Text: fmt.Sprintf("node %s was lost: its agent process %s", c.node, how)}
		}
		if !f.met {
			l.dismiss() // nobody would notice
		}
	}
	c.final = true
	return known
}

// look kills agents that stand still, which the others would take longer to
// notice.
func (l *local) look(now time.Time) {
	for _, c := range l.children {
		if c.final || c.gone {
			continue
		}
		if stood := c.still.look(now, stopped(c.cmd.Process.Pid)); stood >= standFor && c.stood == 0 {
			c.stood = stood
			c.cmd.Process.Kill() // fails only when it has just ended
		}
	}
}

// earlyEnd is the signal that asks a job to end, if an agent died by one.
func earlyEnd(died error) syscall.Signal {
	var e *exec.ExitError
	if errors.As(died, &e) {
		if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() && endsJob(ws.Signal()) {
			return ws.Signal()
		}
	}
	return 0
}

// fence kills the agents chosen whose fate is open, and their workers with
// them: the others have gone on without. It returns how many.
func (l *local) fence(choose func(*child) bool) int {
	n := 0
	for _, c := range l.children {
		if !c.final && !c.gone && choose(c) {
			c.cmd.Process.Kill() // fails only when it has just ended
			c.final = true
			n++
		}
	}
	return n
}

// introduce tells every agent some addresses, once all are known. Joining
// several at once settles faster than gossip from one seed; joining everybody
// would cost the square of their number.
func (l *local) introduce() bool {
	var all []string
	for _, c := range l.children {
		if c.addr == "" {
			return false
		}
		all = append(all, c.addr)
	}
	for i, c := range l.children[1:] {
		_ = c.order(order{Join: acquaintances(all[:i+1])}) // one that is gone gave its answer
	}
	return true
}

// acquaintances picks up to four of those that are there before: the first,
// the latest, and two in between.
func acquaintances(before []string) []string {
	n := len(before)
	if n <= 4 {
		return before
	}
	return []string{before[0], before[n/4], before[n/2], before[n-1]}
}

// dismiss lets the remaining agents go.
func (l *local) dismiss() {
	for _, c := range l.children {
		c.in.Close()
	}
}

// Child runs this process as an agent if RunLocal started it as one, and
// reports whether that was so; then the program has to end.
func Child() bool {
	if os.Getenv(envChild) == "" {
		return false
	}
	os.Unsetenv(envChild)
	// Schedulers signal every process they find. This one takes its orders from
	// the launcher, which hears the same and whose end closes the pipe.
	deafen(Signals()...)
	SurvivePipe()
	syscall.CloseOnExec(childIn)
	syscall.CloseOnExec(childOut)
	in, out := os.NewFile(childIn, "orders"), os.NewFile(childOut, "answers")
	defer out.Close()
	say := func(a answer) { _ = json.NewEncoder(out).Encode(a) } // a launcher that is gone needs none
	orders := json.NewDecoder(in)
	var first order
	if err := orders.Decode(&first); err != nil || first.Options == nil {
		say(answer{Err: fmt.Sprintf("agent got no options: %v", err)})
		return true
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals, join := make(chan syscall.Signal), make(chan []string)
	// Ends with the process: nothing else can wake a read of the pipe.
	go func() {
		for {
			var o order
			if err := orders.Decode(&o); err != nil {
				// The launcher is gone. End as if asked to, then for good.
				if !errors.Is(err, io.EOF) {
					fmt.Fprintf(os.Stderr, "vgid-launch: orders of the launcher: %v\n", err)
				}
				offer(ctx, signals, syscall.SIGTERM)
				select {
				case <-time.After(first.Options.Grace):
				case <-ctx.Done():
				}
				cancel(errors.New("the launcher is gone"))
				return
			}
			if o.Join != nil {
				offer(ctx, join, o.Join)
			}
			if o.Signal != 0 {
				offer(ctx, signals, syscall.Signal(o.Signal))
			}
		}
	}()
	res, err := Run(ctx, *first.Options, IO{Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals, join: join,
		listening: func(addr string) { say(answer{Addr: addr}) }})
	if err != nil {
		a := answer{Err: err.Error()}
		var intr ErrInterrupted
		if errors.As(err, &intr) {
			a.Interrupted = int(intr.Signal)
		}
		say(a)
		return true
	}
	say(answer{Outcome: &res})
	return true
}

func offer[T any](ctx context.Context, c chan<- T, v T) {
	select {
	case c <- v:
	case <-ctx.Done():
	}
}
