//go:build unix

package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vgid/launch"
	"vgid/launch/discovery"
	"vgid/launch/relay"
	"vgid/launch/view"
)

// Outcome is how a job ended.
type Outcome struct {
	Cause       *Cause         `json:"cause,omitempty"`       // nil when every rank succeeded
	Interrupted syscall.Signal `json:"interrupted,omitempty"` // by which somebody ended it
}

// Code is the exit code for the launcher.
func (o Outcome) Code() int {
	if o.Cause == nil {
		return 0
	}
	// A rank may hear of the end of another before the signal itself.
	if o.Interrupted != 0 && o.Cause.Code == launch.ExitPeerFailed {
		return 128 + int(o.Interrupted)
	}
	return o.Cause.Code
}

// ErrInterrupted ends an agent that was told to stop before workers ran.
type ErrInterrupted struct{ Signal syscall.Signal }

func (e ErrInterrupted) Error() string {
	return fmt.Sprintf("interrupted (%s) before the workers were started", unix.SignalName(e.Signal))
}

// IO connects an agent to its surroundings.
type IO struct {
	Stdout, Stderr *os.File
	// Signals to this launcher. The first SIGINT, SIGTERM or SIGHUP goes to all
	// workers of the job, which then have Options.Grace to end; a second SIGINT
	// kills them. SIGUSR1 and SIGUSR2 go to the workers of this node.
	Signals <-chan syscall.Signal
	// listening is told the agent's address as soon as it has one.
	listening func(addr string)
	// join delivers addresses to join that were not known at the start.
	join <-chan []string
}

const (
	tickEvery    = 100 * time.Millisecond
	farewell     = 10 * time.Second // for the others to hear the last report
	partingWords = time.Second      // for what is on its way when this agent ends
	blameFor     = 2 * time.Second  // for the culprit to end by itself when its peers fail first
	straggle     = 5 * time.Second  // beyond the grace, for others to report after a failure
)

// agent is the state of one Run; only its loop touches it.
type agent struct {
	o        *Options
	io       IO
	node     *discovery.Node // nil for a single node
	self     view.Member
	vm       *view.Machine
	addrs    map[string]string // member ID to address of its agent
	socks    []*net.TCPListener
	exits    chan Exit
	sent     chan delivery
	joinErr  chan error
	unjoined atomic.Pointer[error] // why --join has not succeeded yet
	wg       sync.WaitGroup
	sending  sync.WaitGroup // messages on their way
	hopeless sync.WaitGroup // the same, to those who are not heard
	ctx      context.Context
	cancel   context.CancelFunc

	view       *view.View
	rank       int // of this node
	led        *ledger
	workers    []*worker
	report     report
	mail       *relay.Machine[report]
	reach      *reach
	shownAt    time.Time
	begunAt    time.Time // the view was agreed on
	patience   patience
	suspect    map[string]suspicion // members gossip calls dead
	tickedAt   time.Time
	lookedAt   time.Time
	stopping   bool      // the job cannot succeed
	stopAt     time.Time // when to stop the workers, if stopping
	asked      bool      // they were told to stop
	killAt     time.Time // when to kill them; zero: never
	since      time.Time // this node was done
	completeAt time.Time // all nodes were
	err        error
}

// Run brings the nodes together, runs this node's workers, and returns when
// the whole job has ended. An error means that the job did not start; how a
// started job ended is in the Outcome. When ctx ends the workers are killed.
func Run(ctx context.Context, o Options, io IO) (Outcome, error) {
	if err := o.Check(); err != nil {
		return Outcome{}, err
	}
	a := &agent{o: &o, io: io, addrs: map[string]string{}, exits: make(chan Exit, o.Procs), sent: make(chan delivery, 16),
		joinErr: make(chan error, 1), suspect: map[string]suspicion{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	defer func() {
		a.cancel()
		for _, w := range a.workers {
			w.signal(syscall.SIGKILL)
		}
		for _, l := range a.socks {
			l.Close() // those not handed over
		}
		if a.node != nil {
			if a.led == nil || !a.led.complete() {
				_ = a.node.Leave() // the others may be waiting for us; unsaid, they find out
			}
			a.deliver(partingWords)
			a.node.Close() // ends what is still on its way
			a.sending.Wait()
			a.hopeless.Wait()
		}
		a.wg.Wait()
	}()
	if err := a.listen(); err != nil {
		return Outcome{}, err
	}
	return a.loop()
}

// listen binds the workers' sockets and the agent's, and announces them.
func (a *agent) listen() error {
	o := a.o
	a.self = view.Member{ID: fmt.Sprintf("%s/%s/%.10s", o.Job, o.Node, rand.Text()), Node: o.Node, Index: o.Index, Nodes: o.Nodes}
	for i := range o.Procs {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(o.BindAddr)})
		if err != nil {
			return fmt.Errorf("cannot listen for worker %d: %w; give --bind-addr an address of this machine", i, err)
		}
		a.socks = append(a.socks, l)
		a.self.Addrs = append(a.self.Addrs, net.JoinHostPort(o.AdvertiseAddr, fmt.Sprint(l.Addr().(*net.TCPAddr).Port)))
	}
	a.vm = view.New(view.Config{Job: o.Job, Self: a.self, Token: rand.Text()})
	if o.Nodes == 1 {
		return nil // nobody to find
	}
	meta, err := announce(a.self)
	if err != nil {
		return err
	}
	a.node, err = discovery.Start(discovery.Config{ID: a.self.ID, Job: o.Job, BindAddr: o.BindAddr, Port: o.Port,
		AdvertiseAddr: o.AdvertiseAddr, Meta: meta, Nodes: o.Nodes, Secret: o.Secret})
	if err != nil {
		return err
	}
	a.say("node %s listens on %s for %d nodes of job %s", o.Node, a.node.Addr(), o.Nodes, o.Job)
	if a.io.listening != nil {
		a.io.listening(a.node.Addr())
	}
	if len(o.Join) > 0 {
		a.join(o.Join)
	}
	return nil
}

// join asks for the others in the background.
func (a *agent) join(addrs []string) {
	a.wg.Go(func() {
		err := a.node.Join(a.ctx, addrs, func(err error) {
			a.say("%v; trying on", err)
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

func (a *agent) loop() (Outcome, error) {
	var events <-chan discovery.Event
	if a.node != nil {
		events = a.node.Events()
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	deadline := time.NewTimer(a.o.Timeout)
	defer deadline.Stop()
	late := deadline.C
	a.apply(a.vm.Start())
	for a.err == nil {
		if a.view != nil {
			late = nil
			if a.ended() {
				return a.outcome(), nil
			}
		}
		select {
		case <-a.ctx.Done():
			if a.view == nil {
				return Outcome{}, context.Cause(a.ctx)
			}
			a.kill()
			return a.outcome(), context.Cause(a.ctx)
		case e := <-events:
			a.onEvent(e)
		case <-tick.C:
			a.onTick(time.Now())
		case <-late:
			a.apply(a.vm.Timeout())
			a.err = a.timedOut(a.err)
		case s := <-a.io.Signals:
			a.onSignal(s)
		case e := <-a.exits:
			a.onExit(e)
		case d := <-a.sent:
			a.onDelivery(d)
		case addrs := <-a.io.join:
			a.join(addrs)
		case a.err = <-a.joinErr:
		}
		a.flush(time.Now())
	}
	return Outcome{}, a.err
}

func (a *agent) timedOut(err error) error {
	err = fmt.Errorf("the nodes did not come together within --timeout %v: %w", a.o.Timeout, err)
	if u := a.unjoined.Load(); u != nil {
		return fmt.Errorf("%w; %w", err, *u)
	}
	return fmt.Errorf("%w; start the missing ones with --join %s", err, a.node.Addr())
}

func (a *agent) onEvent(e discovery.Event) {
	switch e.Kind {
	case discovery.Up:
		m, err := announced(e.ID, e.Meta)
		if err != nil {
			return // not an agent of ours
		}
		a.succeed(e.ID, e.Addr)
		a.addrs[e.ID] = e.Addr
		delete(a.suspect, e.ID)
		a.apply(a.vm.Up(m))
	case discovery.Down:
		a.doubt(e.ID)
	case discovery.Said:
		a.believe(e.ID, time.Now())
		if a.view != nil {
			a.reach.hear(a.view.NodeRank(e.ID), time.Now())
		}
		if m, err := decode(e.Msg); err == nil {
			a.onMessage(e.ID, m)
		}
	}
}

func (a *agent) onMessage(from string, m message) {
	switch {
	case m.View != nil:
		a.apply(a.vm.Receive(from, *m.View))
	case m.Ping:
		a.send(from, message{Alive: true})
	case m.Relay != nil && a.view != nil: // else too early: it will be repeated
		for _, it := range a.mail.Receive(a.view.NodeRank(from), *m.Relay) {
			a.onReport(it.Node, it.Report)
		}
	}
}

// apply carries out what the view machine asks for.
func (a *agent) apply(effects []view.Effect) {
	for _, e := range effects {
		switch {
		case e.Send != nil:
			a.send(e.Send.To, message{View: &e.Send.Msg})
		case e.Committed != nil:
			a.begin(*e.Committed)
		case e.Failed != "":
			a.err = errors.New(e.Failed)
		case e.Doubted != nil: // given up before the view was agreed on
			a.lose(e.Doubted.ID, noAnswer, time.Now())
		case e.Lost != nil:
			a.lose(e.Lost.ID, "its agent left the job", time.Now())
		}
	}
}

// delivery says what became of a message that tells something about its
// receiver.
type delivery struct {
	to      string
	refused bool // its machine answers, but nobody listens; else it was received
}

// send delivers in the background; what gets lost is repeated by who needs it.
func (a *agent) send(to string, m message) {
	addr, ok := a.addrs[to]
	if !ok {
		return
	}
	b := m.encode()
	on := &a.sending
	if a.unheard(to) {
		on = &a.hopeless
	}
	on.Go(func() {
		err := a.node.Send(to, addr, b)
		if refused := errors.Is(err, syscall.ECONNREFUSED); refused || err == nil && m.Ping {
			select {
			case a.sent <- delivery{to, refused}:
			case <-a.ctx.Done():
			}
		}
	})
}

// unheard reports whether a member of the view is silent, or suspected.
func (a *agent) unheard(id string) bool {
	s, doubted := a.suspect[id]
	return doubted && !s.answered || a.view != nil && slices.Contains(a.report.Silent, a.view.NodeRank(id))
}

// deliver waits until all messages have arrived, or for so long.
func (a *agent) deliver(atMost time.Duration) {
	arrived := make(chan struct{})
	go func() {
		a.sending.Wait()
		close(arrived)
	}()
	select {
	case <-arrived:
	case <-time.After(atMost):
	}
}

func (a *agent) onDelivery(d delivery) {
	if d.refused {
		a.giveUp(d.to, "its agent is gone", time.Now())
	} else if s, ok := a.suspect[d.to]; ok {
		s.reached = true
		a.suspect[d.to] = s
	}
}

func (a *agent) say(format string, args ...any) {
	if !a.o.Quiet {
		fmt.Fprintf(a.io.Stderr, "vgid-launch: "+format+"\n", args...)
	}
}
