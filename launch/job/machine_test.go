package job

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/launch/view"
)

// A member of the view that gossip never told of is missed as well.
func TestUnknownIsMissed(t *testing.T) {
	v := three()
	now := epoch
	m := New(Config{Job: "j", Self: v.Members[1], Token: "t", Grace: time.Second})
	m.Up(v.Members[0], "h:9", now)
	m.Receive("a", Message{View: &view.Message{Kind: view.Propose, Epoch: 1, View: &v}}, now)
	m.Receive("a", Message{View: &view.Message{Kind: view.Commit, Epoch: 1, Digest: v.Digest()}}, now)
	ticks := func(until time.Duration) {
		for ; now.Before(epoch.Add(until)); now = now.Add(TickEvery) {
			m.Receive("a", Message{Alive: true}, now)
			m.Tick(now)
		}
	}
	ticks(4 * time.Second)
	if !m.Begun() || m.Outcome().Cause != nil {
		t.Fatalf("begun %t, given up too soon: %+v", m.Begun(), m.Outcome().Cause)
	}
	now = now.Add(10 * time.Second)
	ticks(15 * time.Second)
	if m.Outcome().Cause != nil {
		t.Fatal("given up for time in which this process stood still")
	}
	ticks(16 * time.Second)
	if c := m.Outcome().Cause; c == nil || c.Text != "node n2 (rank 2) was lost: its agent does not answer" {
		t.Errorf("%+v", c)
	}
}

func TestInterruptedBeforeTheViewIsAgreedOn(t *testing.T) {
	m := New(Config{Job: "j", Self: three().Members[0], Token: "t"})
	m.Start(epoch)
	if out := m.Signal(syscall.SIGUSR1, epoch); len(out) != 1 || out[0].Signal == nil || !out[0].Signal.Pass {
		t.Errorf("an announcement: %+v", out)
	}
	out := m.Signal(syscall.SIGTERM, epoch)
	var e InterruptedError
	if len(out) != 1 || out[0].End == nil || !errors.As(out[0].End.Err, &e) || e.Signal != syscall.SIGTERM {
		t.Fatalf("%+v", out)
	}
	if out := m.Tick(epoch); out != nil || m.Complete() {
		t.Errorf("goes on after its end: %+v", out)
	}
}

// An agent that is started again takes the address of the one that died.
func TestStartedAgain(t *testing.T) {
	s := newSim(3, 1, time.Second, false)
	again := s.agents[2].member
	again.ID = "c2"
	a := s.agents[0]
	a.apply(a.m.Up(again, "n2:7946", s.time()))
	if c := a.m.Outcome().Cause; c == nil || c.Text != "node n2 (rank 2) was lost: its agent was started again" {
		t.Errorf("%+v", c)
	}
}

// unruly makes a network that loses and delays. It loses no more than two
// messages in a row between two nodes: one that loses all is cut, for which
// there are other words.
func (s *sim) unruly(t *rapid.T) {
	loss := rapid.IntRange(0, 30).Draw(t, "percent lost")
	slowest := rapid.IntRange(1, 200).Draw(t, "slowest message (ms)")
	chance := rapid.IntRange(0, 99)
	type way struct {
		from, to int
		packet   bool
	}
	row := map[way]int{}
	s.lost = func(from, to int, packet bool) bool {
		w := way{from, to, packet}
		if loss > 0 && row[w] < 2 && chance.Draw(t, "lost?") < loss {
			row[w]++
			return true
		}
		row[w] = 0
		return false
	}
	s.latency = func() time.Duration {
		return time.Duration(rapid.IntRange(0, slowest).Draw(t, "latency")) * time.Millisecond
	}
}

// unrulyWorkers lets workers end in their own ways when they are asked to.
func (s *sim) unrulyWorkers(t *rapid.T) {
	for _, a := range s.agents {
		for _, w := range a.workers {
			w.obeys = time.Duration(rapid.IntRange(-1, 3000).Draw(t, "obeys (ms)")) * time.Millisecond
			w.asCode = rapid.SampledFrom([]int{143, 143, 0, 1, 75}).Draw(t, "code when asked")
		}
	}
}

// check tests what must always hold of each agent alone.
func (s *sim) check(t *rapid.T, grace time.Duration) {
	for _, a := range s.agents {
		for _, w := range a.workers {
			kills := slices.Index(w.heard, syscall.SIGKILL)
			if kills < 0 || w.stood > 0 || w.stands || a.killed {
				continue
			}
			if a.askedAt == 0 && !slices.Contains(w.heard[:kills], syscall.SIGTERM) {
				t.Fatalf("rank %d was killed without having been asked: %v", w.rank, w.heard)
			}
			if early := w.exitedAt - a.askedAt; early < grace {
				t.Fatalf("rank %d was killed after %v of a grace of %v", w.rank, early, grace)
			}
		}
	}
}

// ended fails unless all agents that live have ended, and gives their causes.
func (s *sim) ended(t *rapid.T) (causes []Cause) {
	for _, a := range s.agents {
		switch {
		case a.dead:
		case a.end == nil:
			t.Fatalf("n%d never ends; %+v\n%s", a.node, a.m.Outcome(), s.log.String())
		case a.end.Outcome.Cause != nil:
			causes = append(causes, *a.end.Outcome.Cause)
		}
	}
	return causes
}

// TestOneCause lets some ranks fail by themselves and all others because of
// them, in any order and over any network: every agent ends, and all name the
// rank that failed first.
func TestOneCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, procs := rapid.IntRange(1, 4).Draw(t, "nodes"), rapid.IntRange(1, 2).Draw(t, "procs")
		grace := time.Duration(rapid.IntRange(0, 2000).Draw(t, "grace (ms)")) * time.Millisecond
		s := newSim(nodes, procs, grace, rapid.Bool().Draw(t, "watched"))
		s.unruly(t)
		s.unrulyWorkers(t)
		s.peersFail = func() time.Duration {
			return time.Duration(rapid.IntRange(-1, 1500).Draw(t, "peer fails after (ms)")) * time.Millisecond
		}
		first, firstAt := -1, time.Duration(0)
		for range rapid.IntRange(1, 2).Draw(t, "culprits") {
			w := s.worker(rapid.IntRange(0, nodes*procs-1).Draw(t, "culprit"))
			at := time.Duration(rapid.IntRange(0, 3000).Draw(t, "fails after (ms)")) * time.Millisecond
			s.after(at, func() {
				if w.running && !w.stopped { // else it ended because of the other
					if first < 0 || at < firstAt || at == firstAt && w.rank < first {
						first, firstAt = w.rank, at
					}
					w.end(Exit{Code: 3, Line: "bad batch"})
				}
			})
		}
		s.run(90 * time.Second)
		causes := s.ended(t)
		s.check(t, grace)
		for _, c := range causes {
			if c.Rank != first || c.Code != 3 {
				t.Fatalf("rank %d failed first, and the cause is %+v\n%s", first, c, s.log.String())
			}
		}
		if len(causes) != nodes {
			t.Fatalf("%d of %d agents name a cause", len(causes), nodes)
		}
	})
}

// TestLostNodeIsTheCause ends an agent, or its machine: all others end, and
// name its node, whatever their ranks say.
func TestLostNodeIsTheCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(2, 4).Draw(t, "nodes")
		s := newSim(nodes, 1, time.Second, false)
		s.unrulyWorkers(t)
		s.peersFail = func() time.Duration {
			return time.Duration(rapid.IntRange(-1, 5000).Draw(t, "peer fails after (ms)")) * time.Millisecond
		}
		lost := s.agents[rapid.IntRange(0, nodes-1).Draw(t, "lost")]
		machine := rapid.Bool().Draw(t, "its machine")
		s.after(time.Duration(rapid.IntRange(0, 3000).Draw(t, "at (ms)"))*time.Millisecond, func() { lost.die(machine) })
		s.run(90 * time.Second)
		for _, c := range s.ended(t) {
			if c.Rank != -1 || c.Node != lost.member.Node {
				t.Fatalf("%s was lost, and the cause is %+v\n%s", lost.member.Node, c, s.log.String())
			}
		}
	})
}

// TestSignalIsNotLost sends a signal to one launcher, over any network, and may
// end that launcher soon afterwards: every worker that still runs is asked.
func TestSignalIsNotLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, procs := rapid.IntRange(1, 4).Draw(t, "nodes"), rapid.IntRange(1, 2).Draw(t, "procs")
		s := newSim(nodes, procs, 10*time.Second, false)
		s.unruly(t)
		a := s.agents[rapid.IntRange(0, nodes-1).Draw(t, "launcher")]
		sig := rapid.SampledFrom([]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}).Draw(t, "signal")
		s.after(100*time.Millisecond, func() { a.take(func() []Effect { return a.m.Signal(sig, s.time()) }) })
		dies := rapid.Bool().Draw(t, "dies")
		if dies {
			s.after(time.Duration(rapid.IntRange(100, 2000).Draw(t, "dies at (ms)"))*time.Millisecond, func() { a.die(false) })
		}
		s.run(90 * time.Second)
		s.ended(t)
		s.check(t, 10*time.Second)
		for _, o := range s.agents {
			for _, w := range o.workers {
				if o.dead {
					continue
				}
				times := 0
				for _, h := range w.heard {
					if EndsJob(h) {
						times++
					}
				}
				if times == 0 || times > 1 && !dies || o.end.Outcome.Interrupted != sig && !dies {
					t.Fatalf("rank %d heard %v; the job was interrupted by %v\n%s", w.rank, w.heard, o.end.Outcome.Interrupted, s.log.String())
				}
			}
		}
	})
}

// TestEveryHistoryEnds does anything to a job: once it was asked to end, or
// cannot succeed, every agent that lives and moves ends.
func TestEveryHistoryEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, procs := rapid.IntRange(1, 4).Draw(t, "nodes"), rapid.IntRange(1, 2).Draw(t, "procs")
		s := newSim(nodes, procs, time.Second, rapid.Bool().Draw(t, "watched"))
		s.unruly(t)
		s.unrulyWorkers(t)
		s.peersFail = func() time.Duration {
			return time.Duration(rapid.IntRange(-1, 3000).Draw(t, "peer fails after (ms)")) * time.Millisecond
		}
		for range rapid.IntRange(0, 8).Draw(t, "steps") {
			a := s.agents[rapid.IntRange(0, nodes-1).Draw(t, "node")]
			w := s.worker(rapid.IntRange(0, nodes*procs-1).Draw(t, "rank"))
			other := s.agents[rapid.IntRange(0, nodes-1).Draw(t, "other")]
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				w.end(Exit{Code: rapid.SampledFrom([]int{0, 1, 75}).Draw(t, "code")})
			case 1:
				w.stands = !w.stands
			case 2:
				if !a.gone() {
					a.die(rapid.Bool().Draw(t, "machine"))
				}
			case 3:
				if !a.frozen && !a.gone() {
					a.freeze()
				}
			case 4:
				a.thaw()
			case 5:
				if a != other {
					s.cut(a.node, other.node)
				}
			case 6:
				s.isolate(a.node)
			default:
				sig := rapid.SampledFrom([]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP}).Draw(t, "signal")
				a.take(func() []Effect { return a.m.Signal(sig, s.time()) })
			}
			s.run(time.Duration(rapid.IntRange(0, 4000).Draw(t, "pause (ms)")) * time.Millisecond)
		}
		for _, a := range s.agents {
			a.thaw()
			a.take(func() []Effect { return a.m.Signal(syscall.SIGTERM, s.time()) })
		}
		s.run(5 * time.Minute)
		s.ended(t)
	})
}

// TestOneCauseOfTwo loses a node and fails a rank of another in the same few
// seconds: whichever came first, all that are left name the same.
func TestOneCauseOfTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(3, 5).Draw(t, "nodes")
		s := newSim(nodes, 1, 10*time.Second, false)
		s.unruly(t)
		lost := s.agents[rapid.IntRange(0, nodes-1).Draw(t, "lost")]
		machine := rapid.Bool().Draw(t, "its machine")
		s.after(time.Duration(rapid.IntRange(0, 5000).Draw(t, "lost at (ms)"))*time.Millisecond, func() { lost.die(machine) })
		w := s.worker(rapid.IntRange(0, nodes-1).Draw(t, "culprit"))
		s.after(time.Duration(rapid.IntRange(0, 5000).Draw(t, "fails at (ms)"))*time.Millisecond, func() { w.end(Exit{Code: 3}) })
		s.run(2 * time.Minute)
		causes := s.ended(t)
		for _, c := range causes {
			if c != causes[0] {
				t.Fatalf("%+v and %+v\n%s", causes[0], c, s.log.String())
			}
		}
	})
}

// An agent that agreed on a view with another, which then went its own way.
func TestLeftTheJob(t *testing.T) {
	v := view.View{Epoch: 1, Job: "j", Token: "ta", Members: []view.Member{
		{ID: "a", Node: "n0", Nodes: 2, Addrs: []string{"h:1"}}, {ID: "b", Node: "n1", Index: 1, Nodes: 2, Addrs: []string{"h:2"}}}}
	m := New(Config{Job: "j", Self: v.Members[0], Token: "ta", Grace: time.Second})
	m.Start(epoch)
	m.Up(v.Members[1], "h:9", epoch)
	m.Receive("b", Message{View: &view.Message{Kind: view.Ack, Epoch: 1, Digest: v.Digest()}}, epoch)
	if !m.Begun() {
		t.Fatal("not agreed")
	}
	m.Receive("b", Message{View: &view.Message{Kind: view.Nack, Epoch: 3, Digest: v.Digest()}}, epoch)
	if c := m.Outcome().Cause; c == nil || c.Text != "node n1 (rank 1) was lost: its agent left the job" {
		t.Errorf("%+v", c)
	}
}

func TestTimeout(t *testing.T) {
	m := New(Config{Job: "j", Self: three().Members[0], Token: "t"})
	m.Start(epoch)
	out := m.Timeout(epoch)
	if len(out) != 1 || out[0].End == nil || out[0].End.Err == nil || out[0].End.Err.Error() != "1 of 3 nodes present: n0" || m.Outcome().Cause != nil {
		t.Errorf("%+v", out)
	}
	s := newSim(2, 1, time.Second, false)
	if out := s.agents[0].m.Timeout(s.time()); len(out) != 0 {
		t.Errorf("of a job that runs: %+v", out)
	}
}
