package main

import (
	"errors"
	"fmt"
	"os"

	"vgid/launch/agent"
	"vgid/launch/job"
	"vgid/launch/option"
)

// flags are the settings of packages below launch as this program spells them.
// Packages below launch know settings by option.Name alone, and other programs may spell them
// otherwise.
// A test sees to it that every setting is in it.
var flags = map[option.Name]string{
	option.Nodes:           "--nodes",
	option.Procs:           "--nproc-per-node",
	option.Job:             "--job",
	option.NodeName:        "--node-name",
	option.Join:            "--join",
	option.BindAddr:        "--bind-addr",
	option.AdvertiseAddr:   "--advertise-addr",
	option.Port:            "--port",
	option.InsecureNetwork: "--insecure-network",
	option.SecretFile:      "--secret-file",
	option.Timeout:         "--timeout",
	option.Grace:           "--grace",
	option.LogDir:          "--log-dir",
}

// words is an error as a person reads it.
func words(err error) string {
	if errors.Is(err, agent.ErrNoCommand) {
		return err.Error() + "; write it after --, as in: vgid-launch --nodes 2 --local -- vgid unlearn"
	}
	return option.Spell(err, func(n option.Name) string { return flags[n] })
}

// say prints a line.
func say(err error) { fmt.Fprintf(os.Stderr, "vgid-launch: %s\n", words(err)) }

// causeWords is the last line of a job that failed, but for the program's name.
// The advice names flags of this program, which package job does not know.
func causeWords(c job.Cause) string {
	switch c.Advice {
	case job.KeepReport:
		return fmt.Sprintf("%s (the whole report is in the output of %s; --log-dir keeps it in a file)", c.Text, c.Node)
	case job.MakeRoom:
		return c.Text + "; keep its output open, and make room for --log-dir"
	}
	return c.Text
}
