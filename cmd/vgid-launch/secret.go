package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"vgid/launch"
	"vgid/launch/agent"
)

// secret finds what proves an agent to the others: a file or the environment,
// never the command line, which every user of a machine can read. Agents on
// the loopback of one machine share one of their user's by themselves; those
// of --local get one per launch from RunLocal. It returns nil where there is
// none, and then says so.
// The line is a warning and no error: a trusted network is the user's to judge.
func secret(file string, o agent.Options, local bool, lookup func(string) (string, bool)) (s []byte, said string, err error) {
	env, given := lookup(launch.EnvSecret)
	switch {
	case file != "":
		if s, err = agent.ReadSecret(file); err != nil {
			return nil, "", fmt.Errorf("--secret-file: %w", err)
		}
		return s, "", nil
	// The environment is open to the user's own processes alone, unlike a command line.
	case given:
		return []byte(env), "", agent.CheckSecret(launch.EnvSecret, []byte(env))
	// Nobody to prove anything to, or children that have theirs from this process.
	case o.Nodes == 1 || local:
		return nil, "", nil
	case net.ParseIP(o.BindAddr).IsLoopback():
		// One for all jobs of the user, in a file that other users cannot read: loopback is open to
		// everybody on the machine.
		dir, err := os.UserConfigDir()
		if err == nil {
			s, err = agent.UserSecret(filepath.Join(dir, "vgid"))
		}
		if err != nil {
			return nil, "", fmt.Errorf("no secret for the agents: %w; give all nodes the same --secret-file", err)
		}
		return s, "", nil
	}
	return nil, "nothing proves that the other agents are yours: whoever reaches this one can take part and end the job; give all nodes the same --secret-file, or " + launch.EnvSecret, nil
}
