package collective

import (
	"errors"
	"slices"
	"sync"
	"time"

	"vgid/collective/flight"
	"vgid/collective/frame"
	"vgid/collective/internal/watch"
)

// Record is what Options.OnFailure is told.
type Record = flight.Record

// recorder is the flight recorder of a rank: what its communicators note of calls
// that have ended, and the record that is taken when they fail.
//
// What must always hold: noting a call allocates nothing and waits for nobody but
// who notes another; a record is taken once at most; and when close has returned,
// none is being told.
type recorder struct {
	ended flight.Ring
	tell  func(Record) // nil: nobody

	mu     sync.Mutex // guards what follows
	closed bool
	told   chan struct{} // closed when tell has returned; nil: no record was taken
}

// counts are the bytes that were sent and received when a call began.
type counts struct{ sent, received uint64 }

// note keeps an operation that has ended.
func (c *Comm) note(before counts, end time.Duration) {
	h := c.progress.Running()
	if h == nil {
		return // it has not got as far as its first frame
	}
	longestFor, longest := c.progress.Longest()
	e := flight.Ended{Header: *h, Peer: flight.NoRank, LongestFor: int32(longestFor), Longest: longest,
		Began: c.progress.Entered(), End: end,
		Sent: c.exchange.sent.Load() - before.sent, Received: c.exchange.received.Load() - before.received}
	c.recorder.ended.Add(&e)
}

// LastAlgorithm names the algorithm of the operation of this communicator that ended
// last: what was chosen for its length, ranks and options. It is empty where there is
// none, as for messages.
func (c *Comm) LastAlgorithm() string {
	kept, _ := c.recorder.ended.Last()
	for _, e := range slices.Backward(kept) {
		if e.Header.Comm != c.opt.Comm {
			continue
		}
		if e.Header.Call.Is(frame.Tagged) {
			return ""
		}
		return e.Header.Algorithm.String()
	}
	return ""
}

// noteMessage keeps a message that has been sent, or taken.
func (c *Comm) noteMessage(h *Handle, head *Header, bytes int) {
	e := flight.Ended{Header: *head, Peer: int32(h.peer), LongestFor: int32(h.peer), Began: h.began, End: watch.Now()}
	e.Header.Call = h.call
	e.Longest = e.End - e.Began
	n := uint64(bytes + c.exchange.chunks(bytes)*frame.HeaderSize)
	if h.call == CallSend {
		e.Sent = n
	} else {
		e.Received = n
	}
	c.recorder.ended.Add(&e)
}

// failed takes the record and has it told, without waiting for that: it may be
// written to a disk, and whoever calls is needed elsewhere.
func (j *job) failed(cause error) {
	r := j.recorder
	if r.tell == nil {
		return
	}
	r.mu.Lock()
	if r.closed || r.told != nil {
		r.mu.Unlock()
		return
	}
	told := make(chan struct{})
	r.told = told
	r.mu.Unlock()
	record := j.record(cause)
	go func() {
		defer close(told)
		r.tell(record)
	}()
}

// close waits until a record that was taken has been told. None is taken after it.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	told := r.told
	r.mu.Unlock()
	if told != nil {
		<-told
	}
}

// record is what this rank knows now.
func (j *job) record(cause error) Record {
	now := watch.Now()
	r := Record{Job: j.opt.Job, Epoch: j.opt.Epoch, World: j.watch.Size(), Rank: j.rank, Cause: cause.Error(), Blames: flight.NoRank,
		Taken: time.Now(), Heard: j.watch.Heard(now)}
	var re *RankError
	var m *MismatchError
	switch {
	case errors.As(cause, &re):
		r.Blames = re.Peer
	case errors.As(cause, &m) && m.Rank == j.rank:
		r.Blames = m.Peer
	}
	kept, before := j.recorder.ended.Last()
	r.Forgotten = before
	for i := range kept {
		r.Calls = append(r.Calls, flight.Of(&kept[i], now))
	}
	for _, c := range j.communicators() {
		if c.size > 1 {
			r.Communicators = append(r.Communicators, flight.Communicator{Number: c.opt.Comm, Ranks: slices.Clone(c.progress.Ranks),
				Call: c.progress.Latest(), In: c.progress.Running() != nil, Left: c.progress.Left()})
			r.Calls = append(append(r.Calls, c.open(now)...), c.messages.open(now)...)
		}
	}
	return r
}

// open are the operations that have not ended.
func (c *Comm) open(now time.Duration) (out []flight.Call) {
	running, queued := c.queue.look()
	if running != nil {
		longestFor, longest := c.progress.Longest()
		e := flight.Ended{Header: Header{Comm: c.opt.Comm, Call: running.call}, Peer: flight.NoRank,
			LongestFor: int32(longestFor), Longest: longest, Began: c.progress.Entered(), End: now,
			Sent: c.exchange.sent.Load() - running.before.sent, Received: c.exchange.received.Load() - running.before.received}
		if h := c.progress.Running(); h != nil {
			e.Header = *h
		}
		call := flight.Of(&e, now)
		call.State = flight.Running
		if call.WaitsFor = c.progress.WaitsFor(); call.WaitsFor >= 0 {
			call.State = flight.Waiting
		}
		out = append(out, call)
	}
	for _, h := range queued {
		call := flight.Of(&flight.Ended{Header: Header{Comm: c.opt.Comm, Call: h.call}, Peer: flight.NoRank, LongestFor: flight.NoRank, Began: now, End: now}, now)
		call.State = flight.Queued
		out = append(out, call)
	}
	return out
}

// open are the messages that have not ended.
func (m *messenger) open(now time.Duration) (out []flight.Call) {
	add := func(h *Handle, head Header, state flight.State) {
		head.Call = h.call
		call := flight.Of(&flight.Ended{Header: head, Peer: int32(h.peer), LongestFor: int32(h.peer), Longest: now - h.began, Began: h.began, End: now}, now)
		if call.State = state; state == flight.Running && h.awaited.Load() {
			call.State, call.WaitsFor = flight.Waiting, h.peer
		}
		out = append(out, call)
	}
	for p := range m.in {
		in := &m.in[p]
		in.mu.Lock()
		for _, r := range in.waiting {
			head := m.header(r.buf.dtype, 0)
			head.Count, head.Root = uint64(r.buf.Len()), uint32(r.tag)
			add(r.h, head, flight.Running)
		}
		in.mu.Unlock()
		o := &m.out[p]
		o.mu.Lock()
		for i, s := range o.sending {
			state := flight.Running
			if i > 0 {
				state = flight.Queued
			}
			add(s.h, s.head, state)
		}
		o.mu.Unlock()
	}
	return out
}
