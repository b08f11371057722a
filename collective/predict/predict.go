// Package predict estimates how long a collective operation takes on a network that need not be there: it plays the
// plans of all ranks (package schedule), frame by frame, with the time that each frame takes.
//
// The model is Hockney's, α + β·bytes for a message (Hockney, 1994), with the processors' part beside it as LogGP has
// it (Alexandrov and others, 1995): what a frame costs its sender and its receiver, per frame and per byte. Since the plans
// are played, what is pipelined and what waits for what need no formula of their own.
package predict

import (
	"errors"
	"fmt"
	"time"

	"vgid/collective/schedule"
)

// Net is what the model knows of a network and of the machines on it. Times are in seconds.
type Net struct {
	// Alpha is from the moment a byte has left until its receiver can begin with it.
	Alpha float64
	// Beta is the time that a byte takes a node's link.
	Beta float64
	// Send and Take are what a frame costs its sender's and its receiver's processor, SendByte and TakeByte what each of
	// its bytes does, the arithmetic of a reduction with it. A sender works while its link does.
	Send, Take, SendByte, TakeByte float64
	// Chunk is the most bytes that one frame carries.
	Chunk int
	// Header is what a frame has beside its payload, on the wire, in bytes.
	Header int
}

// Time estimates the time from the start of an operation on all ranks to its end on the last. plan gives that of each
// of n ranks, size the bytes of a block.
func Time(n int, plan func(rank int) schedule.Plan, size func(block, blocks int) int, net Net) (time.Duration, error) {
	p := player{net: net, ranks: make([]rank, n), links: map[[2]int]*link{}}
	if net.Chunk < 1 {
		return 0, errors.New("predict: frames have no length")
	}
	for r := range p.ranks {
		p.ranks[r] = newRank(plan(r), size)
	}
	for moved := true; moved; {
		moved = false
		for r := range p.ranks {
			// Not || : both have to be tried.
			sent, taken := p.sendWhatCan(r), p.takeWhatCan(r)
			moved = moved || sent || taken
		}
	}
	end := 0.0
	for r := range p.ranks {
		k := &p.ranks[r]
		if k.send.step < len(k.plan.Steps) || k.take.step < len(k.plan.Steps) {
			return 0, fmt.Errorf("predict: rank %d of %d waits for ever in step %d of its %s", r, n, min(k.send.step, k.take.step), k.plan.Algorithm)
		}
		end = max(end, k.taken, k.sent)
	}
	return time.Duration(end * float64(time.Second)), nil
}

// player is all ranks and what is on its way between them.
//
// What must always hold: times of one sender, and of one receiver, never fall. So the order in which ranks are played
// does not matter, and a rank is played as far as what it waits for has been.
type player struct {
	net   Net
	ranks []rank
	links map[[2]int]*link
}

// link is the frames from one rank to another that have left and were not taken.
type link struct{ frames []arrival }

// arrival is when the first and the last of a frame's bytes arrive. Its receiver works on those that are there.
type arrival struct {
	first, last float64
	bytes       int
}

// rank is how far one has been played.
type rank struct {
	plan        schedule.Plan
	bytes       []int // of each block
	send, take  cursor
	sent, taken float64 // when its sender, and its receiver, have ended what they did last
	// reached is when the receiver came to a step, done when it ended one, and pieces when each frame of a step came in
	// that another one sends on.
	reached, done []float64
	pieces        [][]float64
	streams       []int // by step, how many steps are still to be sent that stream from it
}

// cursor is a step, the frame of it that is due, and how many it has.
type cursor struct{ step, frame, frames int }

func newRank(p schedule.Plan, size func(block, blocks int) int) rank {
	n := len(p.Steps)
	r := rank{plan: p, bytes: make([]int, p.Blocks), reached: make([]float64, n), done: make([]float64, n),
		pieces: make([][]float64, n), streams: make([]int, n)}
	for i := range r.bytes {
		r.bytes[i] = size(i, p.Blocks)
	}
	for _, s := range p.Steps {
		if s.Stream && !s.Swap {
			r.streams[s.After]++
		}
	}
	return r
}

// length is the bytes of a message.
func (r *rank) length(b schedule.Blocks) int {
	if b.Count == 1 && b.Bit == 0 {
		return r.bytes[b.First]
	}
	n := 0
	for _, i := range b.In(r.plan.Blocks) {
		n += r.bytes[i]
	}
	return n
}

// frames is how many carry so many bytes: at least one.
func (n *Net) frames(bytes int) int { return max(1, (bytes+n.Chunk-1)/n.Chunk) }

// frame is the bytes of the i-th frame.
func (n *Net) frame(bytes, i int) int { return min(n.Chunk, bytes-i*n.Chunk) }

// sendWhatCan sends what a rank can send, and reports whether that was anything.
func (p *player) sendWhatCan(me int) bool {
	r, moved := &p.ranks[me], false
	for ; r.send.step < len(r.plan.Steps); r.send = (cursor{step: r.send.step + 1}) {
		s := &r.plan.Steps[r.send.step]
		if s.To == schedule.None {
			moved = true
			continue
		}
		out, bytes := p.link(me, s.To), r.length(s.Send)
		for n := p.net.frames(bytes); r.send.frame < n; r.send.frame++ {
			ready, known := r.ready(s)
			if !known {
				return moved
			}
			length := p.net.frame(bytes, r.send.frame)
			// The processor hands over a frame while the link still carries the one before.
			wire := float64(length+p.net.Header) * p.net.Beta
			work := p.net.Send + float64(length)*p.net.SendByte
			begin := max(r.sent, ready)
			r.sent = begin + max(wire, work)
			out.frames = append(out.frames, arrival{first: begin + p.net.Alpha, last: r.sent + p.net.Alpha, bytes: length})
			moved = true
		}
		if s.Stream && !s.Swap {
			if r.streams[s.After]--; r.streams[s.After] == 0 {
				r.pieces[s.After] = nil // a gigabyte in all, of a thousand ranks
			}
		}
	}
	return moved
}

// ready is when the due frame of a step may be sent; known is false while that has not been played.
func (r *rank) ready(s *schedule.Step) (at float64, known bool) {
	i := r.send.step
	switch {
	case s.Swap: // it sends the copy that is made when the receiver comes to the step
		return r.reached[i], r.take.step > i || r.take.step == i && (r.take.frame > 0 || r.take.frames > 0)
	case s.After < 0:
		return 0, true
	case s.Stream:
		if r.take.step > s.After || r.take.step == s.After && r.take.frame > r.send.frame {
			return r.pieces[s.After][r.send.frame], true
		}
		return 0, false
	}
	return r.done[s.After], r.take.step > s.After
}

// takeWhatCan takes what has arrived for a rank, and reports whether that was anything.
func (p *player) takeWhatCan(me int) bool {
	r, moved := &p.ranks[me], false
	for ; r.take.step < len(r.plan.Steps); r.take = (cursor{step: r.take.step + 1}) {
		i := r.take.step
		s := &r.plan.Steps[i]
		if s.From == schedule.None {
			r.done[i] = r.taken
			moved = true
			continue
		}
		if r.take.frames == 0 {
			r.reached[i] = r.taken
			r.take.frames = p.net.frames(r.length(s.Recv))
			moved = true
		}
		in := p.link(s.From, me)
		for ; r.take.frame < r.take.frames; r.take.frame++ {
			if len(in.frames) == 0 {
				return moved
			}
			f := in.frames[0]
			in.frames = in.frames[1:]
			r.taken = max(f.last, max(r.taken, f.first)+float64(f.bytes)*p.net.TakeByte) + p.net.Take
			if r.streams[i] > 0 {
				r.pieces[i] = append(r.pieces[i], r.taken)
			}
			moved = true
		}
		r.done[i] = r.taken
	}
	return moved
}

func (p *player) link(from, to int) *link {
	k := [2]int{from, to}
	l := p.links[k]
	if l == nil {
		l = &link{}
		p.links[k] = l
	}
	return l
}
