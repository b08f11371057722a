//go:build !linux

package shm

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// Supported says whether this system can share memory so. Elsewhere than on Linux nothing
// is called but what says so.
const Supported = false

var errUnsupported = errors.New("memory is shared on Linux alone")

func create(int) (*os.File, []byte, error) { return nil, nil, errUnsupported }

func open(*os.File, int) ([]byte, error) { return nil, errUnsupported }

func unmap([]byte) {}

func yield() {}

func ringOn(uintptr) {}

func rightsOf(*os.File) []byte { return nil }

// SameUser refuses every connection.
func SameUser(*net.UnixConn) error { return errUnsupported }

func (*inbox) receive(syscall.RawConn, func()) error { return errUnsupported }
