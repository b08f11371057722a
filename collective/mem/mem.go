// Package mem is the in-memory transport: the ranks of a job as goroutines of
// one process, with faults on demand, for tests and for tools that want
// several ranks without a network.
package mem

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"vgid/collective/frame"
	"vgid/collective/schedule"
)

// depth is how many frames may wait between two ranks in one lane. It is small on purpose:
// an algorithm that needs the network to store more than a real one does hangs
// here too.
const depth = 2

// ErrBroken is returned once a transport was broken or closed.
var ErrBroken = errors.New("mem: transport is broken")

// Kind is what a fault does to a frame.
type Kind int

// Faults.
const (
	Drop     Kind = iota // the frame never arrives
	Delay                // it arrives Wait later
	Truncate             // the last byte of its payload is missing
	Error                // Send fails
	Kill                 // the sender is lost to all its peers
	Freeze               // the sender stands still: nothing of it arrives any more, and nobody is told
)

// Fault strikes the Nth frame (from 0) that From sends to To in a lane.
// Wait is of Delay alone. A fault strikes once, and several may strike the same frame.
type Fault struct {
	From, To, Nth int
	Lane          uint32
	Kind          Kind
	Wait          time.Duration
}

// world is what the ranks of one job share.
// It does not change after New.
type world struct {
	ranks  []*rank
	faults []Fault
}

// rank is one end of a world; it implements frame.Transport.
//
// What must always hold, as over a network: frames of one sender arrive whole
// and in order; a payload is copied before Send returns, so that no rank sees
// what another writes later; and after Break, or the loss of its peer, nothing
// that waits waits on.
type rank struct {
	w      *world
	self   int
	broken chan struct{} // closed by Break
	left   chan struct{} // closed when this rank is lost to its peers
	once   sync.Once
	closed sync.Once
	frozen atomic.Bool

	frame.Events

	mu     sync.Mutex
	lanes  map[uint32]*lane
	linked []bool // by rank, to which there is a connection
	cut    []bool // by rank, from which and to which nothing gets any more
}

// lane is one rank's end of a lane.
type lane struct {
	k      *rank
	id     uint32
	in     []chan *frame.Frame // by sender
	sent   []int               // frames sent, by receiver
	closed chan struct{}
	once   sync.Once
}

// New returns the n connected ends of a world.
// Each is one rank's and has to be closed by it; none needs any other to be there.
func New(n int, faults ...Fault) []frame.Transport {
	w := &world{ranks: make([]*rank, n), faults: faults}
	out := make([]frame.Transport, n)
	for r := range n {
		k := &rank{w: w, self: r, broken: make(chan struct{}), left: make(chan struct{}), lanes: map[uint32]*lane{}, linked: make([]bool, n), cut: make([]bool, n)}
		for _, p := range schedule.Links(r, n) {
			k.linked[p] = true
		}
		w.ranks[r], out[r] = k, k
	}
	return out
}

func (k *rank) Rank() int       { return k.self }
func (k *rank) Size() int       { return len(k.w.ranks) }
func (k *rank) MaxPayload() int { return 16 << 20 }

// Lane implements frame.Transport.
func (k *rank) Lane(id uint32) frame.Lane { return k.lane(id) }

func (k *rank) lane(id uint32) *lane {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.lanes[id]
	if l == nil {
		n := len(k.w.ranks)
		l = &lane{k: k, id: id, in: make([]chan *frame.Frame, n), sent: make([]int, n), closed: make(chan struct{})}
		for i := range l.in {
			l.in[i] = make(chan *frame.Frame, depth)
		}
		k.lanes[id] = l
	}
	return l
}

// link connects this rank with a peer, at both ends.
func (k *rank) link(peer int) {
	for _, ends := range [2][2]*rank{{k, k.w.ranks[peer]}, {k.w.ranks[peer], k}} {
		ends[0].mu.Lock()
		ends[0].linked[ends[1].self] = true
		ends[0].mu.Unlock()
	}
}

// Cut has nothing get from one rank to another any more, either way, and tells
// nobody: a network that swallows what is sent.
func Cut(a, b frame.Transport) {
	for _, ends := range [2][2]*rank{{a.(*rank), b.(*rank)}, {b.(*rank), a.(*rank)}} {
		ends[0].mu.Lock()
		ends[0].cut[ends[1].self] = true
		ends[0].mu.Unlock()
	}
}

func (k *rank) isCut(peer int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cut[peer]
}

func (k *rank) isLinked(peer int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.linked[peer]
}

// Open implements frame.Transport.
func (k *rank) Open(peer int) { k.link(peer) }

// Connections implements frame.Transport.
func (k *rank) Connections() (all, shared int) {
	n := 0
	for p := range k.w.ranks {
		if k.isLinked(p) {
			n++
		}
	}
	return n, 0
}

// Send waits while depth frames are under way, as a network's windows would.
func (l *lane) Send(to int, h *frame.Header, payload []byte, sent *frame.Inflight) error {
	defer sent.Done()
	f := &frame.Frame{Header: *h}
	// Pieces of a length that no element size divides, as a network makes them.
	for body := append([]byte(nil), payload...); len(body) > 0; {
		n := min(len(body), 1021)
		f.Pieces, body = append(f.Pieces, body[:n:n]), body[n:]
	}
	k, nth := l.k, l.sent[to]
	l.sent[to]++
	// Faults count frames and not time, so that a test strikes the same one however
	// fast the machine is.
	for _, x := range k.w.faults {
		if x.From != k.self || x.To != to || x.Lane != l.id || x.Nth != nth {
			continue
		}
		switch x.Kind {
		case Drop:
			return nil
		case Delay:
			select {
			case <-time.After(x.Wait):
			case <-k.broken:
				return ErrBroken
			}
		case Truncate:
			if n := len(f.Pieces); n > 0 {
				last := f.Pieces[n-1]
				f.Pieces[n-1] = last[:len(last)-1]
			}
		case Error:
			return fmt.Errorf("mem: injected failure of frame %d to rank %d", nth, to)
		case Kill:
			k.vanish(errors.New("mem: injected death"))
			return ErrBroken
		case Freeze:
			k.frozen.Store(true)
		}
	}
	if k.frozen.Load() {
		<-k.broken
		return ErrBroken
	}
	if k.isCut(to) {
		return nil
	}
	k.link(to)
	peer := k.w.ranks[to]
	far := peer.lane(l.id)
	// Twice: of two cases that are ready select takes either, and a broken end must
	// send nothing.
	select {
	case <-k.broken:
		return ErrBroken
	case <-l.closed:
		return ErrBroken
	default:
	}
	select {
	case far.in[k.self] <- f:
		return nil
	case <-k.broken:
		return ErrBroken
	case <-far.closed:
		return fmt.Errorf("mem: rank %d has closed lane %d", to, l.id)
	case <-peer.left:
		if k.isCut(to) {
			return nil
		}
		return fmt.Errorf("mem: rank %d is lost", to)
	}
}

// Recv gives nothing that was under way when this end was broken, but all that
// a peer sent before it was lost.
func (l *lane) Recv(from int) (*frame.Frame, error) {
	l.k.link(from)
	select {
	case <-l.k.broken:
		return nil, ErrBroken
	default:
	}
	select {
	case f := <-l.in[from]:
		return f, nil
	case <-l.k.broken:
		return nil, ErrBroken
	case <-l.closed:
		return nil, ErrBroken
	case <-l.k.w.ranks[from].left:
	case <-l.k.w.ranks[from].lane(l.id).closed:
	}
	if l.k.isCut(from) { // nor does its end get through
		<-l.k.broken
		return nil, ErrBroken
	}
	select {
	case f := <-l.in[from]:
		return f, nil
	default:
		return nil, fmt.Errorf("mem: rank %d is lost, or has closed lane %d", from, l.id)
	}
}

// Close implements frame.Lane.
func (l *lane) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Notify arrives at once and in the sender's goroutine; a frozen rank says nothing.
func (k *rank) Notify(to int, msg []byte) error {
	if k.frozen.Load() || k.isCut(to) {
		return nil
	}
	if !k.isLinked(to) {
		return errors.New("mem: there is no connection to this peer")
	}
	k.w.ranks[to].Heard(k.self, append([]byte(nil), msg...)) // the caller may write it again
	return nil
}

// Break ends this end alone: what waits in it returns ErrBroken, and peers hear nothing.
func (k *rank) Break() { k.once.Do(func() { close(k.broken) }) }

func (k *rank) Close() error {
	k.vanish(errors.New("mem: peer closed"))
	k.End()
	return nil
}

// vanish ends this rank in the eyes of its peers.
func (k *rank) vanish(err error) {
	k.Break()
	if k.frozen.Load() {
		return // its connections stay open
	}
	k.closed.Do(func() {
		close(k.left)
		for r, p := range k.w.ranks {
			if k.isLinked(r) && !k.isCut(r) {
				p.Lost(k.self, err)
			}
		}
	})
}
