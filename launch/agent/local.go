//go:build unix

package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"vgid/launch/job"
)

// RunLocal runs a whole job on this machine: one agent process per node, each
// with o.Procs workers, which meet over loopback as machines would over a
// network. The running program starts itself again as agents; its main must
// call Child first.
func RunLocal(ctx context.Context, o Options, io IO) (job.Outcome, error) {
	if err := o.Check(); err != nil {
		return job.Outcome{}, err
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
			return job.Outcome{}, fmt.Errorf("cannot start the agent of node%d: %w", i, err)
		}
	}
	return l.loop(ctx)
}

// local is the launcher of agents on one machine. What their answers amount to
// is decided by results; this carries it out.
type local struct {
	o        Options
	io       IO
	children []*child
	results  results
	answers  chan childAnswer
	wg       sync.WaitGroup
}

// child is one agent process.
type child struct {
	cmd   *exec.Cmd
	in    *os.File // of its orders
	addr  string
	still job.Standstill
	stood time.Duration // it was killed because it stood still for so long
}

// childAnswer is an answer of an agent, or its end.
type childAnswer struct {
	node int
	answer
	died error // the process is gone, and how
}

// start runs this program again as the agent of a node. Orders and answers cross
// pipes, which end with either side: so each learns of the other's death.
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
	node := fmt.Sprintf("node%d", i)
	c := &child{in: inW, cmd: exec.Command(exe)} //nolint:noctx // it ends by an order, or when the pipe of orders does
	c.cmd.Args = []string{"vgid-launch agent " + node}
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
	l.results.add(node)
	// One reader for both the answers and the end of the process: the end is then
	// never told before an answer that was given.
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
			err = errors.New("exit status 0")
		}
		l.answers <- childAnswer{node: i, died: err}
	})
	// The port is any free one, as all nodes share this machine; and one agent is
	// enough to say how things go.
	o := l.o
	o.Node, o.Index, o.Port = node, i, 0
	o.Quiet = o.Quiet || i > 0
	o.MachineWorkers = l.o.Nodes * l.o.Procs
	o.Watched = canWatch
	return c.order(order{Options: &o})
}

// order writes one line; the pipe holds what the agent has not read yet.
func (c *child) order(o order) error {
	return json.NewEncoder(c.in).Encode(o)
}

// loop lets the agents run until the result of each is known.
func (l *local) loop(ctx context.Context) (job.Outcome, error) {
	var late <-chan time.Time // when to stop waiting for agents that others are done with
	look := time.NewTicker(job.LookEvery)
	defer look.Stop()
	for l.results.open() {
		select {
		case now := <-look.C:
			l.look(now)
		case <-ctx.Done():
			return job.Outcome{}, context.Cause(ctx)
		case <-late:
			l.fence(l.results.fence())
		// Every agent is told, not one: the job may not have begun, and then no
		// agent would pass it on.
		case s := <-l.io.Signals:
			for _, c := range l.children {
				_ = c.order(order{Signal: int(s)}) // one that is gone needs none
			}
		case a := <-l.answers:
			l.take(a)
			if l.results.out != nil && late == nil {
				late = time.After(l.o.Grace + job.StopFor)
			}
		}
	}
	return l.results.outcome()
}

// take does what an answer calls for.
func (l *local) take(a childAnswer) {
	c := l.children[a.node]
	if a.Addr != "" {
		c.addr = a.Addr
		if l.tellSeeds() {
			l.results.joined = true
		}
		return
	}
	fenced, release := l.results.take(a.node, a.answer, a.died, c.stood)
	l.fence(fenced)
	if release {
		for _, c := range l.children {
			c.in.Close() // the end of its orders ends an agent
		}
	}
}

// fence kills agents that the others have gone on without, and their workers
// with them: a machine may not compute for a job that has given it up.
func (l *local) fence(nodes []int) {
	for _, n := range nodes {
		l.children[n].cmd.Process.Kill() // fails only when it has just ended
	}
}

// look kills agents that stand still, which the others would take longer to
// notice.
func (l *local) look(now time.Time) {
	for i, c := range l.children {
		if l.results.known(i) {
			continue
		}
		if stood := c.still.Look(now, stopped(c.cmd.Process.Pid)); stood >= l.o.StandFor && c.stood == 0 {
			c.stood = stood
			c.cmd.Process.Kill() // fails only when it has just ended
		}
	}
}

// tellSeeds tells every agent some addresses, once all are known. Joining
// several at once settles faster than gossip from one seed; joining everybody
// would cost the square of their number.
func (l *local) tellSeeds() bool {
	var all []string
	for _, c := range l.children {
		if c.addr == "" {
			return false
		}
		all = append(all, c.addr)
	}
	for i, c := range l.children[1:] {
		_ = c.order(order{Join: seeds(all[:i+1])}) // one that is gone gave its answer
	}
	return true
}

// seeds picks up to four of those that are there before: the first,
// the latest, and two in between.
func seeds(before []string) []string {
	n := len(before)
	if n <= 4 {
		return before
	}
	return []string{before[0], before[n/4], before[n/2], before[n-1]}
}
