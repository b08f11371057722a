package simulate

import (
	"fmt"
	"hash/fnv"
	"io"
	"sync"
	"time"

	"vgid/collective/frame"
)

// Trace is what happened in a schedule: a fingerprint of it, and if there is somewhere
// to write to a line for each event. Two runs of one schedule have equal ones.
type Trace struct {
	Out    io.Writer // nil: nowhere
	sum    uint64
	events uint64

	mu      sync.Mutex // guards Out and what follows
	results uint64     // the sum of those of all calls, which ranks end beside each other
}

// Sum is the fingerprint of the events so far.
func (t *Trace) Sum() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return mix(t.sum) ^ t.results
}

// add takes an event into the fingerprint.
func (t *Trace) add(words ...uint64) {
	t.events++
	for _, w := range words {
		t.sum = (t.sum ^ w) * 1099511628211
		t.sum ^= t.sum >> 29
	}
}

func hash(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

func (t *Trace) line(at time.Duration, format string, args ...any) {
	if t.Out != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		fmt.Fprintf(t.Out, "%14.9f  %s\n", at.Seconds(), fmt.Sprintf(format, args...))
	}
}

// event is anything between two ranks; peer is -1 for what concerns one.
func (t *Trace) event(at time.Duration, what string, rank, peer int) {
	t.add(1, uint64(at), hash([]byte(what)), uint64(rank), uint64(peer))
	if peer < 0 {
		t.line(at, "rank %d: %s", rank, what)
	} else {
		t.line(at, "rank %d → %d: %s", rank, peer, what)
	}
}

// frame is one that arrives.
func (t *Trace) frame(at time.Duration, r route, h *frame.Header) {
	t.add(2, uint64(at), uint64(r.lane), uint64(r.from), uint64(r.to), uint64(h.Call), h.Seq, h.Count, uint64(h.Chunk), uint64(h.Length))
	t.line(at, "rank %d → %d: lane %d, frame %d with %d bytes of %v", r.from, r.to, r.lane, h.Chunk, h.Length, h)
}

// notice is one that arrives.
func (t *Trace) notice(at time.Duration, from, to int, msg []byte) {
	t.add(3, uint64(at), uint64(from), uint64(to), hash(msg))
	if t.Out == nil {
		return
	}
	text := fmt.Sprintf("%x", msg)
	if len(msg) > 0 && msg[0] != 'h' {
		text = string(msg)
	}
	t.line(at, "rank %d → %d: notice %s", from, to, text)
}

// answered is a request that a rank waited for.
func (t *Trace) answered(at time.Duration, rank int, r *request, err error) {
	failed := uint64(0)
	if err != nil {
		failed = 1
	}
	t.add(4, uint64(at), uint64(rank), uint64(r.verb), uint64(r.lane), uint64(r.peer), failed)
	if err != nil {
		t.line(at, "rank %d: %v with rank %d in lane %d ends: %v", rank, r.verb, r.peer, r.lane, err)
	}
}

// call is the end of something that a rank did.
func (t *Trace) call(at time.Duration, rank, step int, what string, err error) {
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	t.mu.Lock()
	t.results += mix(mix(mix(hash([]byte(text)))^uint64(at)) ^ uint64(rank)<<32 ^ uint64(step))
	t.mu.Unlock()
	t.line(at, "rank %d: step %d, %s: %s", rank, step, what, text)
}
