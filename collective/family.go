package collective

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
)

// family is the communicators of one transport. They run side by side, each in
// lanes of its own, and end together: what ends one of them ends all.
//
// What must always hold: of two communicators that share two ranks the numbers
// differ, for they would share a lane; and a number is used once, because a lane
// that was closed cannot be used again.
type family struct {
	t      Transport
	onLate func(Late) // of the first communicator

	mu      sync.Mutex // guards what follows
	claimed map[uint32]bool
	members map[uint32]*subset
}

func newFamily(t Transport, opt *Options) *family {
	return &family{t: t, onLate: opt.OnLate, claimed: map[uint32]bool{opt.Comm: true}, members: map[uint32]*subset{}}
}

// next is a number higher than all that were used on this rank.
func (f *family) next() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	high := uint32(0)
	for n := range f.claimed {
		high = max(high, n)
	}
	return high + 1
}

// claim takes a number and reports whether it was free on this rank.
func (f *family) claim(number uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.claimed[number] {
		return false
	}
	f.claimed[number] = true
	return true
}

// subset is the transport of a communicator of some of the ranks, as its own
// ranks 0 … n-1: that of all ranks with other numbers.
type subset struct {
	f      *family
	number uint32
	ranks  []int // by rank here: the rank in the job
	self   int

	mu    sync.Mutex // guards what follows
	heard func(from int, msg []byte)
	lanes []Lane
}

// noticeChild goes before the number of a communicator and a notice within it.
const noticeChild = 'c'

// hear passes a notice on to the communicator that it is of. One that is not
// there yet, or no more, misses nothing that is not said again.
func (f *family) hear(from int, msg []byte) {
	number, k := binary.Uvarint(msg)
	if k <= 0 {
		return
	}
	f.mu.Lock()
	s := f.members[uint32(number)]
	f.mu.Unlock()
	if s == nil || uint64(s.number) != number {
		return
	}
	rank := slices.Index(s.ranks, from)
	s.mu.Lock()
	heard := s.heard
	s.mu.Unlock()
	if rank >= 0 && heard != nil {
		heard(rank, msg[k:])
	}
}

// join makes the transport of a new communicator.
func (f *family) join(number uint32, ranks []int, self int) *subset {
	s := &subset{f: f, number: number, ranks: ranks, self: self}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[number] = s
	return s
}

func (s *subset) Rank() int       { return s.self }
func (s *subset) Size() int       { return len(s.ranks) }
func (s *subset) MaxPayload() int { return s.f.t.MaxPayload() }

// Connections are those of the job.
func (s *subset) Connections() int { return s.f.t.Connections() }

// Notify sends a notice within this communicator.
func (s *subset) Notify(to int, msg []byte) error {
	b := binary.AppendUvarint([]byte{noticeChild}, uint64(s.number))
	return s.f.t.Notify(s.ranks[to], append(b, msg...))
}

// Watch hears of notices alone: the loss of a rank ends all communicators.
func (s *subset) Watch(heard func(from int, msg []byte), _ func(peer int, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = heard
}

// Break is that of all.
func (s *subset) Break() { s.f.t.Break() }

// Lane is the lane of that number between the ranks of this communicator.
func (s *subset) Lane(id uint32) Lane {
	l := s.f.t.Lane(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes = append(s.lanes, l)
	return &sublane{s, l}
}

// Close ends this communicator's lanes.
func (s *subset) Close() error {
	s.f.mu.Lock()
	delete(s.f.members, s.number)
	s.f.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, l := range s.lanes {
		err = errors.Join(err, l.Close())
	}
	return err
}

// sublane is a lane with the rank numbers of a subset.
type sublane struct {
	s *subset
	Lane
}

func (l *sublane) Send(to int, h *Header, payload []byte, sent *Inflight) error {
	return l.Lane.Send(l.s.ranks[to], h, payload, sent)
}

func (l *sublane) Recv(from int) (*Frame, error) { return l.Lane.Recv(l.s.ranks[from]) }
