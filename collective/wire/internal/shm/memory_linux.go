package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Supported says whether this system can share memory so.
const Supported = true

// seals keep the memory as long as it is: a mapping of memory that became shorter would
// end the process that touches it.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// create makes anonymous memory for a lane, which is gone with the last process that
// has it. It takes pages as they are first touched.
func create(ring int) (f *os.File, mem []byte, err error) {
	fd, err := unix.MemfdCreate("vgid", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, os.NewSyscallError("memfd_create", err)
	}
	f = os.NewFile(uintptr(fd), "shared memory")
	if err = f.Truncate(int64(Size(ring))); err == nil {
		if _, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err == nil {
			mem, err = mapped(f, Size(ring))
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, mem, nil
}

// open maps memory that a peer made, if it cannot become shorter.
func open(f *os.File, ring int) ([]byte, error) {
	if !validRing(ring) {
		return nil, fmt.Errorf("the peer offers rings of %d bytes, want a power of two of %d … %d", ring, MinRing, MaxRing)
	}
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || got&unix.F_SEAL_SHRINK == 0 {
		return nil, errors.New("the peer offers memory that it may take back")
	}
	// Of huge pages there may be none left when one is first touched.
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return nil, errors.New("the peer offers memory of an unknown kind")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Size != int64(Size(ring)) {
		return nil, fmt.Errorf("the peer offers %d bytes of memory, want %d", st.Size, Size(ring))
	}
	return mapped(f, Size(ring))
}

func mapped(f *os.File, size int) ([]byte, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, os.NewSyscallError("mmap", err)
}

func unmap(mem []byte) { _ = unix.Munmap(mem) } // fails only for memory that is not mapped

// yield lets other processes run.
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
