// Package agent is the node agent behind vgid-launch: it brings the nodes of
// a job together, starts this node's workers and sees them to their end.
package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"vgid/launch/discovery"
)

// Options of one agent. The field names in errors are those of the flags.
type Options struct {
	Command []string // program and arguments of a worker
	Nodes   int      // nodes of the job
	Procs   int      // workers of this node
	Job     string   // letters, digits, . _ -
	Node    string   // name of this node for people; the same characters
	Index   int      // wish for the order of nodes

	BindAddr      string   // IP address of agent and workers
	AdvertiseAddr string   // IP address others reach this node at; empty is BindAddr
	Port          int      // of the agent; 0 takes any free one
	Join          []string // host:port of other agents
	// InsecureNetwork permits addresses other than loopback, over which what
	// workers compute travels in the clear.
	InsecureNetwork bool
	// Secret is what all agents of the job share: gossip is encrypted with it,
	// and who does not know it is not heard. Empty: everybody is.
	Secret []byte

	Timeout time.Duration // for finding and agreeing
	Grace   time.Duration // from SIGTERM to SIGKILL
	LogDir  string        // for one log per rank; empty writes none
	Colour  bool          // colour the prefixes of lines
	// MachineWorkers is how many workers share this machine's cores.
	MachineWorkers int
	Quiet          bool // no lines about the course of things, only failures
	// Watched says that the launcher sees for itself whether the agents live and
	// move, all of them on this machine: what is slow is given time.
	Watched bool
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Check finds what is wrong with the options and with the command.
func (o *Options) Check() error {
	switch {
	case len(o.Command) == 0:
		return errors.New("no command given; write it after --, as in: vgid-launch --nodes 2 --local -- vgid unlearn")
	case o.Nodes < 1 || o.Nodes > 1024:
		return fmt.Errorf("--nodes %d: must be 1 to 1024", o.Nodes)
	case o.Procs < 1 || o.Procs > 64:
		return fmt.Errorf("--nproc-per-node %d: must be 1 to 64", o.Procs)
	case !nameForm.MatchString(o.Job) || len(o.Job) > discovery.MaxJob:
		return fmt.Errorf("--job %q: must be 1 to %d letters, digits, dots, dashes and underscores", o.Job, discovery.MaxJob)
	case !nameForm.MatchString(o.Node) || len(o.Node) > maxNode:
		return fmt.Errorf("node name %q: must be 1 to %d letters, digits, dots, dashes and underscores", o.Node, maxNode)
	case o.Nodes == 1 && len(o.Join) > 0:
		return errors.New("--join with --nodes 1: there is nobody to join; say how many nodes the job has")
	case o.Port < 0 || o.Port > 65535:
		return fmt.Errorf("--port %d: must be 0 to 65535", o.Port)
	case o.Timeout <= 0:
		return fmt.Errorf("--timeout %v: must be positive", o.Timeout)
	case o.Grace < 0:
		return fmt.Errorf("--grace %v: must not be negative", o.Grace)
	}
	if o.AdvertiseAddr == "" {
		o.AdvertiseAddr = o.BindAddr
	}
	for _, a := range []struct{ flag, addr string }{{"--bind-addr", o.BindAddr}, {"--advertise-addr", o.AdvertiseAddr}} {
		ip := net.ParseIP(a.addr)
		switch {
		case ip == nil:
			return fmt.Errorf("%s %q: not an IP address", a.flag, a.addr)
		case ip.IsUnspecified() && a.flag == "--advertise-addr":
			return fmt.Errorf("--advertise-addr is missing: %s says nothing about how others reach this node", a.addr)
		case !ip.IsLoopback() && !o.InsecureNetwork:
			return fmt.Errorf("%s %s: what workers tell each other is not encrypted there; pass --insecure-network if everybody on that network may read it, and give all nodes the same --secret-file so that nobody else takes part", a.flag, a.addr)
		}
	}
	for _, j := range o.Join {
		host, port, err := net.SplitHostPort(j)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || n == 0 {
			return fmt.Errorf("--join %q: not host:port", j)
		}
	}
	if o.LogDir != "" {
		if err := os.MkdirAll(o.LogDir, 0o755); err != nil {
			return fmt.Errorf("--log-dir: %w", err)
		}
	}
	path, err := exec.LookPath(o.Command[0])
	if err != nil {
		return fmt.Errorf("command %q: %w", o.Command[0], errors.Unwrap(err))
	}
	o.Command = append([]string{path}, o.Command[1:]...)
	return nil
}

// maxNode keeps the announcement of a node below what gossip carries.
const maxNode = 63
