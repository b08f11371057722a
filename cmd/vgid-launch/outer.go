package main

import (
	"fmt"
	"net"
	"strings"

	"vgid/cmd/internal/remedy"
	"vgid/launch"
	"vgid/launch/agent"
)

// adopt takes from another launcher what the flags leave open: how many nodes
// the job has, which one this is, and where they meet. It returns what it
// took, in words. given tells which flags were set.
// Two launchers around one job are a mistake more often than not, so that each contradiction
// between them ends it before anything is started.
func adopt(o *agent.Options, outer launch.Outer, given func(flag string) bool) (string, error) {
	if !outer.Found() {
		return "", nil
	}
	alone := remedy.Alone()
	switch {
	case given("local"):
		return "", fmt.Errorf("%v; --local would start the whole job in each of them; leave it out, %s", outer, alone)
	case outer.Local > 1:
		return "", fmt.Errorf("%v, %d of them on this node, where vgid-launch starts the workers itself (--nproc-per-node); %s; %s", outer, outer.Local, remedy.Instead(outer.Launcher), alone)
	case outer.Size == 0 && !given("nodes"):
		return "", fmt.Errorf("%v, but does not say of how many; give --nodes, %s", outer, alone)
	case outer.Size > 0 && given("nodes") && o.Nodes != outer.Size:
		return "", fmt.Errorf("%v, but --nodes is %d; give both the same number, %s", outer, o.Nodes, alone)
	}
	// Processes of the other launcher are nodes here, as each starts one vgid-launch.
	if outer.Size > 0 {
		o.Nodes = outer.Size
	}
	// The variables are named, so that who set them without knowing finds them.
	said := fmt.Sprintf("%s: node %d of %d", strings.Join(outer.Vars, ", "), outer.Rank, o.Nodes)
	if !given("node-rank") {
		o.Index = outer.Rank
	}
	// The first node is the one that all others know the address of, and joins nobody.
	if outer.Master != "" && outer.Rank > 0 && !given("join") {
		o.Join = []string{net.JoinHostPort(outer.Master, fmt.Sprint(o.Port))}
		said += ", which joins " + o.Join[0]
	}
	return said, nil
}

// ownAddress gives the address of this machine that a --bind-addr means: an
// address itself, or the network that it is in, which is the same on all
// nodes, as 10.0.0.0/8.
// A network may stand in a job script, which is the same on all nodes.
// What is no network is given back as it is.
func ownAddress(s string, own func() ([]net.Addr, error)) (string, error) {
	_, network, err := net.ParseCIDR(s)
	if err != nil {
		return s, nil // the agent judges it
	}
	addrs, err := own()
	if err != nil {
		return "", fmt.Errorf("--bind-addr %s: the addresses of this machine cannot be read: %w", s, err)
	}
	var found []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && network.Contains(n.IP) {
			found = append(found, n.IP.String())
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("--bind-addr %s: this machine has no address in this network", s)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("--bind-addr %s: this machine has several addresses in this network, %s; give one of them, or a smaller network", s, strings.Join(found, " and "))
}
