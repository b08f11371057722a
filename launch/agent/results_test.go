//go:build unix

package agent

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vgid/launch/job"
)

// TestResults gives the answers of three agents one after another, and looks at
// what is done with the agents and what comes out.
func TestResults(t *testing.T) {
	ended := func(s syscall.Signal) error { // how exec tells of a signal
		c := exec.Command("sh", "-c", "kill -"+map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL"}[s]+" $$")
		return c.Run()
	}
	well := &job.Outcome{}
	failed := &job.Outcome{Cause: &job.Cause{Rank: 1, Code: 3, Text: "rank 1 failed"}}
	lost := &job.Outcome{Cause: &job.Cause{Rank: -1, Node: "node2", Code: 1, Text: "node2 was lost"}}
	type step struct {
		node    int
		a       answer
		died    error
		stood   time.Duration
		fenced  []int
		release bool
	}
	for name, c := range map[string]struct {
		steps []step
		alone bool // the agents do not know of each other
		code  int
		err   string
		text  string
	}{
		"all ends well":                  {steps: []step{{node: 0, a: answer{Outcome: well}}, {node: 1, a: answer{Outcome: well}}, {node: 2, a: answer{Outcome: well}}, {node: 2, died: errors.New("ended")}}},
		"a failure counts more":          {steps: []step{{node: 0, a: answer{Outcome: well}}, {node: 1, a: answer{Outcome: failed}}, {node: 2, a: answer{Outcome: well}}}, code: 3, text: "rank 1 failed"},
		"the others went on without one": {steps: []step{{node: 0, a: answer{Outcome: lost}, fenced: []int{2}}, {node: 2, died: ended(syscall.SIGKILL)}, {node: 1, a: answer{Outcome: lost}}}, code: 1, text: "node2 was lost"},
		"an agent is killed":             {steps: []step{{node: 1, died: ended(syscall.SIGKILL)}, {node: 0, a: answer{Outcome: failed}}, {node: 2, a: answer{Outcome: failed}}}, code: 1, text: "node node1 was lost: its agent process ended early (signal: killed)"},
		"an agent stood still":           {steps: []step{{node: 1, died: ended(syscall.SIGKILL), stood: 4100 * time.Millisecond}, {node: 0, a: answer{Outcome: failed}}, {node: 2, a: answer{Outcome: failed}}}, code: 1, text: "node node1 was lost: its agent process stood still for 4.1s"},
		"killed before they had met":     {steps: []step{{node: 1, died: errors.New("exit status 2"), release: true}, {node: 0, a: answer{Err: "left alone"}, release: true}, {node: 2, a: answer{Err: "left alone"}, release: true}}, alone: true, code: 1, text: "ended early (exit status 2)"},
		"one cannot begin":               {steps: []step{{node: 0, a: answer{Err: "no port"}, release: true}, {node: 1, a: answer{Err: "interrupted", Interrupted: 15}, release: true}, {node: 2, a: answer{Err: "x"}, release: true}}, alone: true, err: "no port"},
		"interrupted before it began":    {steps: []step{{node: 0, a: answer{Err: "interrupted", Interrupted: 2}, release: true}, {node: 1, died: ended(syscall.SIGTERM), release: true}, {node: 2, a: answer{Err: "x"}, release: true}}, alone: true, err: "interrupted (SIGINT) before"},
		"ended before it was deaf":       {steps: []step{{node: 2, died: ended(syscall.SIGTERM), release: true}, {node: 0, a: answer{Err: "x"}, release: true}, {node: 1, a: answer{Err: "x"}, release: true}}, alone: true, err: "interrupted (SIGTERM) before"},
	} {
		var r results
		for _, n := range []string{"node0", "node1", "node2"} {
			r.add(n)
		}
		r.joined = !c.alone
		for i, s := range c.steps {
			if !r.open() && s.died == nil {
				t.Errorf("%s: nothing is open before step %d", name, i)
			}
			fenced, release := r.take(s.node, s.a, s.died, s.stood)
			if !slices.Equal(fenced, s.fenced) || release != s.release {
				t.Errorf("%s: step %d: fenced %v, release %t", name, i, fenced, release)
			}
		}
		if r.open() {
			t.Errorf("%s: something is open at the end", name)
		}
		out, err := r.outcome()
		if out.Code() != c.code || c.text != "" && (out.Cause == nil || !strings.Contains(out.Cause.Text, c.text)) || (err != nil) != (c.err != "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

// Agents that are late when the others are done are given up, all of them.
func TestLateAgentsAreFenced(t *testing.T) {
	var r results
	for _, n := range []string{"node0", "node1", "node2"} {
		r.add(n)
	}
	r.joined = true
	r.take(1, answer{Outcome: &job.Outcome{}}, nil, 0)
	if got := r.fence(); !slices.Equal(got, []int{0, 2}) || r.open() || !r.known(0) {
		t.Errorf("fenced %v", got)
	}
}
