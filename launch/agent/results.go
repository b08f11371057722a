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

// results is what became of the agents that RunLocal started, and what that
// amounts to. It only decides; local has the processes.
//
// What must always hold: the result of an agent is taken once, from its own
// answer if it gave one; and every result becomes known, since the end of a
// process is one.
type results struct {
	agents  []result
	out     *job.Outcome
	failure error      // why the job did not start
	died    *job.Cause // an agent that ended without an answer
	joined  bool       // the agents know of each other
}

// result of one agent.
type result struct {
	node  string
	final bool // its outcome, error or end is known
	gone  bool // the process has ended
}

func (r *results) add(node string) { r.agents = append(r.agents, result{node: node}) }

// open reports whether the result of some agent is not known yet.
func (r *results) open() bool {
	for _, a := range r.agents {
		if !a.final {
			return true
		}
	}
	return false
}

// known reports whether nothing more is to be seen of an agent.
func (r *results) known(i int) bool { return r.agents[i].final || r.agents[i].gone }

// take adds an answer, or the end of a process, and how long that had stood
// still before. It tells which agents to kill because the job went on without
// them, and whether to let all the others go.
func (r *results) take(i int, a answer, died error, stood time.Duration) (fenced []int, release bool) {
	agent := &r.agents[i]
	agent.gone = agent.gone || died != nil
	if agent.final {
		return nil, false
	}
	agent.final = true
	switch {
	case a.Outcome != nil:
		// A failure counts more than a success: an agent that ended before knew less.
		if r.out == nil || r.out.Cause == nil {
			r.out = a.Outcome
		}
		if lost := a.Outcome.Cause; lost != nil && lost.Rank < 0 {
			return r.fence(lost.Node), false
		}
		return nil, false
	case a.Err != "":
		r.fail(errors.New(a.Err), syscall.Signal(a.Interrupted))
		return nil, true
	case earlyEnd(died) != 0:
		// Whoever ends all processes of a job may do so before the
		// agent is deaf to it, and then no worker runs yet.
		r.fail(nil, earlyEnd(died))
		return nil, true
	}
	if r.died == nil {
		how := fmt.Sprintf("ended early (%v)", died)
		if stood > 0 {
			how = fmt.Sprintf("stood still for %v, stopped by a signal (as SIGSTOP), and was killed", stood.Round(time.Second/10))
		}
		r.died = &job.Cause{Rank: -1, Node: agent.node, Code: 1, Text: fmt.Sprintf("node %s was lost: its agent process %s", agent.node, how)}
	}
	return nil, !r.joined // agents that do not know of each other would not notice
}

// fail keeps the first reason why the job did not start.
func (r *results) fail(err error, interrupted syscall.Signal) {
	if r.failure != nil {
		return
	}
	r.failure = err
	if interrupted != 0 {
		r.failure = job.InterruptedError{Signal: interrupted}
	}
}

// fence gives up the agents whose result is open: those of the nodes named, or
// all if none is.
func (r *results) fence(nodes ...string) (which []int) {
	for i := range r.agents {
		if a := &r.agents[i]; !r.known(i) && (len(nodes) == 0 || a.node == nodes[0]) {
			a.final = true
			which = append(which, i)
		}
	}
	return which
}

// outcome is what all results together amount to.
func (r *results) outcome() (job.Outcome, error) {
	switch {
	case r.died != nil: // no worker can bring an agent down: nothing comes before it
		return job.Outcome{Cause: r.died}, nil
	case r.failure != nil:
		return job.Outcome{}, r.failure
	}
	return *r.out, nil
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
