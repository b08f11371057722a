//go:build unix

package agent

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"vgid/launch/discovery"
	"vgid/launch/job"
	"vgid/launch/option"
	"vgid/launch/view"
)

// IO connects an agent to its surroundings.
type IO struct {
	Stdout, Stderr *os.File // of the workers
	// Say takes what a person should know of the course of things: a line, as an
	// error because it may speak of settings. It may be nil.
	Say func(line error)
	// Signals to this launcher. The first SIGINT, SIGTERM or SIGHUP goes to all
	// workers of the job, which then have Options.Grace to end; a second SIGINT
	// kills them. SIGUSR1 and SIGUSR2 go to the workers of this node.
	Signals <-chan syscall.Signal
	// listening is told the agent's address as soon as it has one.
	listening func(addr string)
	// join delivers addresses to join that were not known at the start.
	join <-chan []string
}

// flushFor is how long messages that are under way when this agent ends have to
// arrive.
const flushFor = time.Second

// agent carries out what its job.Machine decides: it has the sockets, the
// processes and the time. Only its loop touches the machine.
//
// What must always hold: every event becomes one call of the machine, with the
// time at which it was taken; its effects are carried out at once and in their
// order, before the next event; and nothing that this agent started, process or
// goroutine, outlives Run.
type agent struct {
	o       *Options
	io      IO
	self    view.Member
	machine *job.Machine
	post    *post // nil for a single node
	socks   []*net.TCPListener
	workers []*worker
	exits   chan job.Exit
	end     *job.End

	joinErr  chan error
	unjoined atomic.Pointer[error] // why joining has not succeeded yet
	wg       sync.WaitGroup
	ctx      context.Context
}

// Run brings the nodes together, runs this node's workers, and returns when
// the whole job has ended. An error means that the job did not start; how a
// started job ended is in the Outcome. When ctx ends the workers are killed.
func Run(ctx context.Context, o Options, io IO) (job.Outcome, error) {
	if err := o.Check(); err != nil {
		return job.Outcome{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &agent{o: &o, io: io, exits: make(chan job.Exit, o.Procs), joinErr: make(chan error, 1), ctx: ctx}
	defer func() {
		// In this order: what waits in the background is woken, then the workers
		// end, then the others hear of it, as long as there is a node to tell them.
		cancel()
		for _, w := range a.workers {
			w.signal(syscall.SIGKILL)
		}
		for _, l := range a.socks {
			l.Close() // those not handed over
		}
		if a.post != nil {
			a.post.close(a.machine.Complete())
		}
		a.wg.Wait()
	}()
	if err := a.listen(); err != nil {
		return job.Outcome{}, err
	}
	return a.loop()
}

// listen binds the workers' sockets and the agent's, and announces them.
func (a *agent) listen() error {
	o := a.o
	// A new name for every incarnation: gossip would take a name that comes back
	// for a conflict.
	self := view.Member{ID: fmt.Sprintf("%s/%s/%.10s", o.Job, o.Node, rand.Text()), Node: o.Node, Index: o.Index, Nodes: o.Nodes}
	for i := range o.Procs {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(o.BindAddr)})
		if err != nil {
			return option.Errorf("cannot listen for worker %d: %w; give %v an address of this machine", i, err, option.BindAddr)
		}
		a.socks = append(a.socks, l)
		self.Addrs = append(self.Addrs, net.JoinHostPort(o.AdvertiseAddr, fmt.Sprint(l.Addr().(*net.TCPAddr).Port)))
	}
	a.self = self
	a.machine = job.New(job.Config{Job: o.Job, Self: self, Token: rand.Text(), Grace: o.Grace, StandFor: o.StandFor, Watched: o.Watched})
	if o.Nodes == 1 {
		return nil // nobody to find
	}
	meta, err := announce(self)
	if err != nil {
		return err
	}
	node, err := discovery.Start(discovery.Config{ID: self.ID, Job: o.Job, BindAddr: o.BindAddr, Port: o.Port,
		AdvertiseAddr: o.AdvertiseAddr, Meta: meta, Nodes: o.Nodes, Secret: o.Secret})
	if err != nil {
		return err
	}
	a.post = newPost(a.ctx, node)
	a.say("node %s listens on %s for %d nodes of job %s", o.Node, node.Addr(), o.Nodes, o.Job)
	if a.io.listening != nil {
		a.io.listening(node.Addr())
	}
	if len(o.Join) > 0 {
		a.join(o.Join)
	}
	return nil
}

// join asks for the others in the background.
func (a *agent) join(addrs []string) {
	a.wg.Go(func() {
		err := a.post.node.Join(a.ctx, addrs, func(err error) {
			a.say("%w; still trying", err)
			a.unjoined.Store(&err)
		})
		a.unjoined.Store(nil)
		if err != nil {
			select {
			case a.joinErr <- err:
			case <-a.ctx.Done():
			}
		}
	})
}

// loop hands every event to the machine until that has nothing more to do.
func (a *agent) loop() (job.Outcome, error) {
	var events <-chan discovery.Event
	var sent <-chan delivery
	if a.post != nil {
		events, sent = a.post.node.Events(), a.post.sent
	}
	// Two clocks: a look reads /proc for every worker, a tick costs nothing.
	tick := time.NewTicker(job.TickEvery)
	defer tick.Stop()
	look := time.NewTicker(job.LookEvery)
	defer look.Stop()
	late := time.NewTimer(a.o.Timeout)
	defer late.Stop()
	a.apply(a.machine.Start(time.Now()))
	for a.end == nil {
		select {
		case <-a.ctx.Done():
			a.signal(job.Signal{Signal: syscall.SIGKILL, Rank: job.AllRanks})
			return a.machine.Outcome(), context.Cause(a.ctx)
		case e := <-events:
			a.onEvent(e)
		case <-tick.C:
			a.apply(a.machine.Tick(time.Now()))
		case <-look.C:
			a.look()
		case <-late.C:
			a.apply(a.machine.Timeout(time.Now()))
			a.explainTimeout()
		case s := <-a.io.Signals:
			a.apply(a.machine.Signal(s, time.Now()))
		case e := <-a.exits:
			a.apply(a.machine.Exit(e, time.Now()))
		case d := <-sent:
			if d.refused {
				a.apply(a.machine.Refused(d.to, time.Now()))
			} else {
				a.apply(a.machine.Reached(d.to, time.Now()))
			}
		case addrs := <-a.io.join:
			a.join(addrs)
		case err := <-a.joinErr:
			a.end = &job.End{Err: err}
		}
	}
	return a.end.Outcome, a.end.Err
}

// explainTimeout says of nodes that did not come together what keeps this one,
// or what would bring the others.
func (a *agent) explainTimeout() {
	if a.end == nil || a.end.Err == nil {
		return // they had just done so
	}
	err := option.Errorf("the nodes did not come together within %v %v: %w", option.Timeout, a.o.Timeout, a.end.Err)
	if u := a.unjoined.Load(); u != nil {
		err = fmt.Errorf("%w; %w", err, *u)
	} else {
		err = option.Errorf("%w; start the missing ones with %v %s", err, option.Join, a.post.node.Addr())
	}
	a.end.Err = err
}

// onEvent translates what gossip tells; a message that cannot be read still
// shows that its sender lives.
func (a *agent) onEvent(e discovery.Event) {
	now := time.Now()
	switch e.Kind {
	case discovery.Up:
		if m, err := announced(e.ID, e.Meta); err == nil { // else not an agent of ours
			a.apply(a.machine.Up(m, e.Addr, now))
		}
	case discovery.Down:
		a.apply(a.machine.Down(e.ID, now))
	case discovery.Said:
		m, err := decode(e.Msg)
		if err != nil {
			m = job.Message{} // of a version that knows more, but alive
		}
		a.apply(a.machine.Receive(e.ID, m, now))
	}
}

// apply carries out what the machine asks for.
func (a *agent) apply(effects []job.Effect) {
	for _, e := range effects {
		switch {
		case e.Send != nil:
			a.post.send(*e.Send)
		case e.Begin != nil:
			a.begin(*e.Begin)
		case e.Signal != nil:
			a.signal(*e.Signal)
		case e.Notice != nil:
			for _, w := range a.workers {
				w.notice(*e.Notice)
			}
		case e.End != nil:
			a.end = e.End
		}
	}
}

// begin starts this node's workers.
func (a *agent) begin(v view.View) {
	if a.post != nil {
		a.say("%v", v)
	}
	for _, r := range v.Ranks() {
		if v.Members[r.NodeRank].ID != a.self.ID {
			continue
		}
		w, err := a.start(v, r)
		if err != nil {
			a.exits <- job.Exit{Rank: r.Rank, Err: err.Error(), AtMilli: time.Now().UnixMilli()} // has room for all
			continue
		}
		a.workers = append(a.workers, w)
	}
}

// signal sends a signal to workers of this node.
func (a *agent) signal(s job.Signal) {
	for _, w := range a.workers {
		switch {
		case s.Rank != job.AllRanks && s.Rank != w.rank:
		case s.Stood > 0:
			w.killStanding(s.Stood)
		case s.Pass:
			w.pass(s.Signal)
		default:
			w.signal(s.Signal)
		}
	}
}

// look tells the machine which workers stand still.
func (a *agent) look() {
	for _, w := range a.workers {
		if stands, runs := w.look(); runs {
			a.apply(a.machine.Looked(w.rank, stands, time.Now()))
		}
	}
}

// say takes a line about the course of things; errors in it may speak of
// settings, which whoever hears it spells.
func (a *agent) say(format string, args ...any) {
	if !a.o.Quiet && a.io.Say != nil {
		a.io.Say(option.Errorf(format, args...))
	}
}
