package job

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vgid/launch/view"
)

// sim is a whole job in virtual time: machines, the processes that they start,
// the network between them, and a gossip that calls an agent dead some time
// after it fell silent. What the machines make of it is told in log.
type sim struct {
	now    time.Duration // since the view was agreed on
	queue  events
	seq    int // of the latest event
	agents []*simAgent
	log    strings.Builder

	latency func() time.Duration                 // of a message
	lost    func(from, to int, packet bool) bool // whether a message gets lost
	oneWay  map[[2]int]bool                      // from, to: packets do not get through
	// peersFail is how long after the end of a rank the others end because of it;
	// negative: they do not notice.
	peersFail func() time.Duration
}

// simAgent is an agent and the processes of its node.
type simAgent struct {
	s       *sim
	node    int
	m       *Machine
	member  view.Member
	dead    bool // the process: connections are refused
	down    bool // the machine: nobody answers
	frozen  bool
	missed  []func() // what came while it was frozen
	workers []*simWorker
	end     *End
	endedAt time.Duration
	askedAt time.Duration // the workers were asked to end; 0: not
	killed  bool          // somebody wanted that
}

// simWorker is a process that runs until it is made to end.
type simWorker struct {
	a        *simAgent
	rank     int
	running  bool
	stopped  bool // it was asked to end
	stands   bool
	stood    time.Duration
	obeys    time.Duration // after which it ends when asked; negative: never
	asCode   int           // with which it does
	heard    []syscall.Signal
	exitedAt time.Duration
}

// The moment at which a simulation begins.
var epoch = time.Unix(1_000_000, 0)

// event is something at a time; those of one time happen in their order.
type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any     { e := (*q)[len(*q)-1]; *q = (*q)[:len(*q)-1]; return e }

// newSim makes a job whose nodes have agreed, and whose workers run.
func newSim(nodes, procs int, grace time.Duration, watched bool) *sim {
	s := &sim{latency: func() time.Duration { return 2 * time.Millisecond }, lost: func(int, int, bool) bool { return false },
		oneWay: map[[2]int]bool{}, peersFail: func() time.Duration { return -1 }}
	for i := range nodes {
		m := view.Member{ID: string(rune('a' + i)), Node: fmt.Sprintf("n%d", i), Index: i, Nodes: nodes}
		for p := range procs {
			m.Addrs = append(m.Addrs, fmt.Sprintf("h%d:%d", i, p+1))
		}
		s.agents = append(s.agents, &simAgent{s: s, node: i, member: m,
			m: New(Config{Job: "j", Self: m, Token: "t" + m.ID, Grace: grace, Watched: watched})})
	}
	for _, a := range s.agents {
		a.apply(a.m.Start(s.time()))
		for _, o := range s.agents {
			if o != a {
				a.apply(a.m.Up(o.member, o.member.Node+":7946", s.time()))
			}
		}
	}
	for len(s.queue) > 0 && s.queue[0].at < time.Second { // the agreement
		s.next()
	}
	s.now = 0
	for _, a := range s.agents {
		s.every(TickEvery, time.Duration(7*a.node)*time.Millisecond, a, func() { a.apply(a.m.Tick(s.time())) })
		s.every(LookEvery, time.Duration(11*a.node)*time.Millisecond, a, a.look)
	}
	return s
}

func (s *sim) time() time.Time { return epoch.Add(s.now) }

// after makes something happen in a while.
func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, event{s.now + d, s.seq, do})
}

func (s *sim) next() {
	e := heap.Pop(&s.queue).(event)
	s.now = max(s.now, e.at)
	e.do()
}

// run lets time pass.
func (s *sim) run(d time.Duration) {
	end := s.now + d
	for len(s.queue) > 0 && s.queue[0].at <= end {
		s.next()
	}
	s.now = end
}

// every calls an agent's clocks, which stand still with it.
func (s *sim) every(period, offset time.Duration, a *simAgent, do func()) {
	s.after(offset, func() {
		if a.gone() {
			return
		}
		if !a.frozen {
			do()
		}
		s.every(period, period, a, do)
	})
}

func (a *simAgent) gone() bool { return a.dead || a.end != nil }

// say logs what an agent does.
func (a *simAgent) say(format string, args ...any) {
	fmt.Fprintf(&a.s.log, "%.3fs n%d: %s\n", a.s.now.Seconds(), a.node, fmt.Sprintf(format, args...))
}

// take hands an event to an agent, now or when it moves again.
func (a *simAgent) take(do func() []Effect) {
	switch {
	case a.gone():
	case a.frozen:
		a.missed = append(a.missed, func() { a.apply(do()) })
	default:
		a.apply(do())
	}
}

// apply carries out effects as package agent does.
func (a *simAgent) apply(effects []Effect) {
	for _, e := range effects {
		switch {
		case e.Send != nil:
			a.s.deliver(a, *e.Send)
		case e.Begin != nil:
			for _, r := range e.Begin.Ranks() {
				if r.NodeRank == a.node {
					a.workers = append(a.workers, &simWorker{a: a, rank: r.Rank, running: true, obeys: 300 * time.Millisecond, asCode: 143})
				}
			}
		case e.Signal != nil:
			a.signal(*e.Signal)
		case e.Notice != nil:
			a.say("tells its workers: ranks %v are lost: %s", e.Notice.Ranks, e.Notice.Why)
		case e.End != nil:
			a.end, a.endedAt = e.End, a.s.now
			if c := e.End.Outcome.Cause; c != nil {
				a.say("ends with %d: %s", e.End.Outcome.Code(), c.Text)
			} else {
				a.say("ends with %d", e.End.Outcome.Code())
			}
			a.s.gossip(a, time.Second)
		}
	}
}

func (a *simAgent) signal(sig Signal) {
	to := fmt.Sprintf("rank %d, which stands still for %v", sig.Rank, sig.Stood)
	if sig.Rank == AllRanks {
		to = "its workers"
	}
	a.say("%s to %s", unix.SignalName(sig.Signal), to)
	if sig.Rank == AllRanks && EndsJob(sig.Signal) && a.askedAt == 0 {
		a.askedAt = a.s.now
	}
	for _, w := range a.workers {
		if !w.running || sig.Rank != AllRanks && sig.Rank != w.rank {
			continue
		}
		w.heard = append(w.heard, sig.Signal)
		switch {
		case sig.Stood > 0:
			if !w.stopped {
				w.stood = sig.Stood
			}
			w.end(Exit{Signal: int(syscall.SIGKILL)})
		case sig.Signal == syscall.SIGKILL:
			w.stopped = true
			w.end(Exit{Signal: int(syscall.SIGKILL)})
		case sig.Pass || w.stopped:
		default:
			w.stopped = true
			if w.obeys >= 0 && !w.stands {
				a.s.after(w.obeys, func() { w.end(Exit{Code: w.asCode}) })
			}
		}
	}
}

// end ends a worker, so that its agent hears of it, and its peers feel it.
func (w *simWorker) end(e Exit) {
	if !w.running || w.a.dead {
		return
	}
	w.running, w.exitedAt = false, w.a.s.now
	e.Rank, e.Stopped, e.Stood, e.AtMilli = w.rank, w.stopped, w.stood, w.a.s.time().UnixMilli()
	w.a.take(func() []Effect { return w.a.m.Exit(e, w.a.s.time()) })
	if !e.OK() {
		w.a.s.feel(w.rank)
	}
}

// feel ends the peers of a rank that is no more: their collectives fail.
func (s *sim) feel(rank int) {
	for _, a := range s.agents {
		for _, w := range a.workers {
			if d := s.peersFail(); w.rank != rank && d >= 0 && !w.stands {
				s.after(d, func() {
					w.end(Exit{Code: 75, Line: fmt.Sprintf("collective: rank %d: all-reduce #7: peer rank %d: connection lost", w.rank, rank)})
				})
			}
		}
	}
}

func (a *simAgent) look() {
	for _, w := range a.workers {
		if w.running {
			a.apply(a.m.Looked(w.rank, w.stands, a.s.time()))
		}
	}
}

// deliver carries a message to its receiver, and tells the sender what the
// network would.
func (s *sim) deliver(from *simAgent, m Send) {
	i := slices.IndexFunc(s.agents, func(a *simAgent) bool { return a.member.ID == m.To })
	if i < 0 {
		return // to a stranger
	}
	to := s.agents[i]
	if s.oneWay[[2]int{from.node, to.node}] || !m.Packet && s.oneWay[[2]int{to.node, from.node}] || s.lost(from.node, to.node, m.Packet) {
		return
	}
	s.after(s.latency(), func() {
		switch {
		case to.down:
		case to.gone():
			if !m.Packet {
				from.take(func() []Effect { return from.m.Refused(m.To, s.time()) })
			}
		default:
			if m.Msg.Ping {
				from.take(func() []Effect { return from.m.Reached(m.To, s.time()) })
			}
			to.take(func() []Effect { return to.m.Receive(from.member.ID, m.Msg, s.time()) })
		}
	})
}

// gossip tells all that hear of it that an agent seems dead.
func (s *sim) gossip(of *simAgent, after time.Duration) {
	for _, a := range s.agents {
		if a != of {
			s.after(after, func() {
				if of.gone() || of.frozen || s.oneWay[[2]int{of.node, a.node}] {
					a.take(func() []Effect { return a.m.Down(of.member.ID, s.time()) })
				}
			})
		}
	}
}

// die ends an agent, and its workers with it.
func (a *simAgent) die(machine bool) {
	a.dead, a.down = true, machine
	for _, w := range a.workers {
		if w.running {
			w.running, w.exitedAt = false, a.s.now
			a.s.feel(w.rank)
		}
	}
	a.s.gossip(a, 1200*time.Millisecond)
}

// freeze stops an agent, but not its workers.
func (a *simAgent) freeze() {
	a.frozen = true
	a.s.gossip(a, 1500*time.Millisecond)
}

// thaw lets it go on: what it missed is there all at once.
func (a *simAgent) thaw() {
	a.frozen = false
	missed := a.missed
	a.missed = nil
	for _, do := range missed {
		if !a.gone() {
			do()
		}
	}
}

// cut loses the packets from a node to another, and lets gossip find whom that
// parts: it asks others to ask, so it goes round a link that is cut.
func (s *sim) cut(from, to int) {
	s.oneWay[[2]int{from, to}] = true
	part := s.parts()
	for i, a := range s.agents {
		for j, b := range s.agents {
			if part[i] != part[j] {
				s.after(1500*time.Millisecond, func() {
					a.take(func() []Effect { return a.m.Down(b.member.ID, s.time()) })
				})
			}
		}
	}
}

// parts numbers the parts of the network between which nothing gets through in
// both directions.
func (s *sim) parts() []int {
	part := make([]int, len(s.agents))
	for i := range part {
		part[i] = i
	}
	for range part {
		for i := range part {
			for j := range part {
				if !s.oneWay[[2]int{i, j}] && !s.oneWay[[2]int{j, i}] {
					part[i] = min(part[i], part[j])
				}
			}
		}
	}
	return part
}

// isolate cuts a node off from all others.
func (s *sim) isolate(node int) {
	for i := range s.agents {
		if i != node {
			s.oneWay[[2]int{node, i}] = true
		}
	}
	for i := range s.agents {
		if i != node {
			s.cut(i, node)
		}
	}
}

func (s *sim) worker(rank int) *simWorker {
	for _, a := range s.agents {
		for _, w := range a.workers {
			if w.rank == rank {
				return w
			}
		}
	}
	return nil
}
