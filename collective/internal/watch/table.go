package watch

import (
	"encoding/binary"
	"math"
	"time"

	"vgid/collective/frame"
)

// position is how far a rank has come in the calls of a communicator: 2n while
// it is in call n, 2n+1 when that has ended.
type position uint64

func inCall(n uint64) position    { return position(2 * n) }
func afterCall(n uint64) position { return position(2*n + 1) }

// seq is the number of the call that a rank is in, or that was its last.
func (p position) seq() uint64 { return uint64(p / 2) }

// leaving is how far a rank has come in closing.
type leaving uint8

const (
	staying  leaving = iota
	goodbye          // it makes no more calls
	agreed           // and its neighbours, which said goodbye too, have made the same calls
	endLeave         // no such value
)

// entry is what is known of a rank. Each rank writes its own, numbered by beat,
// and passes on those of the others, so that all are known everywhere after as
// many beats as the graph of schedule.Links is wide.
type entry struct {
	beat     uint64        // of two entries of a rank the one with the higher beat is the newer; 0: nothing is known
	when     time.Duration // when it was so, since start
	inCalls  time.Duration // that the rank had spent in calls then
	leaving  leaving
	suspects []int      // neighbours that it has not heard for Options.Silence
	in       []standing // its communicators
	expects  []Expect   // messages that it waits for, those of the longest waits
}

// standing is where a rank is in one communicator.
type standing struct {
	comm uint32
	at   position
	call frame.Call // the kind of call that at is of; 0: none yet
	left bool       // the rank makes no more calls there
	sum  uint64     // over the headers of all its calls, if it left
	// age is for how long the rank has been in the call that at is of, whole
	// milliseconds; 0 between calls.
	age time.Duration
}

// in reports whether the rank is in a call.
func (s *standing) in() bool { return s.at%2 == 0 && s.at > 0 }

// Expect is a message that somebody waits for: to be sent, or to be taken.
type Expect struct {
	Call frame.Call    // CallSend or CallRecv
	Peer int           // the other end, by its number in the job
	Age  time.Duration // for how long nothing of it has moved
}

// MostExpects is how many of them a sign tells.
const MostExpects = 8

// of is the standing in a communicator, if the rank is in it.
func (e *entry) of(comm uint32) (standing, bool) {
	for _, s := range e.in {
		if s.comm == comm {
			return s, true
		}
	}
	return standing{}, false
}

// table is what one rank knows of all. It is a value without a lock.
//
// What must always hold: an entry is replaced only by one of a higher beat, so
// that it does not matter in which order, or how often, signs arrive; and fresh
// lists each rank whose entry changed since the last sign was made.
type table struct {
	self    int
	entries []entry
	fresh   []int
	isFresh []bool // by rank
}

func newTable(self, n int) table {
	return table{self: self, entries: make([]entry, n), isFresh: make([]bool, n)}
}

// put takes an entry and reports whether it was news.
func (t *table) put(rank int, e entry) bool {
	if e.beat <= t.entries[rank].beat {
		return false
	}
	t.entries[rank] = e
	if !t.isFresh[rank] {
		t.fresh, t.isFresh[rank] = append(t.fresh, rank), true
	}
	return true
}

// said is called when a sign with all that is fresh has been made.
func (t *table) said() {
	for _, r := range t.fresh {
		t.isFresh[r] = false
	}
	t.fresh = t.fresh[:0]
}

// known are the ranks of which anything is known; mu is held.
func (t *table) known() (out []int) {
	for r := range t.entries {
		if t.entries[r].beat > 0 {
			out = append(out, r)
		}
	}
	return out
}

// signBytes is about the most that one sign of life carries; what is more goes
// into further ones.
const signBytes = 4 << 10

// signs encodes entries for the neighbours: the first with the headers of the
// sender's latest calls, one of a communicator.
func (t *table) signs(ranks []int, latest []announced, now time.Duration) [][]byte {
	var out [][]byte
	b := binary.AppendUvarint([]byte{noticeAlive}, uint64(len(latest)))
	for i := range latest {
		b = binary.LittleEndian.AppendUint64(latest[i].AppendTo(b), latest[i].sum)
	}
	for _, r := range ranks {
		if len(b) > signBytes {
			out, b = append(out, b), []byte{noticeAlive, 0}
		}
		b = t.entries[r].appendTo(b, r, now)
	}
	return append(out, b)
}

func (e *entry) appendTo(b []byte, rank int, now time.Duration) []byte {
	b = binary.AppendUvarint(b, uint64(rank))
	b = binary.AppendUvarint(b, e.beat)
	b = binary.AppendUvarint(b, uint64(max(0, (now-e.when)/time.Millisecond)))
	b = binary.AppendUvarint(b, uint64(e.inCalls/time.Microsecond))
	b = append(b, byte(e.leaving))
	b = binary.AppendUvarint(b, uint64(len(e.suspects)))
	for _, s := range e.suspects {
		b = binary.AppendUvarint(b, uint64(s))
	}
	b = binary.AppendUvarint(b, uint64(len(e.in)))
	for _, s := range e.in {
		b = binary.AppendUvarint(b, uint64(s.comm))
		b = binary.AppendUvarint(b, uint64(s.at))
		if s.in() {
			b = binary.AppendUvarint(b, uint64(s.age/time.Millisecond))
		}
		if !s.left {
			b = append(b, byte(s.call), 0)
			continue
		}
		b = binary.LittleEndian.AppendUint64(append(b, byte(s.call), 1), s.sum)
	}
	b = binary.AppendUvarint(b, uint64(len(e.expects)))
	for _, x := range e.expects {
		b = append(binary.AppendUvarint(b, uint64(x.Peer)), byte(x.Call))
		b = binary.AppendUvarint(b, uint64(x.Age/time.Millisecond))
	}
	return b
}

// ranked is an entry with its rank.
type ranked struct {
	rank int
	entry
}

// readSign gives what a sign of life of a world of n ranks says, without its
// first byte: the headers of the sender's latest calls, and entries.
func readSign(b []byte, n int, now time.Duration) (latest []announced, news []ranked, ok bool) {
	r := reader{b: b}
	for range r.number(math.MaxUint64) {
		h, err := frame.DecodeHeader(r.b)
		if err != nil { // at the end of b at the latest
			return nil, nil, false
		}
		r.b = r.b[frame.HeaderSize:]
		latest = append(latest, announced{h, r.fixed()})
	}
	for len(r.b) > 0 {
		news = append(news, r.entry(n, now))
	}
	return latest, news, !r.bad
}

// entry reads the entry of a rank of n.
func (r *reader) entry(n int, now time.Duration) ranked {
	e := ranked{rank: int(r.number(uint64(n) - 1))}
	e.beat = r.number(math.MaxUint64)
	// Clocks of two machines differ, so signs carry ages.
	e.when = now - r.age()
	e.inCalls = time.Duration(r.number(math.MaxInt64/uint64(time.Microsecond))) * time.Microsecond
	e.leaving = leaving(r.byte(byte(endLeave) - 1))
	for k := r.number(uint64(n)); k > 0 && !r.bad; k-- {
		e.suspects = append(e.suspects, int(r.number(uint64(n)-1)))
	}
	for k := r.number(math.MaxUint64); k > 0 && !r.bad; k-- {
		s := standing{comm: uint32(r.number(math.MaxUint32)), at: position(r.number(math.MaxUint64))}
		if s.in() {
			s.age = r.age()
		}
		s.call = frame.Call(r.byte(byte(frame.LastCall)))
		if s.left = r.byte(1) == 1; s.left {
			s.sum = r.fixed()
		}
		e.in = append(e.in, s)
	}
	for k := r.number(MostExpects); k > 0 && !r.bad; k-- {
		x := Expect{Peer: int(r.number(uint64(n) - 1)), Call: frame.Call(r.byte(byte(frame.LastCall)))}
		x.Age = r.age()
		e.expects = append(e.expects, x)
	}
	return e
}

// age reads a time that signs give in milliseconds.
func (r *reader) age() time.Duration {
	return time.Duration(r.number(math.MaxInt64/uint64(time.Millisecond)/4)) * time.Millisecond
}

// reader takes numbers off a message, until one is bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number(most uint64) uint64 {
	v, k := binary.Uvarint(r.b)
	if k <= 0 || v > most {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[k:]
	return v
}

func (r *reader) byte(most byte) byte {
	if len(r.b) == 0 || r.b[0] > most {
		r.b, r.bad = nil, true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.b, r.bad = nil, true
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}
