package collective

import (
	"vgid/collective/frame"
	"vgid/collective/internal/watch"
	"vgid/collective/reduce"
	"vgid/collective/schedule"
	"vgid/collective/spans"
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

	// sends and receives are room to list the places of the message that is being
	// sent, and received, and of its frame: most are of one place.
	sends, receives struct{ message, frame [1][]byte }

	cut         int      // bytes of memory whose elements go into a frame
	longest     int      // bytes of memory of the longest message that is sent
	packed      []packed // what is put together to be sent
	sent, taken []uint32 // frames, by peer
	copies      [][]byte // what swaps send, by step; nil if there are none
	// Frames taken and copies made, in the order of the plan: what sending waits
	// for. It has room for all, because were receiving to wait for sending, all ranks
	// together could wait for each other.
	events chan struct{}
}

// inOrderBytes is the longest message that is sent without receiving beside it: no
// more than what any network stores that nobody takes yet, or two ranks that send
// to each other would wait for ever.
const inOrderBytes = 64 << 10

// run executes a plan. The header's Count is that of the whole call. When it returns nil
// the transport reads no more of the memory, which callers go on to write: they divide
// sums, or give the memory back.
func (x *exchange) run(h Header, plan schedule.Plan, block func(i int) []byte) error {
	h.Algorithm = plan.Algorithm
	if err := x.watch.Announce(x.progress, &h); err != nil {
		return err
	}
	frames := make([]uint32, 2*x.size)
	p := &pass{x: x, h: h, plan: plan, block: block, sent: frames[:x.size], taken: frames[x.size:], cut: x.opt.ChunkBytes}
	if h.AsBF16 {
		p.cut *= TypeF32.Size() / TypeBF16.Size()
	}
	events, long, most := 0, false, min(inOrderBytes, x.opt.ChunkBytes)
	for _, s := range plan.Steps {
		if s.Swap && p.copies == nil {
			p.copies = make([][]byte, len(plan.Steps))
		}
		if s.From != schedule.None {
			n := p.length(s.Recv)
			events += p.chunks(n) + 1
			long = long || n > most
		}
		if s.To != schedule.None {
			n := p.length(s.Send)
			long, p.longest = long || n > most, max(p.longest, n)
		}
	}
	var err error
	if long {
		err = p.sideBySide(events)
	} else {
		err = p.inOrder()
	}
	if err == nil && !x.inflight.Wait(x.failure.Broken()) {
		err = watch.ErrBroken
	}
	if err == nil {
		err = p.sentAll()
	}
	return err
}

// sideBySide sends beside receiving.
func (p *pass) sideBySide(events int) error {
	p.events = make(chan struct{}, events)
	sender := make(chan error, 1)
	go func() { sender <- p.sendAll() }()
	err := p.takeAll()
	if serr := <-sender; err == nil {
		err = serr
	}
	return err
}

// inOrder takes the steps one after another. With messages of a single short frame
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
			if err := p.take(i, s, p.incoming(s), 0); err != nil {
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
			case <-p.x.failure.Broken():
				return watch.ErrBroken
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
		message := p.outgoing(i, s)
		for j := range p.chunks(spans.Total(message)) {
			if s.Stream && !s.Swap {
				if err := await(need + j + 1); err != nil {
					return err
				}
			}
			if err := p.send(s, message, j); err != nil {
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
			out[i+1] += p.chunks(p.length(s.Recv))
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
		message := p.incoming(s)
		for j := range p.chunks(spans.Total(message)) {
			if err := p.take(i, s, message, j); err != nil {
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
	message := p.memory(nil, s.Send)
	p.copies[i] = p.x.scratch.Take(spans.Total(message))
	spans.Gather(p.copies[i], message)
}

// outgoing is the memory of a step's message.
func (p *pass) outgoing(i int, s *schedule.Step) [][]byte {
	if s.Swap {
		return append(p.sends.message[:0], p.copies[i])
	}
	return p.memory(p.sends.message[:0], s.Send)
}

// incoming is where a step's message goes.
func (p *pass) incoming(s *schedule.Step) [][]byte {
	return p.memory(p.receives.message[:0], s.Recv)
}

// header is that of a message's frames.
func (p *pass) header(bytes int) Header {
	h := p.h
	if h.Call.Is(frame.Pairs) {
		h.Count = uint64(bytes / h.DType.Size())
	}
	return h
}

// send sends frame j of a message, from where it lies if it can.
func (p *pass) send(s *schedule.Step, message [][]byte, j int) error {
	h := p.header(spans.Total(message))
	var payload []byte
	inflight := p.x.inflight
	switch parts := p.frame(p.sends.frame[:0], message, j); {
	case h.AsBF16 || len(parts) > 1:
		payload, inflight = p.pack(parts)
	case len(parts) == 1:
		payload = parts[0]
	}
	n := p.sent[s.To]
	p.sent[s.To]++
	return p.x.send(s.To, h, int(n), payload, inflight)
}

// take receives frame j of a message and stores it.
func (p *pass) take(i int, s *schedule.Step, message [][]byte, j int) error {
	h := p.header(spans.Total(message))
	parts := p.frame(p.receives.frame[:0], message, j)
	n := p.taken[s.From]
	p.taken[s.From]++
	f, err := p.x.receive(s.From, &h, int(n), p.onWire(spans.Total(parts)))
	if err != nil {
		return err
	}
	var own []byte // of a swap in which the lower rank's comes first
	if s.Swap && s.From < p.x.rank && s.Action != schedule.Copy {
		own = p.copies[i][j*p.cut:]
	}
	defer f.Release()
	for _, dst := range parts {
		if err := p.store(s, &h, f, dst, own); err != nil {
			p.x.trouble(s.From, err)
			return watch.ErrBroken
		}
		if own != nil {
			own = own[len(dst):]
		}
	}
	return nil
}

// store puts the next bytes of a frame where they go. own, if not nil, is what was there
// before, and comes first.
func (p *pass) store(s *schedule.Step, h *Header, f *frame.Frame, dst, own []byte) error {
	if !h.AsBF16 && (s.Action == schedule.Copy || own != nil) {
		if err := f.Into(dst); err != nil {
			return err
		}
		if own != nil {
			reduce.Combine(h.DType, h.Reduce, dst, [][]byte{own[:len(dst)]})
		}
	} else {
		c := reduce.Combiner{DType: h.DType, Op: h.Reduce, Dst: dst, FromBF16: h.AsBF16, Replace: s.Action == schedule.Copy}
		for left := p.onWire(len(dst)); left > 0; {
			piece, err := f.Next(left)
			if err != nil {
				return err
			}
			c.Add(piece)
			left -= len(piece)
		}
	}
	if s.Action == schedule.Finish && h.Reduce == Avg {
		reduce.Divide(h.DType, dst, p.x.size)
	}
	if s.Action == schedule.Finish && h.AsBF16 {
		reduce.RoundBF16(dst) // as the others get it
	}
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

// memory lists where the blocks of a message lie, in room if it suffices.
func (p *pass) memory(room [][]byte, b schedule.Blocks) [][]byte {
	if b.Count == 1 && b.Bit == 0 {
		return spans.Append(room, p.block(b.First))
	}
	for _, i := range b.In(p.plan.Blocks) {
		room = spans.Append(room, p.block(i))
	}
	return room
}

// frame lists what frame j of a message holds, in room if it suffices.
func (p *pass) frame(room, message [][]byte, j int) [][]byte {
	return spans.Cut(room, message, j*p.cut, p.cut)
}

// chunks is how many frames carry so many bytes of memory: at least one, since
// headers are compared even when there is nothing to carry.
func (p *pass) chunks(bytes int) int { return max(1, (bytes+p.cut-1)/p.cut) }
