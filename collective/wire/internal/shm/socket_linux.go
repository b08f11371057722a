package shm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var bellByte = []byte{msgBell}

// ringOn sends the byte that wakes. If the socket takes no more there are bytes in it that
// the peer has not read, and it will look.
func ringOn(fd uintptr) {
	_ = unix.Sendto(int(fd), bellByte, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}

func rightsOf(f *os.File) []byte { return unix.UnixRights(int(f.Fd())) }

// SameUser reports whether the process at the other end of a connection belongs to the user
// of this one.
func SameUser(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if me := os.Geteuid(); int(cred.Uid) != me {
		return fmt.Errorf("the process at the other end belongs to user %d, this one to %d", cred.Uid, me)
	}
	return nil
}

// receive reads what there is and calls stir; it waits if there is nothing.
func (in *inbox) receive(raw syscall.RawConn, stir func()) error {
	var oob [64]byte
	var failure error
	err := raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, err := unix.Recvmsg(int(fd), in.buf[in.n:], oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		for err == unix.EINTR {
			n, oobn, _, _, err = unix.Recvmsg(int(fd), in.buf[in.n:], oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		}
		switch {
		case err == unix.EAGAIN:
			return false
		case err != nil:
			failure = os.NewSyscallError("recvmsg", err)
		case n == 0:
			failure = io.EOF
		default:
			in.n += n
			failure = in.keep(oob[:oobn])
			stir()
		}
		return true
	})
	return errors.Join(err, failure)
}

// keep takes the file descriptors that came.
func (in *inbox) keep(oob []byte) error {
	if len(oob) == 0 {
		return nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // another kind of message, which carries none
		}
		for _, fd := range fds {
			in.files = append(in.files, os.NewFile(uintptr(fd), "shared memory"))
		}
	}
	if len(in.files) > 1 {
		return errors.New("more file descriptors than lanes")
	}
	return nil
}
