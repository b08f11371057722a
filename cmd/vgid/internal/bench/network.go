package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/collective/netlab"
)

// network runs a program once on each node of a network that is made for it.
func network() *cli.Command {
	return &cli.Command{
		Name: "network", Usage: "run a command on every node of a network made on this machine, with a rate and a delay (Linux, root)",
		ArgsUsage: "-- COMMAND [ARGUMENTS]",
		Description: "In the arguments {node} stands for the node's number, {address} for its address, {first} for the address of node 0:\n\n" +
			"vgid bench network --nodes 2 --rate 10gbit --delay 1ms -- vgid-launch --nodes 2 --node-rank {node} --bind-addr {address} --join {first}:7946 --insecure-network -- vgid run --config quickstart",
		Flags: append(networkFlags("10gbit", time.Millisecond), &cli.IntFlag{Name: "nodes", Value: 2, Usage: "`N` nodes"}),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return cmdline.Errorf(c, "it takes the command to run on each node, behind --")
			}
			spec, err := networkSpec(c, c.Int("nodes"))
			if err != nil {
				return cmdline.Errorf(c, "%w", err)
			}
			if err := runOnNodes(c.Context, spec, c.Args().Slice()); err != nil {
				return cmdline.Errorf(c, "%w", err)
			}
			return nil
		},
	}
}

// networkFlags are those of a network's links; without a rate there is no such network.
func networkFlags(rate string, delay time.Duration) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "rate", Value: rate, Usage: "`RATE` of each node's link, each way, in mbit or gbit a second"},
		&cli.DurationFlag{Name: "delay", Value: delay, Usage: "`TIME` from one node to another"},
	}
}

func networkSpec(c *cli.Context, nodes int) (netlab.Spec, error) {
	if c.String("rate") == "" {
		return netlab.Spec{}, errors.New("--delay is of a network that --rate asks for: give that too")
	}
	rate, err := netlab.ParseRate(c.String("rate"))
	if err != nil {
		return netlab.Spec{}, fmt.Errorf("--rate: %w", err)
	}
	spec := netlab.Spec{Nodes: nodes, Rate: rate, Delay: c.Duration("delay")}
	return spec, spec.Check()
}

// runOnNodes runs a command on all nodes and waits for it on each. The error names the first node on which it failed.
func runOnNodes(ctx context.Context, spec netlab.Spec, command []string) (err error) {
	lab, err := netlab.Start(spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	cmds := make([]*exec.Cmd, 0, spec.Nodes)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for i := range spec.Nodes {
		cmd := exec.CommandContext(ctx, command[0], onNode(command[1:], i)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		// In order first: what it started has to end as well.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 30 * time.Second
		if err = lab.Run(i, cmd); err != nil {
			err = fmt.Errorf("node %d: %w", i, err)
			stop()
			break
		}
		cmds = append(cmds, cmd)
	}
	for i, cmd := range cmds {
		if werr := cmd.Wait(); err == nil && werr != nil {
			err = fmt.Errorf("node %d: %s: %w", i, command[0], werr)
		}
	}
	return err
}

// onNode puts a node's place into the arguments.
func onNode(args []string, node int) []string {
	place := strings.NewReplacer("{node}", strconv.Itoa(node), "{address}", netlab.Address(node).String(), "{first}", netlab.Address(0).String())
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = place.Replace(a)
	}
	return out
}
