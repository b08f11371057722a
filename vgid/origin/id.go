package origin

import (
	"io/fs"
	"os"
	"strings"
	"sync"

	"vgid/model/kit/fileid"
)

// machine is one for all that runs under one kernel since it started, whose
// numbers of devices and inodes are the same for all of them. It is "" where that
// cannot be told.
// Device and inode alone would be equal on machines that were copied from one image.
var machine = sync.OnceValue(func() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot))
})

// identity is "" where files have none, so that every worker reads its own.
func identity(info fs.FileInfo) ID {
	id := fileid.Of(info)
	if id == "" || machine() == "" {
		return ""
	}
	return ID(machine() + " " + id)
}
