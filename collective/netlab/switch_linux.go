package netlab

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// longest is what a packet is at most: 64 KiB of IP, and the device's header.
const longest = 64<<10 + vnetHeader

// ahead is how much earlier than its link is free a node's next packet is taken: about what a network card has in
// its ring. A node that sends faster than its link is so held up in its own kernel, as by a real card, where
// short messages may pass long ones, and not in the switch.
const ahead = 60 * time.Microsecond

// deepest is how much waits at the link to one node before more is dropped, as a switch of a data center has it:
// it matters when many send to one.
const deepest = 32 << 20

// port is the switch's side of a node: the link to it, and what is on its way.
type port struct {
	mu      sync.Mutex
	down    link
	waiting int // bytes on their way
	queue   chan arrival
}

// arrival is a packet, the time when its last bit arrives, and its bytes on the wire.
type arrival struct {
	at    time.Time
	p     packet
	bytes int
}

// connect runs the switch: of each node, one goroutine takes what it sends, and one gives it what arrives.
func (l *Lab) connect() {
	ports := make([]*port, len(l.nodes))
	for i := range ports {
		// Shorter packets than a kilobyte are rare where much is on its way.
		ports[i] = &port{down: link{rate: l.spec.Rate}, queue: make(chan arrival, deepest>>10)}
	}
	buffers := &sync.Pool{New: func() any { b := make([]byte, longest); return &b }}
	var readers sync.WaitGroup
	for i, n := range l.nodes {
		readers.Add(1)
		l.work.Add(1)
		go func() {
			defer readers.Done()
			n.takeAll(ports, buffers, link{rate: l.spec.Rate}, l.spec.Delay)
		}()
		go func() {
			defer l.work.Done()
			n.giveAll(ports[i], buffers)
		}()
	}
	l.work.Add(1)
	go func() {
		defer l.work.Done()
		readers.Wait()
		for _, p := range ports {
			close(p.queue)
		}
	}()
}

// takeAll takes what a node sends, until its device is closed.
func (n *node) takeAll(ports []*port, buffers *sync.Pool, up link, delay time.Duration) {
	sharpTimers()
	for {
		b := buffers.Get().(*[]byte)
		got, err := n.tun.Read(*b)
		if err != nil {
			return
		}
		p := packet((*b)[:got])
		now := time.Now()
		to := p.to(len(ports))
		if to < 0 {
			buffers.Put(b)
			continue
		}
		bytes := p.onWire()
		sent := up.through(now, bytes)
		if !ports[to].add(p, bytes, sent.Add(delay)) {
			buffers.Put(b)
		}
		sleepUntil(sent.Add(-ahead))
	}
}

// add has a packet come to the link of a node at the given time, by its last bit, and reports whether there was
// room. Its first bit came earlier by as long as the packet takes: a link that is free passes it on at once.
func (p *port) add(pk packet, bytes int, last time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting+bytes > deepest || len(p.queue) == cap(p.queue) {
		return false
	}
	p.waiting += bytes
	p.queue <- arrival{at: p.down.through(last.Add(-p.down.takes(bytes)), bytes), p: pk, bytes: bytes}
	return true
}

// giveAll gives a node what arrives for it, each at its time. What it has no room for is lost, as it is with a
// network card.
func (n *node) giveAll(p *port, buffers *sync.Pool) {
	sharpTimers()
	for a := range p.queue {
		sleepUntil(a.at)
		_, _ = n.tun.Write(a.p)
		p.mu.Lock()
		p.waiting -= a.bytes
		p.mu.Unlock()
		b := []byte(a.p[:longest:longest])
		buffers.Put(&b)
	}
}

// sharpTimers gives the goroutine a thread of its own, whose sleeps the kernel does not put together with others': by
// default they last up to 50 µs longer (PR_SET_TIMERSLACK in prctl(2)).
func sharpTimers() {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// sleepUntil waits to within some microseconds; the runtime's timers are good for a millisecond on a machine that idles.
func sleepUntil(t time.Time) {
	for {
		d := time.Until(t)
		if d <= 0 {
			return
		}
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // a signal ends it early, and the loop goes on
	}
}
