package h2

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVec is how many pieces one system call takes (IOV_MAX).
const maxVec = 1024

// rawConn gives the socket below a connection, if nothing is in between.
func rawConn(c net.Conn) syscall.RawConn {
	switch c := c.(type) {
	case *net.TCPConn:
		return raw(c)
	case *net.UnixConn:
		return raw(c)
	}
	return nil
}

func raw(c syscall.Conn) syscall.RawConn {
	r, err := c.SyscallConn()
	if err != nil {
		return nil // closed already, which the first read tells
	}
	return r
}

// iovecs is memory for the arguments of a system call.
type iovecs []unix.Iovec

// readSocket reads what is there; again says that nothing is.
func (v *iovecs) readSocket(fd uintptr, vec [][]byte) (n int, again bool, err error) {
	n, again, err = v.call(unix.SYS_READV, fd, vec)
	hasRead(vec, n)
	return n, again, err
}

// writeSocket writes what there is room for; again says that there is none.
func (v *iovecs) writeSocket(fd uintptr, vec [][]byte) (n int, again bool, err error) {
	willWrite(vec)
	return v.call(unix.SYS_WRITEV, fd, vec)
}

// call is not x/sys's Readv and Writev: these tell the race detector of the memory that
// is written to a socket after the call, when the peer, if it is of this process, may
// have answered, and the answer have overwritten it.
func (v *iovecs) call(trap, fd uintptr, vec [][]byte) (n int, again bool, err error) {
	io := (*v)[:0]
	for _, b := range vec[:min(len(vec), maxVec)] {
		if len(b) > 0 {
			io = append(io, unix.Iovec{Base: unsafe.SliceData(b)})
			io[len(io)-1].SetLen(len(b))
		}
	}
	*v = io
	defer clear(io) // the memory is the caller's again
	for {
		r, _, errno := syscall.Syscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(io))), uintptr(len(io)))
		switch errno {
		case 0:
			return int(r), false, nil
		case unix.EAGAIN:
			return 0, true, nil
		case unix.EINTR:
		default:
			return 0, false, errno
		}
	}
}

// yieldCore lets other processes run on this core.
func yieldCore() {
	_, _, _ = syscall.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // never fails
}
