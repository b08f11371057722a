// Package agent is the node agent behind vgid-launch: it brings the nodes of
// a job together, starts this node's workers and sees them to their end.
//
// It has the sockets, the processes and the time; what is done with them is
// decided by launch/job. Begin reading at Run: its loop hands every event to the
// machine and carries out what that asks for. RunLocal starts several such
// agents as processes of this machine, which Child is the main function of.
//
// It must hold that nothing outlives Run, and that no worker outlives its agent,
// however that ends: on Linux the kernel sees to it.
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
	"vgid/launch/job"
	"vgid/launch/option"
)

// Options of one agent. Errors speak of them by their names in package option.
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
	// StandFor is how long a worker, or with RunLocal an agent, may be stopped by a
	// signal before it is killed; 0 is job.StandFor.
	StandFor time.Duration
	LogDir   string // for one log per rank; empty writes none
	Records  string // folder for what workers record of their calls when they fail; empty: they do not
	Colour   bool   // colour the prefixes of lines
	// MachineWorkers is how many workers share this machine's cores.
	MachineWorkers int
	Quiet          bool // no lines about the course of things, only failures
	// Watched says that the launcher sees for itself whether the agents live and
	// move, all of them on this machine: what is slow is given time.
	Watched bool
}

// nameForm and nameRule are the names of jobs and nodes, which stand in files and metrics.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

const nameRule = "must be 1 to %d letters, digits, dots, dashes and underscores, a letter or digit first"

// ErrNoCommand says that there is nothing to run.
var ErrNoCommand = errors.New("no command given")

// Check finds what is wrong with the options and with the command. What is
// left out gets its default.
func (o *Options) Check() error {
	switch {
	case len(o.Command) == 0:
		return ErrNoCommand
	case o.Nodes < 1 || o.Nodes > 1024:
		return option.Errorf("%v %d: must be 1 to 1024", option.Nodes, o.Nodes)
	case o.Procs < 1 || o.Procs > 64:
		return option.Errorf("%v %d: must be 1 to 64", option.Procs, o.Procs)
	case !nameForm.MatchString(o.Job) || len(o.Job) > discovery.MaxJob:
		return option.Errorf("%v %q: "+nameRule, option.Job, o.Job, discovery.MaxJob)
	case !nameForm.MatchString(o.Node) || len(o.Node) > maxNode:
		return option.Errorf("%v %q: "+nameRule, option.NodeName, o.Node, maxNode)
	case o.Nodes == 1 && len(o.Join) > 0:
		return option.Errorf("%v with %v 1: there is nobody to join; say how many nodes the job has", option.Join, option.Nodes)
	case o.Port < 0 || o.Port > 65535:
		return option.Errorf("%v %d: must be 0 to 65535", option.Port, o.Port)
	case o.Timeout <= 0:
		return option.Errorf("%v %v: must be positive", option.Timeout, o.Timeout)
	case o.Grace < 0:
		return option.Errorf("%v %v: must not be negative", option.Grace, o.Grace)
	}
	if o.StandFor == 0 {
		o.StandFor = job.StandFor
	}
	if err := o.checkAddresses(); err != nil {
		return err
	}
	if o.LogDir != "" {
		if err := os.MkdirAll(o.LogDir, 0o755); err != nil {
			return option.Errorf("%v: %w", option.LogDir, err)
		}
	}
	// Found here, before the nodes meet: a typing error is told at once.
	path, err := exec.LookPath(o.Command[0])
	if err != nil {
		return fmt.Errorf("command %q: %w", o.Command[0], errors.Unwrap(err))
	}
	o.Command = append([]string{path}, o.Command[1:]...)
	return nil
}

func (o *Options) checkAddresses() error {
	given := o.AdvertiseAddr != ""
	if !given {
		o.AdvertiseAddr = o.BindAddr
	}
	for _, a := range []struct {
		name option.Name
		addr string
	}{{option.BindAddr, o.BindAddr}, {option.AdvertiseAddr, o.AdvertiseAddr}} {
		ip := net.ParseIP(a.addr)
		switch {
		case ip == nil:
			return option.Errorf("%v %q: not an IP address; give one of this machine", a.name, a.addr)
		case ip.IsUnspecified() && a.name == option.AdvertiseAddr && given:
			return option.Errorf("%v %s: no other node can call this one there; give the address at which they reach it", a.name, a.addr)
		case ip.IsUnspecified() && a.name == option.AdvertiseAddr:
			return option.Errorf("%v is missing: %s says nothing about how others reach this node", a.name, a.addr)
		case !ip.IsLoopback() && !o.InsecureNetwork:
			return option.Errorf("%v %s: what workers tell each other is not encrypted there; pass %v if everybody on that network may read it, and give all nodes the same %v so that nobody else takes part",
				a.name, a.addr, option.InsecureNetwork, option.SecretFile)
		}
	}
	for _, j := range o.Join {
		host, port, err := net.SplitHostPort(j)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || n == 0 {
			return option.Errorf("%v %q: not host:port, such as 10.0.0.1:7946", option.Join, j)
		}
	}
	return nil
}

// maxNode keeps the announcement of a node below what gossip carries.
const maxNode = 63
