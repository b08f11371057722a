package netlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// device is the name of a node's only network device but the loopback.
const device = "lab0"

// node is a network namespace with a device, whose other end this process holds.
type node struct {
	space *os.File // the namespace, which exists while it is open
	tun   *os.File // what the node sends is read here, what it is to receive written
}

// newNode makes a namespace. The thread that does so is never used again: it has left the network of the process.
func newNode(number int, address net.IP) (*node, error) {
	n := &node{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("a network namespace cannot be made: %w; run as root, or with CAP_SYS_ADMIN", err)
		}
		var err error
		if n.space, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())); err != nil {
			return err
		}
		if n.tun, err = openDevice(); err != nil {
			return err
		}
		return configure(address)
	})
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// onThread runs f on an operating-system thread of its own, which ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the runtime ends the thread
		done <- f()
	}()
	return <-done
}

// inside runs f in the node's namespace: sockets that it opens and processes that it starts are there.
func (n *node) inside(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.space.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return f()
	})
}

// openDevice makes the device in the namespace of the thread.
func openDevice() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w; the kernel needs its module tun", err)
	}
	f, err := unix.NewIfreq(device)
	if err == nil {
		f.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, f)
	}
	if err == nil {
		// Packets without checksums, and long ones that are not cut into segments yet.
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("network device: %w", err)
	}
	// Only now, since the runtime's poller takes no device that is not attached yet.
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// configure gives the device its address in a /24 network, and has it and the loopback up.
func configure(address net.IP) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	set := func(name string, request uint, fill func(*unix.Ifreq) error) {
		if err != nil {
			return
		}
		f, ferr := unix.NewIfreq(name)
		if err = ferr; err == nil {
			if err = fill(f); err == nil {
				err = unix.IoctlIfreq(s, request, f)
			}
		}
		if err != nil {
			err = fmt.Errorf("set up %s: %w", name, err)
		}
	}
	up := func(f *unix.Ifreq) error { f.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }
	set("lo", unix.SIOCSIFFLAGS, up)
	set(device, unix.SIOCSIFADDR, func(f *unix.Ifreq) error { return f.SetInet4Addr(address.To4()) })
	set(device, unix.SIOCSIFNETMASK, func(f *unix.Ifreq) error { return f.SetInet4Addr([]byte{255, 255, 255, 0}) })
	// As Ethernet has it; long packets are cut into segments of it on the wire, by packet.onWire.
	set(device, unix.SIOCSIFMTU, func(f *unix.Ifreq) error { f.SetUint32(1500); return nil })
	// Room for what comes while the switch does not look; the default of 500 packets loses some.
	set(device, unix.SIOCSIFTXQLEN, func(f *unix.Ifreq) error { f.SetUint32(10_000); return nil })
	set(device, unix.SIOCSIFFLAGS, up)
	return err
}

func (n *node) close() error {
	var err error
	for _, f := range []*os.File{n.tun, n.space} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
