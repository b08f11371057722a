package fileid

import (
	"fmt"
	"io/fs"
	"syscall"
)

// of has the time of the last change of the inode in it: programs that copy set
// the time of the content back, that one they cannot.
func of(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d %d %d.%d %d.%d", s.Dev, s.Ino, s.Size, s.Mtim.Sec, s.Mtim.Nsec, s.Ctim.Sec, s.Ctim.Nsec)
}
