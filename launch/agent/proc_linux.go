package agent

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// procAttr puts a worker into its own process group, so that Ctrl-C reaches it
// through the launcher once and not twice, and ties its life to the agent's.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// canWatch says that stopped knows.
const canWatch = true

// stopped reports whether a process was stopped by a signal. One that a
// debugger holds is not stopped in this sense.
func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name, in parentheses, may hold anything.
	_, state, ok := bytes.Cut(stat[max(bytes.LastIndexByte(stat, ')'), 0):], []byte(") "))
	return ok && len(state) > 0 && state[0] == 'T'
}

// stoppedBelow reports whether a process is stopped, or only waits for its one
// child, as a shell does, and that is.
func stoppedBelow(pid int) bool {
	const depth = 8 // of shells
	for range depth {
		if stopped(pid) {
			return true
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return false // gone, or a kernel without this file
		}
		only := bytes.Fields(children)
		if len(only) != 1 {
			return false
		}
		if pid, err = strconv.Atoi(string(only[0])); err != nil {
			return false
		}
	}
	return false
}
