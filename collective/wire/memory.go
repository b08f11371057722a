package wire

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"google.golang.org/grpc/metadata"

	"vgid/collective/frame"
	"vgid/collective/wire/internal/shm"
)

// memoryKey is where an end says at which socket it passes memory.
const memoryKey = "vgid-memory"

const (
	// look is how long a rank looks at the shared memory before it sleeps: a few times what
	// waking up takes, and little beside what a training step computes.
	look = 200 * time.Microsecond
	// ringBytes is a chunk of a call (Options.ChunkBytes), so that who sends one need not wait
	// for who adds it: a fifth to a quarter less processor time than with half of it. With
	// more ranks than fewRanks on a machine rings are as short as they may be, for
	// there may be as many as pairs.
	ringBytes = 1 << 20
	fewRanks  = 16
)

// memoryDoor is where the other ranks of this machine come to share memory: a unix socket
// whose name is in no file system, so that nothing is left of it, and drawn at random,
// so that it is known from the hello alone. Ranks that are elsewhere, also in another
// network namespace of this machine, do not find it.
type memoryDoor struct {
	gate *gate
	name string
	opt  shm.Options
}

// openDoor lets ranks come from now on, if this system has such sockets.
func (t *transport) openDoor() error {
	if !t.cfg.Memory || !shm.Supported {
		return nil
	}
	name := "@vgid-" + rand.Text()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return fmt.Errorf("wire: socket for sharing memory: %w", err)
	}
	near := neighbours(t.cfg.Peers, t.cfg.Rank)
	opt := shm.Options{MaxPayload: maxPayload, Ring: ringBytes, Look: look, Crowded: near > runtime.NumCPU()}
	if near > mostOnCore*runtime.NumCPU() {
		opt.Look = 0
	}
	if near > fewRanks {
		opt.Ring = shm.MinRing
	}
	t.door = &memoryDoor{gate: &gate{Listener: l, most: t.size + strangers}, name: name, opt: opt}
	t.tasks.Go(t.acceptMemory)
	return nil
}

// memoryGuard has both ends of the unix socket prove that they know the token. What is
// proven there is worth nothing on other connections, and the other way round.
func (t *transport) memoryGuard() guard {
	m := hmac.New(sha256.New, []byte(t.cfg.Token))
	m.Write([]byte("shared memory"))
	nobody := func(error) {} // ranks that do not meet here use gRPC
	return guard{token: m.Sum(nil), refused: nobody, differs: nobody}
}

// acceptMemory lets higher ranks in.
func (t *transport) acceptMemory() {
	for {
		c, err := t.door.gate.Accept()
		switch {
		case err == nil:
			t.tasks.Go(func() { t.welcomeMemory(c) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // too many open files, say
			select {
			case <-time.After(askMost):
			case <-t.ctx.Done():
				return
			}
		}
	}
}

// welcomeMemory looks who comes, and shares memory with a rank.
func (t *transport) welcomeMemory(c net.Conn) {
	u := c.(*pending).Conn.(*net.UnixConn)
	err := shm.SameUser(u)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(proveWithin))
	}
	if err == nil {
		_, _, err = t.memoryGuard().ServerHandshake(c)
	}
	var who [4]byte
	if err == nil {
		_, err = io.ReadFull(u, who[:])
	}
	peer := int(binary.LittleEndian.Uint32(who[:]))
	if err != nil || peer <= t.cfg.Rank || peer >= t.size {
		c.Close()
		return
	}
	l := t.link(peer)
	if t.share(l, u, l.acceptMemory) == nil {
		_, _ = u.Write(who[:]) // an error shows in the next reading
	}
}

// share has a link use a unix socket whose ends know each other.
func (t *transport) share(l *link, u *net.UnixConn, accept func(uint32, *shm.Lane) bool) error {
	if err := u.SetDeadline(time.Time{}); err != nil {
		u.Close()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || l.near != nil {
		u.Close()
		return errLost
	}
	near, err := shm.New(u, t.door.opt, accept)
	if err != nil {
		return err
	}
	l.near = near
	t.tasks.Go(func() {
		<-t.dataCtx.Done()
		near.Break()
		<-t.ctx.Done()
		near.Close()
	})
	return nil
}

// acceptMemory takes the memory of a lane.
func (l *link) acceptMemory(id uint32, m *shm.Lane) (first bool) {
	if l.t.lane(id).closed.Load() {
		return false
	}
	e := l.lane(id)
	e.opening.Do(func() {
		e.s, first = memoryLane{m}, true
		close(e.opened)
	})
	return first
}

// meet goes to the door of a lower rank, which has said in its hello where it is. Where there
// is no way the two use gRPC.
func (t *transport) meet(ctx context.Context, l *link, hello metadata.MD) {
	name := one(hello, memoryKey)
	if t.door == nil || name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, proveWithin)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", name)
	if err != nil {
		return // it is on another machine, or in another network namespace
	}
	u := c.(*net.UnixConn)
	err = shm.SameUser(u)
	if err == nil {
		_, _, err = t.memoryGuard().ClientHandshake(ctx, "", u)
	}
	if err == nil {
		err = u.SetDeadline(time.Now().Add(proveWithin))
	}
	me := binary.LittleEndian.AppendUint32(nil, uint32(t.cfg.Rank))
	if err == nil {
		_, err = u.Write(me)
	}
	if err == nil {
		_, err = io.ReadFull(u, me)
	}
	if err != nil {
		u.Close()
		return
	}
	_ = t.share(l, u, nil) // else gRPC
}

// nearby is the way through memory to a peer; nil if there is none.
func (l *link) nearby() *shm.Conn {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	return l.near
}

// memoryLane is an end of a lane through memory; it implements frames.
type memoryLane struct{ l *shm.Lane }

func (m memoryLane) send(h *frame.Header, payload []byte, sent *frame.Inflight) error {
	return m.l.Send(h, payload, sent)
}
func (m memoryLane) recv() (*frame.Frame, error) { return m.l.Recv() }
func (m memoryLane) leave()                      { m.l.Leave() }
