package agent

import "syscall"

// procAttr puts a worker into its own process group, so that Ctrl-C reaches it
// through the launcher once and not twice, and ties its life to the agent's.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
