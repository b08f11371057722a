package schedule

import (
	"fmt"
	"slices"
)

// cell is a block during a simulation: whose contributions it holds, and a value
// that tells in which order they were combined.
type cell struct {
	block int       // that it is of, from 1: blocks are not interchangeable
	set   [2]uint64 // of ranks below 128
	order uint64
}

func mark(rank int) cell {
	c := cell{order: uint64(rank)*0x9e3779b97f4a7c15 + 1}
	c.set[rank/64] = 1 << (rank % 64)
	return c
}

func full(n int) [2]uint64 {
	var s [2]uint64
	for r := range n {
		s[r/64] |= 1 << (r % 64)
	}
	return s
}

// combine is neither commutative nor associative, as floats are not.
func combine(a, b cell) (cell, error) {
	if a.block != b.block {
		return a, fmt.Errorf("block %d is combined with block %d", a.block-1, b.block-1)
	}
	if a.set[0]&b.set[0] != 0 || a.set[1]&b.set[1] != 0 {
		return a, fmt.Errorf("a rank is counted twice")
	}
	h := (a.order ^ a.order>>29) * 0xbf58476d1ce4e5b9
	h = (h + b.order) * 0x94d049bb133111eb
	return cell{block: a.block, set: [2]uint64{a.set[0] | b.set[0], a.set[1] | b.set[1]}, order: h ^ h>>31}, nil
}

// frame is one piece of a message.
type frame struct {
	at    []*cell // where the sender's values are; read when the frame is taken
	knows []int   // how many frames of each rank are known to have been taken
	sent  *lent
}

// lent is a frame whose cells a transport reads from.
type lent struct {
	by, number int // the peer that takes it, and which of its frames it is
}

// player is one rank of a simulation.
type player struct {
	rank  int
	plan  Plan
	cells [][]cell // [block][piece]
	lent  map[*cell][]*lent
	knows []int
	// Where sending and receiving are: step and frame of the step.
	sendStep, sendFrame, recvStep, recvFrame int
	copies                                   map[int][]cell // of swaps, by step
	inOrder                                  bool
}

// play executes the plans of all ranks. No link stores more than one frame. In
// order means that a rank takes its steps one after another and sends first;
// otherwise it sends beside receiving, and messages are cut into frames of a piece.
func play(plans []Plan, cells [][][]cell, inOrder bool) error {
	n := len(plans)
	links := map[[2]int][]*frame{}
	players := make([]*player, n)
	for r := range players {
		players[r] = &player{rank: r, plan: plans[r], cells: cells[r], lent: map[*cell][]*lent{}, knows: make([]int, n), copies: map[int][]cell{}, inOrder: inOrder}
	}
	for moved := true; moved; {
		moved = false
		for _, p := range players {
			for {
				sent, err := p.send(links)
				if err != nil {
					return err
				}
				took, err := p.take(links)
				if err != nil {
					return err
				}
				if !sent && !took {
					break
				}
				moved = true
			}
		}
	}
	for _, p := range players {
		if p.sendStep < len(p.plan.Steps) || p.recvStep < len(p.plan.Steps) {
			return fmt.Errorf("rank %d is stuck at step %d sending and %d receiving, of %d", p.rank, p.sendStep, p.recvStep, len(p.plan.Steps))
		}
	}
	for link, f := range links {
		if len(f) > 0 {
			return fmt.Errorf("a frame of link %v is never taken", link)
		}
	}
	return nil
}

// cellsOf lists the cells of a message.
func (p *player) cellsOf(b Blocks) []*cell {
	var out []*cell
	for _, i := range b.In(p.plan.Blocks) {
		for k := range p.cells[i] {
			out = append(out, &p.cells[i][k])
		}
	}
	return out
}

// framesOf cuts a message into its frames; an empty one is a frame as well.
func (p *player) framesOf(cells []*cell) [][]*cell {
	if p.inOrder || len(cells) == 0 {
		return [][]*cell{cells}
	}
	return slices.Collect(slices.Chunk(cells, 1))
}

// prepare makes the copy of a swap, when everything before was received.
func (p *player) prepare() {
	if p.recvStep >= len(p.plan.Steps) {
		return
	}
	if s := p.plan.Steps[p.recvStep]; s.Swap && p.copies[p.recvStep] == nil {
		for _, at := range p.cellsOf(s.Send) {
			p.copies[p.recvStep] = append(p.copies[p.recvStep], *at)
		}
	}
}

// skip passes steps that have nothing to do in one direction.
func (p *player) skip() {
	for p.sendStep < len(p.plan.Steps) && p.plan.Steps[p.sendStep].To == None {
		p.sendStep++
	}
	for p.recvStep < len(p.plan.Steps) && p.plan.Steps[p.recvStep].From == None {
		p.recvStep++
	}
}

func (p *player) send(links map[[2]int][]*frame) (bool, error) {
	p.skip()
	p.prepare()
	if p.sendStep == len(p.plan.Steps) {
		return false, nil
	}
	s := p.plan.Steps[p.sendStep]
	switch {
	case p.inOrder:
		if p.recvStep < p.sendStep {
			return false, nil
		}
		if p.recvStep < s.After+1 {
			return false, fmt.Errorf("rank %d: step %d waits for step %d, which is later", p.rank, p.sendStep, s.After)
		}
	case s.Swap:
		if p.copies[p.sendStep] == nil {
			return false, nil
		}
	case s.Stream:
		if p.recvStep == s.After && p.recvFrame <= p.sendFrame || p.recvStep < s.After {
			return false, nil
		}
	case p.recvStep <= s.After:
		return false, nil
	}
	link := [2]int{p.rank, s.To}
	if len(links[link]) > 0 {
		return false, nil
	}
	f := &frame{knows: slices.Clone(p.knows)}
	cells := p.cellsOf(s.Send)
	if s.Swap {
		for i := range cells {
			cells[i] = &p.copies[p.sendStep][i]
		}
	}
	frames := p.framesOf(cells)
	f.at = frames[p.sendFrame]
	if !s.Swap {
		f.sent = &lent{by: s.To, number: -1}
		for _, at := range f.at {
			p.lent[at] = append(p.lent[at], f.sent)
		}
	}
	links[link] = append(links[link], f)
	if p.sendFrame++; p.sendFrame == len(frames) {
		p.sendStep, p.sendFrame = p.sendStep+1, 0
	}
	return true, nil
}

func (p *player) take(links map[[2]int][]*frame) (bool, error) {
	p.skip()
	p.prepare()
	if p.recvStep == len(p.plan.Steps) || p.inOrder && p.sendStep <= p.recvStep && p.sendStep < len(p.plan.Steps) && p.plan.Steps[p.recvStep].To != None {
		return false, nil
	}
	if p.inOrder && p.sendStep < p.recvStep { // a step that only sends comes first
		return false, nil
	}
	s := p.plan.Steps[p.recvStep]
	link := [2]int{s.From, p.rank}
	if len(links[link]) == 0 {
		return false, nil
	}
	f := links[link][0]
	links[link] = links[link][1:]
	frames := p.framesOf(p.cellsOf(s.Recv))
	to := frames[p.recvFrame]
	for r, k := range f.knows {
		p.knows[r] = max(p.knows[r], k)
	}
	p.knows[p.rank]++
	if f.sent != nil {
		f.sent.number = p.knows[p.rank]
	}
	if len(to) != len(f.at) {
		return false, fmt.Errorf("rank %d step %d: a frame of %d pieces arrives where one of %d is due", p.rank, p.recvStep, len(f.at), len(to))
	}
	for i := range to {
		if err := p.write(s, to[i], f.at[i]); err != nil {
			return false, fmt.Errorf("rank %d step %d from %d: %w", p.rank, p.recvStep, s.From, err)
		}
	}
	if p.recvFrame++; p.recvFrame == len(frames) {
		p.recvStep, p.recvFrame = p.recvStep+1, 0
	}
	return true, nil
}

// write stores what was received, if nothing may still read what was there.
func (p *player) write(s Step, to, from *cell) error {
	for _, l := range p.lent[to] {
		if l.number < 0 || p.knows[l.by] < l.number {
			return fmt.Errorf("a block is written that rank %d may still read", l.by)
		}
	}
	var err error
	switch {
	case s.Action == Copy:
		*to = *from
	case s.Swap && s.From < p.rank:
		*to, err = combine(*from, *to)
	default:
		*to, err = combine(*to, *from)
	}
	return err
}
