package origin

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
)

// machine is one for all that runs under one kernel since it started, whose
// numbers of devices and inodes are the same for all of them.
var machine = sync.OnceValue(func() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot))
})

// identity has the time of the last change of the inode in it: programs that copy
// set the time of the content back, that one they cannot.
func identity(info fs.FileInfo) ID {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || machine() == "" {
		return ""
	}
	return ID(fmt.Sprintf("%s %d %d %d %d.%d %d.%d", machine(), s.Dev, s.Ino, s.Size, s.Mtim.Sec, s.Mtim.Nsec, s.Ctim.Sec, s.Ctim.Nsec))
}
