//go:build unix && !linux

package agent

import "syscall"

// procAttr puts a worker into its own process group, so that Ctrl-C reaches it
// through the launcher once and not twice.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// canWatch says that stopped does not know.
const canWatch = false

// stopped is not known here.
func stopped(int) bool { return false }

// stoppedBelow is not known here.
func stoppedBelow(int) bool { return false }
