package frame

import "sync"

// Events tell a transport's watcher what happens, and keep for it what happens before
// there is one: a peer that is ready earlier may say something before this rank has
// made its communicator. A transport that embeds them has its Watch.
type Events struct {
	mu       sync.Mutex // guards what follows
	heard    func(from int, msg []byte)
	lost     func(peer int, err error)
	backlog  []func()
	watching bool // the backlog has been told
	ended    bool
}

// Watch implements Transport. What came before there was a watcher is told first, in
// its order.
func (e *Events) Watch(heard func(from int, msg []byte), lost func(peer int, err error)) {
	e.mu.Lock()
	e.heard, e.lost = heard, lost
	for len(e.backlog) > 0 {
		backlog := e.backlog
		e.backlog = nil
		e.mu.Unlock()
		for _, f := range backlog {
			f()
		}
		e.mu.Lock()
	}
	e.watching = true
	e.mu.Unlock()
}

// Heard tells of a message of a peer.
func (e *Events) Heard(from int, msg []byte) { e.tell(func() { e.heard(from, msg) }) }

// Lost tells of the loss of a connection.
func (e *Events) Lost(peer int, err error) { e.tell(func() { e.lost(peer, err) }) }

// tell calls f without the lock, as a watcher may call back.
func (e *Events) tell(f func()) {
	e.mu.Lock()
	now := e.watching && !e.ended
	if !e.watching && !e.ended {
		e.backlog = append(e.backlog, f)
	}
	e.mu.Unlock()
	if now {
		f()
	}
}

// End has nothing told from now on.
func (e *Events) End() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}
