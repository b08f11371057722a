//go:build linux || darwin

package h2

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxVec is how many pieces one system call takes (IOV_MAX of both systems).
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

// readSocket reads what is there; again says that nothing is.
func readSocket(fd uintptr, vec [][]byte) (n int, again bool, err error) {
	if len(vec[1]) == 0 {
		vec = vec[:1]
	}
	for {
		n, err = unix.Readv(int(fd), vec)
		switch {
		case err == nil:
			return n, false, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, true, nil
		case !errors.Is(err, unix.EINTR):
			return 0, false, err
		}
	}
}

// writeSocket writes what there is room for; again says that there is none.
func writeSocket(fd uintptr, vec [][]byte) (n int, again bool, err error) {
	for {
		n, err = unix.Writev(int(fd), vec[:min(len(vec), maxVec)])
		switch {
		case err == nil:
			return n, false, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, true, nil
		case !errors.Is(err, unix.EINTR):
			return 0, false, err
		}
	}
}
