package collective

import (
	"sync"
	"unsafe"

	"vgid/collective/reduce"
	"vgid/collective/schedule"
)

// pass executes a plan on memory: every operation is one pass, or two.
//
// What must always hold: a message is cut into frames by its length alone, so
// that both ends cut it alike, wherever its blocks lie in memory; and what the
// plan promises of its order (schedule.Plan) is kept.
type pass struct {
	x    *exchange
	h    Header
	plan schedule.Plan
	// block is the memory of a block of the plan. Blocks that a message sends and
	// that lie beside each other travel without a copy.
	block func(i int) []byte

	sent, taken []uint32 // frames, by peer
	copies      [][]byte // what swaps send, by step; nil if there are none
	// Frames taken and copies made, in the order of the plan: what sending waits
	// for. It has room for all, because were receiving to wait for sending, all ranks
	// together could wait for each other.
	events chan struct{}
}

// run executes a plan. The header's Count is that of the whole call.
func (x *exchange) run(h Header, plan schedule.Plan, block func(i int) []byte) error {
	h.Algorithm = plan.Algorithm
	if err := x.watch.announce(x.progress, &h); err != nil {
		return err
	}
	p := &pass{x: x, h: h, plan: plan, block: block, sent: make([]uint32, x.size), taken: make([]uint32, x.size)}
	events, long := 0, false
	for _, s := range plan.Steps {
		if s.Swap && p.copies == nil {
			p.copies = make([][]byte, len(plan.Steps))
		}
		if s.From != schedule.None {
			n := x.chunks(p.length(s.Recv))
			events += n + 1
			long = long || n > 1
		}
		long = long || s.To != schedule.None && x.chunks(p.length(s.Send)) > 1
	}
	if !long {
		return p.inOrder()
	}
	p.events = make(chan struct{}, events)
	sender := make(chan error, 1)
	go func() { sender <- p.sendAll() }()
	err := p.takeAll()
	if serr := <-sender; err == nil {
		err = serr
	}
	return err
}

// inOrder takes the steps one after another. With messages of a single frame
// nothing is gained by sending beside receiving, which costs a goroutine.
func (p *pass) inOrder() error {
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		p.prepare(i, s)
		if s.To != schedule.None {
			if err := p.send(s, p.outgoing(i, s), 0); err != nil {
				return err
			}
		}
		if s.From != schedule.None {
			if err := p.take(i, s, p.memory(s.Recv), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendAll sends all messages, each frame when what it holds came in.
func (p *pass) sendAll() error {
	have := 0 // events
	await := func(n int) error {
		for ; have < n; have++ {
			select {
			case <-p.events:
			case <-p.x.failure.broken:
				return errBroken
			}
		}
		return nil
	}
	before := p.eventsBefore()
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if s.To == schedule.None {
			continue
		}
		need := before[s.After+1]
		switch {
		case s.Swap:
			need = before[i] + 1
		case s.Stream:
			need = before[s.After] + p.prelude(s.After)
		}
		if err := await(need); err != nil {
			return err
		}
		spans := p.outgoing(i, s)
		for j := range p.x.chunks(total(spans)) {
			if s.Stream && !s.Swap {
				if err := await(need + j + 1); err != nil {
					return err
				}
			}
			if err := p.send(s, spans, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventsBefore counts, for each step and the end, the events of the steps before.
func (p *pass) eventsBefore() []int {
	out := make([]int, len(p.plan.Steps)+1)
	for i, s := range p.plan.Steps {
		out[i+1] = out[i] + p.prelude(i)
		if s.From != schedule.None {
			out[i+1] += p.x.chunks(p.length(s.Recv))
		}
	}
	return out
}

// prelude counts the events of a step before its first frame.
func (p *pass) prelude(i int) int {
	if p.plan.Steps[i].Swap {
		return 1
	}
	return 0
}

// takeAll receives all messages.
func (p *pass) takeAll() error {
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if s.From == schedule.None {
			continue
		}
		p.prepare(i, s)
		if s.Swap {
			p.events <- struct{}{}
		}
		spans := p.memory(s.Recv)
		for j := range p.x.chunks(total(spans)) {
			if err := p.take(i, s, spans, j); err != nil {
				return err
			}
			p.events <- struct{}{}
		}
	}
	return nil
}

// prepare makes the copy that a swap sends.
func (p *pass) prepare(i int, s *schedule.Step) {
	if !s.Swap {
		return
	}
	spans := p.memory(s.Send)
	c := p.x.scratch.take(total(spans))
	at := c
	for _, m := range spans {
		at = at[copy(at, m):]
	}
	p.copies[i] = c
}

// outgoing is the memory of a step's message.
func (p *pass) outgoing(i int, s *schedule.Step) [][]byte {
	if s.Swap {
		return [][]byte{p.copies[i]}
	}
	return p.memory(s.Send)
}

// header is that of a message's frames.
func (p *pass) header(bytes int) Header {
	h := p.h
	if h.Call.is(pairs) {
		h.Count = uint64(bytes / h.DType.Size())
	}
	return h
}

// send sends frame j of a message. One that does not lie in one place is put
// together in scratch.
func (p *pass) send(s *schedule.Step, spans [][]byte, j int) error {
	h := p.header(total(spans))
	var payload []byte
	switch parts := p.x.cut(spans, j); len(parts) {
	case 0:
	case 1:
		payload = parts[0]
	default:
		payload = p.x.scratch.take(total(parts))
		at := payload
		for _, m := range parts {
			at = at[copy(at, m):]
		}
	}
	n := p.sent[s.To]
	p.sent[s.To]++
	return p.x.send(s.To, h, int(n), payload)
}

// take receives frame j of a message and stores it.
func (p *pass) take(i int, s *schedule.Step, spans [][]byte, j int) error {
	h := p.header(total(spans))
	parts := p.x.cut(spans, j)
	n := p.taken[s.From]
	p.taken[s.From]++
	f, err := p.x.receive(s.From, &h, int(n), total(parts))
	if err != nil {
		return err
	}
	var own []byte // of a swap in which the lower rank's comes first
	if s.Swap && s.From < p.x.rank && s.Action != schedule.Copy {
		own = p.copies[i][j*p.x.opt.ChunkBytes:]
	}
	pieces := f.Pieces
	for k, dst := range parts {
		in := pieces
		if k < len(parts)-1 {
			in, pieces = split(pieces, len(dst))
		}
		switch {
		case s.Action == schedule.Copy:
			reduce.Place(dst, in)
		case own != nil:
			reduce.Place(dst, in)
			reduce.Combine(h.DType, h.Reduce, dst, [][]byte{own[:len(dst)]})
			own = own[len(dst):]
		default:
			reduce.Combine(h.DType, h.Reduce, dst, in)
		}
		if s.Action == schedule.Finish && h.Reduce == Avg {
			reduce.Divide(h.DType, dst, p.x.size)
		}
	}
	f.Release()
	return nil
}

// length is the bytes of a message.
func (p *pass) length(b schedule.Blocks) int {
	if b.Count == 1 && b.Bit == 0 {
		return len(p.block(b.First))
	}
	n := 0
	for _, i := range b.In(p.plan.Blocks) {
		n += len(p.block(i))
	}
	return n
}

// memory lists where the blocks of a message lie, those beside each other as one.
func (p *pass) memory(b schedule.Blocks) [][]byte {
	if b.Count == 1 && b.Bit == 0 {
		if m := p.block(b.First); len(m) > 0 {
			return [][]byte{m}
		}
		return nil
	}
	var out [][]byte
	for _, i := range b.In(p.plan.Blocks) {
		m := p.block(i)
		if len(m) == 0 {
			continue
		}
		if k := len(out) - 1; k >= 0 && follows(out[k], m) {
			out[k] = out[k][:len(out[k])+len(m)]
			continue
		}
		out = append(out, m)
	}
	return out
}

// follows reports whether b begins where a ends, in the same allocation, whose
// length a's capacity bounds.
func follows(a, b []byte) bool {
	return cap(a) >= len(a)+len(b) && unsafe.Pointer(unsafe.SliceData(b)) == unsafe.Add(unsafe.Pointer(unsafe.SliceData(a)), len(a))
}

// cut gives what frame j of a message holds.
func (x *exchange) cut(spans [][]byte, j int) [][]byte {
	if len(spans) == 1 {
		return [][]byte{x.chunk(spans[0], j)}
	}
	skip, want := j*x.opt.ChunkBytes, x.opt.ChunkBytes
	var out [][]byte
	for _, m := range spans {
		if skip >= len(m) {
			skip -= len(m)
			continue
		}
		m = m[skip:]
		skip = 0
		m = m[:min(len(m), want)]
		if len(m) > 0 {
			out = append(out, m)
		}
		if want -= len(m); want == 0 {
			break
		}
	}
	return out
}

func total(spans [][]byte) int {
	n := 0
	for _, m := range spans {
		n += len(m)
	}
	return n
}

// split gives the first n bytes of pieces, and the rest.
func split(pieces [][]byte, n int) (head, rest [][]byte) {
	for i, p := range pieces {
		if n < len(p) {
			if n > 0 {
				head = append(head, p[:n])
			}
			return head, append([][]byte{p[n:]}, pieces[i+1:]...)
		}
		head, n = append(head, p), n-len(p)
	}
	return head, nil
}

// scratch is memory that a call borrows until it has ended.
type scratch struct {
	mu   sync.Mutex // a pass sends and receives at the same time
	free []byte
	all  []byte
}

// keepScratch is the most that is kept for the next call.
const keepScratch = 1 << 20

// take gives n bytes, aligned for every type.
func (s *scratch) take(n int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	need := (n + 7) &^ 7
	if need > len(s.free) {
		if need > keepScratch/4 {
			return make([]byte, n)
		}
		// What was borrowed of the old memory stays valid.
		s.all = make([]byte, max(need, min(2*len(s.all), keepScratch), 4096))
		s.free = s.all
	}
	out := s.free[:n:n]
	s.free = s.free[need:]
	return out
}

// reset takes back all that was borrowed.
func (s *scratch) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = s.all
}
