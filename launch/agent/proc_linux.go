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

// stopped reports whether a process was stopped by a signal, or whether it only
// waits for its one child, as a shell does, and that was. One that a debugger
// holds is not stopped in this sense.
func stopped(pid int) bool {
	const depth = 8 // of shells
	for range depth {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		// The name, in parentheses, may hold anything.
		_, state, ok := bytes.Cut(stat[max(bytes.LastIndexByte(stat, ')'), 0):], []byte(") "))
		if !ok || len(state) == 0 {
			return false
		}
		if state[0] == 'T' {
			return true
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return false // a kernel without this file
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
