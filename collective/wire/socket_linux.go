package wire

import (
	"net"

	"golang.org/x/sys/unix"
)

// mostUnsent is how many bytes the kernel takes of a connection beyond those that are
// under way. Control messages stand behind them: on a link of 2 Mbit/s the four MiB that
// Linux would take are 16 seconds.
const mostUnsent = 256 << 10

// tune sets what a connection that signs of life go over needs; where the kernel refuses
// it, it does as it always did.
//
// It tries again at least once a second what was not acknowledged. TCP doubles the time
// between tries: after a cut of three seconds the next is due six seconds after the first,
// and until then a rank that is back is not heard. Kernels before 6.15 know only the
// second option, which helps while little is under way.
func tune(c net.Conn) {
	if p, ok := c.(*pending); ok {
		c = p.Conn
	}
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		const rtoMaxMS = 44 // TCP_RTO_MAX_MS of linux/tcp.h; the least it takes is a second
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, rtoMaxMS, 1000)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, mostUnsent)
	})
}
