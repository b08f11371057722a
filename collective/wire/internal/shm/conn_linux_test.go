package shm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vgid/collective/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mostPayload = 1 << 20

var testOptions = Options{MaxPayload: mostPayload, Ring: MinRing, Look: 20 * time.Microsecond}

// sockets gives the two ends of a unix connection.
func sockets(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// pair gives the two ends of a connection, and the lanes that the second one takes.
func pair(t testing.TB) (a, b *Conn, taken chan *Lane) {
	t.Helper()
	sa, sb := sockets(t)
	taken = make(chan *Lane, 8)
	a, err := New(sa, testOptions, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err = New(sb, testOptions, func(_ uint32, l *Lane) bool { taken <- l; return true })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b, taken
}

// lanes gives the two ends of a lane.
func lanes(t testing.TB) (a, b *Lane) {
	t.Helper()
	ca, _, taken := pair(t)
	a, err := ca.Open(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return a, <-taken
}

func send(l *Lane, n int) error {
	sent := frame.NewInflight()
	sent.Add()
	return l.Send(&frame.Header{Call: frame.CallBarrier, Length: uint32(n)}, make([]byte, n), sent)
}

// Whoever waits returns when this end ends the lane, when the peer does, and when the peer
// is gone.
func TestEndsAreNoticed(t *testing.T) {
	for name, end := range map[string]func(here, there *Lane){
		"reset here":  func(here, _ *Lane) { here.Reset() },
		"left here":   func(here, _ *Lane) { here.Leave() },
		"left there":  func(_, there *Lane) { there.Leave() },
		"gone there":  func(_, there *Lane) { there.conn.Close() },
		"broken here": func(here, _ *Lane) { here.conn.Break() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := lanes(t)
			waits := make(chan error, 2)
			go func() {
				_, err := a.Recv()
				waits <- err
			}()
			go func() {
				for {
					if err := send(a, 100<<10); err != nil {
						waits <- err
						return
					}
				}
			}()
			time.Sleep(time.Millisecond) // some of the time they sleep by then
			end(a, b)
			for range cap(waits) {
				if err := <-waits; !errors.Is(err, errOver) && !errors.Is(err, errLeft) && !errors.Is(err, errLost) {
					t.Errorf("ends with %v", err)
				}
			}
		})
	}
}

// What was sent before the peer left or was gone can be read.
func TestWhatWasSentArrives(t *testing.T) {
	for name, end := range map[string]func(*Lane){"left": (*Lane).Leave, "gone": func(l *Lane) { l.conn.Close() }} {
		t.Run(name, func(t *testing.T) {
			a, b := lanes(t)
			for range 2 {
				if err := send(a, 70_001); err != nil {
					t.Fatal(err)
				}
			}
			end(a)
			<-time.After(time.Millisecond)
			for range 2 {
				f, err := b.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if err := f.Into(make([]byte, f.Len())); err != nil {
					t.Fatal(err)
				}
				f.Release()
			}
			if _, err := b.Recv(); err == nil {
				t.Error("a third frame")
			}
		})
	}
}

// A frame that is released before it was read is skipped.
func TestFrameIsSkipped(t *testing.T) {
	a, b := lanes(t)
	go func() {
		for _, n := range []int{mostPayload, 3, 0} {
			if send(a, n) != nil {
				return
			}
		}
	}()
	for _, n := range []int{mostPayload, 3, 0} {
		f, err := b.Recv()
		if err != nil || f.Len() != n {
			t.Fatalf("%v, %v, want a frame of %d bytes", f, err, n)
		}
		if _, err := f.Next(10); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		f.Release()
	}
}

// A peer whose memory says what cannot be loses the connection, with a line that says so.
func TestDamageEndsTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(peer *Lane)
		do   func(l *Lane) error
		says string
	}{
		"written too much": {func(p *Lane) { p.out.words.head.Store(1 << 40) }, func(l *Lane) error { _, err := l.Recv(); return err }, "memory is damaged"},
		"read too much": {func(p *Lane) { p.in.words.tail.Store(1 << 40) }, func(l *Lane) error {
			_ = send(l, MinRing/2)
			return send(l, MinRing)
		}, "memory is damaged"},
		"no header": {func(p *Lane) { _, _ = p.out.put(make([]byte, headSize)); p.out.publish() }, func(l *Lane) error { _, err := l.Recv(); return err }, "magic"},
		"too long": {func(p *Lane) {
			_, _ = p.out.put((&frame.Header{Call: frame.CallBarrier, Length: mostPayload + 1}).AppendTo(nil))
			_, _ = p.out.put(zeros[:headSize-frame.HeaderSize])
			p.out.publish()
		}, func(l *Lane) error { _, err := l.Recv(); return err }, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := lanes(t)
			c.harm(a)
			err := c.do(b)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %v, want a line with %q", err, c.says)
			}
			<-a.conn.Done()
		})
	}
}

// Offers of memory that could be taken back, or that is otherwise than it is said to be, end
// the connection, as what is no message does.
func TestOffersAreChecked(t *testing.T) {
	offer := func(ring int) []byte {
		b := binary.LittleEndian.AppendUint32([]byte{msgOffer}, 5)
		return binary.LittleEndian.AppendUint32(b, uint32(ring))
	}
	memfd := func(size int64, seal int) *os.File {
		fd, err := unix.MemfdCreate("test", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "test")
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seal); err != nil {
			t.Fatal(err)
		}
		return f
	}
	temporary := func() *os.File {
		f, err := os.CreateTemp(t.TempDir(), "file")
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Truncate(int64(Size(MinRing)))
		return f
	}
	right := int64(Size(MinRing))
	for name, c := range map[string]struct {
		msg  []byte
		file *os.File
	}{
		"not sealed":        {offer(MinRing), memfd(right, 0)},
		"a file":            {offer(MinRing), temporary()},
		"too short":         {offer(MinRing), memfd(right-1, seals)},
		"another ring":      {offer(2 * MinRing), memfd(right, seals)},
		"no power of two":   {offer(MinRing + 64), memfd(int64(Size(MinRing+64)), seals)},
		"a huge ring":       {offer(1 << 31), memfd(right, seals)},
		"not to be written": {offer(MinRing), memfd(right, seals|unix.F_SEAL_WRITE)},
		"unknown kind":      {[]byte{99}, nil},
		"an answer":         {[]byte{msgYes, 1, 0, 0, 0}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sa, sb := sockets(t)
			defer sa.Close()
			b, err := New(sb, testOptions, func(uint32, *Lane) bool { t.Error("taken"); return true })
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			var rights []byte
			if c.file != nil {
				rights = rightsOf(c.file)
				defer c.file.Close()
			}
			if _, _, err := sa.WriteMsgUnix(c.msg, rights, nil); err != nil {
				t.Fatal(err)
			}
			<-b.Done()
		})
	}
	t.Run("to the calling end", func(t *testing.T) {
		sa, sb := sockets(t)
		defer sa.Close()
		b, err := New(sb, testOptions, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		f := memfd(right, seals)
		defer f.Close()
		if _, _, err := sa.WriteMsgUnix(offer(MinRing), rightsOf(f), nil); err != nil {
			t.Fatal(err)
		}
		<-b.Done()
	})
	t.Run("without a file", func(t *testing.T) { // as if this process could have no more
		sa, sb := sockets(t)
		defer sa.Close()
		b, err := New(sb, testOptions, func(uint32, *Lane) bool { t.Error("taken"); return true })
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := sa.Write(offer(MinRing)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 5)
		if _, err := io.ReadFull(sa, answer); err != nil || !bytes.Equal(answer, []byte{msgNo, 5, 0, 0, 0}) {
			t.Errorf("answer %v, %v", answer, err)
		}
	})
}

// Nothing is left of lanes and connections: no mapping, no file descriptor.
func TestNothingIsLeft(t *testing.T) {
	count := func() (fds, maps int) {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc to count in: ", err)
		}
		m, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip("no /proc to count in: ", err)
		}
		return len(d), strings.Count(string(m), "memfd:vgid")
	}
	fds, maps := count()
	for i := range 5 {
		a, b, taken := pair(t)
		for id := range uint32(3) {
			l, err := a.Open(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			if err := send(l, 100); err != nil {
				t.Fatal(err)
			}
			far := <-taken
			f, err := far.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 && id == 0 {
				if _, m := count(); m != maps+2 {
					t.Errorf("%d mappings of a lane, want one at each end", m-maps)
				}
			}
			f.Release()
			if id == 0 {
				l.Leave()
				far.Leave()
			}
		}
		a.Close()
		b.Close()
	}
	if f, m := count(); f > fds+1 || m != maps { // the runtime's poller may be new
		t.Errorf("%d file descriptors and %d mappings, before %d and %d", f, m, fds, maps)
	}
}

// FuzzMemory reads and writes beside a peer that writes whatever it likes. Nothing is
// touched outside the rings, and nothing goes on for ever.
func FuzzMemory(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint64(64), uint64(0), uint32(5), true)
	f.Add(make([]byte, 64), uint64(1<<20), uint64(9), uint32(1<<31), true)
	f.Add([]byte("VGID"), ^uint64(0), ^uint64(0), uint32(0), false)
	sa, sb := sockets(f)
	f.Cleanup(func() { sa.Close() })
	c, err := New(sb, testOptions, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	const canary = 0xa5
	f.Fuzz(func(t *testing.T, content []byte, head, tail uint64, length uint32, valid bool) {
		all := memory(MinRing + wordsSize) // a lane's, with room behind it
		mem := all[:Size(MinRing)]
		for i := range all[len(mem):] {
			all[len(mem)+i] = canary
		}
		l := newLane(c, 1, mem, true)
		l.state.Store(isLost) // nothing waits
		data := l.in.data
		if valid {
			data = data[headSize:]
			copy(l.in.data, (&frame.Header{Call: frame.CallBarrier, Length: length}).AppendTo(nil))
		}
		for n := 0; len(content) > 0 && n < len(data); {
			n += copy(data[n:], content)
		}
		l.in.words.head.Store(head)
		l.out.words.tail.Store(tail)
		_ = send(l, int(length%(3*MinRing))) // what it says depends on tail
		for range 1 + MinRing/frame.HeaderSize {
			fr, err := l.Recv()
			if err != nil {
				break
			}
			if fr.Len() > mostPayload {
				t.Fatalf("a frame of %d bytes", fr.Len())
			}
			for {
				p, err := fr.Next(1 << 16)
				if err != nil {
					break
				}
				_ = bytes.Count(p, []byte{1}) // reads all of it
			}
			fr.Release()
		}
		for _, b := range all[len(mem):] {
			if b != canary {
				t.Fatal("written behind the memory")
			}
		}
	})
}
