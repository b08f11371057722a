//go:build unix

package agent

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"vgid/launch/job"
)

// fates is what became of the agents that RunLocal started, and what that
// amounts to. It only decides; local has the processes.
//
// What must always hold: the fate of an agent is taken once, from its own
// answer if it gave one; and every fate becomes known, since the end of a
// process is one.
type fates struct {
	agents  []fate
	out     *job.Outcome
	failure error      // why the job did not start
	died    *job.Cause // an agent that ended without an answer
	met     bool       // the agents know of each other
}

// fate of one agent.
type fate struct {
	node  string
	final bool // its outcome, error or end is known
	gone  bool // the process has ended
}

func (f *fates) add(node string) { f.agents = append(f.agents, fate{node: node}) }

// open reports whether the fate of some agent is not known yet.
func (f *fates) open() bool {
	for _, a := range f.agents {
		if !a.final {
			return true
		}
	}
	return false
}

// known reports whether nothing more is to be seen of an agent.
func (f *fates) known(i int) bool { return f.agents[i].final || f.agents[i].gone }

// take adds an answer, or the end of a process, and how long that had stood
// still before. It tells which agents to kill because the job went on without
// them, and whether to let all the others go.
func (f *fates) take(i int, a answer, died error, stood time.Duration) (fenced []int, dismiss bool) {
	agent := &f.agents[i]
	agent.gone = agent.gone || died != nil
	if agent.final {
		return nil, false
	}
	agent.final = true
	switch {
	case a.Outcome != nil:
		// A failure counts more than a success: an agent that ended before knew less.
		if f.out == nil || f.out.Cause == nil {
			f.out = a.Outcome
		}
		if lost := a.Outcome.Cause; lost != nil && lost.Rank < 0 {
			return f.fence(lost.Node), false
		}
		return nil, false
	case a.Err != "":
		f.fail(errors.New(a.Err), syscall.Signal(a.Interrupted))
		return nil, true
	case earlyEnd(died) != 0:
		// Whoever ends all processes of a job may do so before the
		// agent is deaf to it, and then no worker runs yet.
		f.fail(nil, earlyEnd(died))
		return nil, true
	}
	if f.died == nil {
		how := fmt.Sprintf("ended early (%v)", died)
		if stood > 0 {
			how = fmt.Sprintf("stood still for %v, stopped by a signal (as SIGSTOP), and was killed", stood.Round(time.Second/10))
		}
		f.died = &job.Cause{Rank: -1, Node: agent.node, Code: 1, Text: fmt.Sprintf("node %s was lost: its agent process %s", agent.node, how)}
	}
	return nil, !f.met // agents that do not know of each other would not notice
}

// fail keeps the first reason why the job did not start.
func (f *fates) fail(err error, interrupted syscall.Signal) {
	if f.failure != nil {
		return
	}
	f.failure = err
	if interrupted != 0 {
		f.failure = job.InterruptedError{Signal: interrupted}
	}
}

// fence gives up the agents whose fate is open: those of the nodes named, or
// all if none is.
func (f *fates) fence(nodes ...string) (which []int) {
	for i := range f.agents {
		if a := &f.agents[i]; !f.known(i) && (len(nodes) == 0 || a.node == nodes[0]) {
			a.final = true
			which = append(which, i)
		}
	}
	return which
}

// outcome is what all fates together amount to.
func (f *fates) outcome() (job.Outcome, error) {
	switch {
	case f.died != nil: // no worker can bring an agent down: nothing comes before it
		return job.Outcome{Cause: f.died}, nil
	case f.failure != nil:
		return job.Outcome{}, f.failure
	}
	return *f.out, nil
}

// earlyEnd is the signal that asks a job to end, if an agent died by one.
func earlyEnd(died error) syscall.Signal {
	var e *exec.ExitError
	if errors.As(died, &e) {
		if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() && job.EndsJob(ws.Signal()) {
			return ws.Signal()
		}
	}
	return 0
}
