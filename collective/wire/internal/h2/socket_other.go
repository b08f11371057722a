//go:build !linux && !darwin

package h2

import (
	"errors"
	"net"
	"syscall"
)

// rawConn gives nothing: connections are read and written as any other.
func rawConn(net.Conn) syscall.RawConn { return nil }

func readSocket(uintptr, [][]byte) (int, bool, error)  { return 0, false, errors.ErrUnsupported }
func writeSocket(uintptr, [][]byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }
