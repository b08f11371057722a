// Package wire is the transport between processes: gRPC bidirectional streams
// with frames that are not protobuf messages but a fixed header and raw memory.
//
// A pair of ranks shares one connection, opened by the higher rank: at the start
// if it is one of schedule.Links, else when a frame first needs it. It carries
// a stream for every lane of frames in use, and one for short control messages
// that need not wait behind frames. Both ends of a connection first prove that they know the token of
// the job, and by TLS who they are, where they have certificates; before a stream is used
// they compare job, world size, epoch and ranks.
package wire

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"vgid/collective/frame"
	"vgid/collective/mtls"
	"vgid/collective/schedule"
)

const (
	maxPayload = 4 << 20
	maxNote    = 8 << 10
	closeGrace = time.Second
	strangers  = 16 // unproven connections beyond one per rank
	// Peers start at different times: a rank that is not there is asked again soon.
	askFirst = 20 * time.Millisecond
	askMost  = 500 * time.Millisecond
)

// Config says who this rank is and where the others are.
type Config struct {
	Job      string       // name of the job; peers of another job are refused
	Epoch    uint64       // generation of the set of ranks
	Token    string       // secret shared by the ranks of a job
	Rank     int          // 0 … len(Peers)-1
	Peers    []string     // host:port of every rank, the own one included
	Listener net.Listener // where this rank accepts; owned by Connect
	// Timeout bounds the time until all peers are connected; 0: 60 s.
	Timeout time.Duration
	// TLS has everything between ranks encrypted, and ranks prove by certificates who they
	// are; nil: plain text. All ranks have it or none.
	TLS *mtls.Identity
	// Stock has this rank speak by grpc-go alone, the reference for the faster endpoint
	// of our own. Peers may do as they like.
	Stock bool
	// Memory has frames between this rank and those of the same machine that have it, too,
	// go through memory that the two share.
	Memory bool
}

// transport implements frame.Transport.
//
// What must always hold: it is used only when the ranks of schedule.Links are
// connected; every call of the watcher comes from a goroutine that Close waits
// for; and a payload is told as sent exactly once, by gRPC when it lets go of
// the memory, or by Send when gRPC never took it.
type transport struct {
	cfg  Config
	size int
	ends endpoint
	door *memoryDoor // nil: no memory is shared
	ctx  context.Context
	end  context.CancelFunc // ends every stream
	// dataCtx is the life of lanes, which Break ends.
	dataCtx context.Context
	drop    context.CancelFunc
	giveUp  context.CancelCauseFunc // ends Connect
	tasks   sync.WaitGroup
	frame.Events

	mu        sync.Mutex
	links     []*link // by rank, nil until needed
	lanes     map[uint32]*lane
	refusal   error // last caller that was sent away
	connected bool  // Connect has ended well
	closing   bool
}

// Connect opens the connections to the ranks of schedule.Links and waits until all
// of theirs are open. On error everything is closed, the listener too.
func Connect(ctx context.Context, cfg Config) (frame.Transport, error) {
	if cfg.Listener == nil {
		return nil, errors.New("wire: no listener given")
	}
	n := len(cfg.Peers)
	if cfg.Rank < 0 || cfg.Rank >= n {
		return nil, errors.Join(fmt.Errorf("wire: rank %d is not one of %d peers", cfg.Rank, n), cfg.Listener.Close())
	}
	if cfg.TLS != nil { // here rather than at every peer
		if err := cfg.TLS.Check(cfg.Job, cfg.Rank, cfg.Peers[cfg.Rank]); err != nil {
			return nil, errors.Join(fmt.Errorf("wire: %w", err), cfg.Listener.Close())
		}
	}
	return connect(ctx, cfg)
}

// connect is Connect of what has been checked.
func connect(ctx context.Context, cfg Config) (frame.Transport, error) {
	n := len(cfg.Peers)
	if cfg.Timeout == 0 {
		cfg.Timeout = 60 * time.Second
	}
	t := &transport{cfg: cfg, size: n, links: make([]*link, n), lanes: map[uint32]*lane{}}
	t.ctx, t.end = context.WithCancel(context.Background())
	t.dataCtx, t.drop = context.WithCancel(t.ctx)
	door := &gate{Listener: cfg.Listener, most: n + strangers}
	if err := t.openDoor(); err != nil {
		return nil, errors.Join(err, cfg.Listener.Close())
	}
	if cfg.Stock {
		t.ends = newStock(t, door)
	} else {
		t.ends = newFast(t, door)
	}

	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Timeout, fmt.Errorf("not all ranks came within %v", cfg.Timeout))
	defer cancel()
	ctx, t.giveUp = context.WithCancelCause(ctx)
	defer t.giveUp(nil)
	if err := t.connectAll(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	t.connected = true
	return t, nil
}

// connectAll calls the lower ranks and waits for the higher ones: so each pair
// has one caller, and no two connections for one link.
func (t *transport) connectAll(ctx context.Context) error {
	var lower, higher []*link
	for _, p := range schedule.Links(t.cfg.Rank, t.size) {
		if l := t.link(p); p < t.cfg.Rank {
			lower = append(lower, l)
			t.tasks.Go(func() { l.call(ctx) })
		} else {
			higher = append(higher, l)
		}
	}
	for _, l := range lower { // the calls end with ctx and name their peer
		if <-l.opened; l.err != nil {
			return l.err
		}
	}
	for _, l := range higher {
		select {
		case <-l.opened:
		case <-ctx.Done():
			err := fmt.Errorf("wire: rank %d waits on %s for rank %d: %w", t.cfg.Rank, t.cfg.Listener.Addr(), l.peer, context.Cause(ctx))
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.refusal != nil {
				err = fmt.Errorf("%w (a caller was refused: %w)", err, t.refusal)
			}
			return err
		}
	}
	return nil
}

// refuse keeps why a caller was sent away.
func (t *transport) refuse(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refusal = err
}

// listening is the guard of those that call this rank.
func (t *transport) listening() guard {
	return guard{token: []byte(t.cfg.Token), tls: t.cfg.TLS, refused: t.refuse, differs: func(err error) {
		t.refuse(err)
		t.giveUp(err) // it is a rank of the job: there is nothing to wait for
	}}
}

// calling is the guard of a call to a peer.
func (t *transport) calling(peer int, refused func(error)) guard {
	end := func(err error) {
		t.giveUp(err)
		refused(err)
	}
	suits := func(c *x509.Certificate) error { return t.suits(c, peer) }
	return guard{token: []byte(t.cfg.Token), tls: t.cfg.TLS, suits: suits, refused: end, differs: end}
}

// suits says what is wrong with the certificate that a rank shows.
func (t *transport) suits(shown *x509.Certificate, rank int) error {
	if t.cfg.TLS == nil {
		return nil
	}
	if err := mtls.Check(shown, t.cfg.Job, rank, t.cfg.Peers[rank]); err != nil {
		return fmt.Errorf("the certificate that rank %d shows %w", rank, err)
	}
	return nil
}

func (t *transport) Rank() int       { return t.cfg.Rank }
func (t *transport) Size() int       { return t.size }
func (t *transport) MaxPayload() int { return maxPayload }

var (
	// errBusy is returned for a peer that takes no more control messages.
	errBusy     = errors.New("wire: peer takes no more control messages")
	errUnlinked = errors.New("wire: there is no connection to this peer")
)

// Open implements frame.Transport. The lower rank has nothing to do but to
// be called.
func (t *transport) Open(peer int) {
	if peer < t.cfg.Rank {
		l := t.link(peer)
		t.begin(func() { l.call(t.dataCtx) })
	}
}

// begin starts a task, unless Close has begun to wait for them.
func (t *transport) begin(task func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closing {
		t.tasks.Go(task)
	}
}

// Connections implements frame.Transport.
func (t *transport) Connections() (all, shared int) {
	for _, l := range t.openLinks() {
		select {
		case <-l.closedByPeer:
			continue
		default:
		}
		all++
		if l.nearby() != nil {
			shared++
		}
	}
	return all, shared
}

// openLinks are the links that have been opened so far.
func (t *transport) openLinks() (open []*link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.links {
		if l != nil && l.control != nil {
			open = append(open, l)
		}
	}
	return open
}

// Notify queues a message and never waits: the heartbeat calls it, and one peer
// that takes nothing must not keep the others from hearing that this rank lives.
func (t *transport) Notify(to int, msg []byte) error {
	t.mu.Lock()
	l := t.links[to]
	t.mu.Unlock()
	if l == nil || !l.isOpen() {
		return errUnlinked
	}
	select {
	case l.notes <- note{noteMessage, append([]byte(nil), msg...)}:
		return nil
	default:
		return errBusy
	}
}

// Break drops the lanes alone; see link.
func (t *transport) Break() { t.drop() }

// Close lets control messages out, ends the streams and waits for everything
// that runs.
func (t *transport) Close() error {
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		return nil
	}
	t.closing = true
	t.mu.Unlock()
	// Calling ends say goodbye and wait for the answer, accepting ends let gRPC
	// drain: either way what was queued leaves before the connection closes.
	// Behind a failure less is worth waiting for: the cause is on its way, and one of
	// the peers may be frozen.
	patience := closeGrace
	if t.dataCtx.Err() != nil {
		patience /= 4
	}
	grace, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if t.connected {
		_ = t.eachLink(func(l *link) error { // it has none
			l.finish(grace.Done())
			return nil
		})
	}
	t.end()
	t.ends.stop(grace)
	var err error
	if t.door != nil {
		err = t.door.gate.Close()
	}
	t.tasks.Wait()
	return errors.Join(err, t.eachLink(func(l *link) error {
		if l.conn == nil {
			return nil
		}
		return l.conn.close(grace)
	}))
}

// part closes a connection of which nothing more is wanted.
func (t *transport) part(c caller) {
	grace, cancel := context.WithTimeout(t.ctx, closeGrace)
	defer cancel()
	_ = c.close(grace) // whatever came of it has been told
}

// eachLink does something with all open links, at the same time: one whose peer is frozen
// must not have the others wait.
func (t *transport) eachLink(do func(*link) error) error {
	links := t.openLinks()
	errs := make([]error, len(links))
	var all sync.WaitGroup
	for i, l := range links {
		all.Go(func() { errs[i] = do(l) })
	}
	all.Wait()
	return errors.Join(errs...)
}
