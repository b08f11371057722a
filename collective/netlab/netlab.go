// Package netlab makes a network of several nodes on one machine, for measuring: each node is a network namespace
// of Linux, and between them is a switch in this process whose links have a rate and a delay.
//
// It is there because a loopback has neither, and because the kernel's own emulator (netem) is not in every kernel.
// It is a model of a cluster's network, not a copy: nothing is lost but where a queue would grow without end, links
// do not fail, and all nodes share the processors of the one machine, which also runs the switch.
package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"time"
)

// Spec says what network to make.
type Spec struct {
	Nodes int `json:"-"`
	// Rate is that of each node's link, in bits a second, each way, with the headers of Ethernet, IP and TCP.
	Rate float64 `json:"rate_bits_per_second"`
	// Delay is from one node to another; a round trip takes twice as long.
	Delay time.Duration `json:"delay_ns"`
}

// String is as "links of 10 Gbit/s, 1ms from node to node".
func (s Spec) String() string {
	return fmt.Sprintf("links of %.4g Gbit/s, %v from node to node", s.Rate/1e9, s.Delay)
}

// MaxNodes is what fits in one /24 network.
const MaxNodes = 250

// Check says what is wrong with a specification.
func (s Spec) Check() error {
	switch {
	case s.Nodes < 1 || s.Nodes > MaxNodes:
		return fmt.Errorf("%d nodes: a network has 1 to %d", s.Nodes, MaxNodes)
	case s.Rate < 1e6 || s.Rate > 400e9:
		return fmt.Errorf("a rate of %g bit/s: it lies between 1 Mbit/s and 400 Gbit/s", s.Rate)
	case s.Delay < 0 || s.Delay > 10*time.Second:
		return fmt.Errorf("a delay of %v: it lies between 0 and 10 s", s.Delay)
	}
	return nil
}

// Lab is a network that runs.
//
// What must always hold: nothing of it outlives the process, however that ends, since namespaces and devices exist
// only by file descriptors; and packets of one node to another keep their order.
type Lab struct {
	spec  Spec
	nodes []*node
	work  sync.WaitGroup
}

// Start makes the network. It takes the right to make network namespaces and devices, which root has.
func Start(spec Spec) (*Lab, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	l := &Lab{spec: spec}
	for i := range spec.Nodes {
		n, err := newNode(i, Address(i))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("node %d of the network: %w", i, err), l.Close())
		}
		l.nodes = append(l.nodes, n)
	}
	l.connect()
	return l, nil
}

// Address is the IPv4 address of a node: 10.213.7.1 has the first.
func Address(node int) net.IP { return net.IPv4(10, 213, 7, byte(node+1)) }

// Listen opens a TCP port, which the kernel chooses, on a node's address.
func (l *Lab) Listen(ctx context.Context, node int) (net.Listener, error) {
	var lis net.Listener
	err := l.nodes[node].inside(func() (err error) {
		lis, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(Address(node).String(), "0"))
		return err
	})
	return lis, err
}

// Run starts a command on a node; the caller waits for it. Its processes are in the node's network and all else
// is this process's. The command must not ask for a signal at its parent's death: the parent is a thread that ends.
func (l *Lab) Run(node int, cmd *exec.Cmd) error { return l.nodes[node].inside(cmd.Start) }

// Close ends the switch. Processes that still run on a node are then without a network.
func (l *Lab) Close() error {
	var err error
	for _, n := range l.nodes {
		err = errors.Join(err, n.close())
	}
	l.work.Wait()
	return err
}
