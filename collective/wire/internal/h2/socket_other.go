//go:build !linux

package h2

import (
	"errors"
	"net"
	"syscall"
)

// rawConn gives nothing: connections are read and written as any other.
func rawConn(net.Conn) syscall.RawConn { return nil }

type iovecs struct{}

func (*iovecs) readSocket(uintptr, [][]byte) (int, bool, error) {
	return 0, false, errors.ErrUnsupported
}
func (*iovecs) writeSocket(uintptr, [][]byte) (int, bool, error) {
	return 0, false, errors.ErrUnsupported
}

func yieldCore() {}
