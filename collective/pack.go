package collective

import (
	"vgid/collective/frame"
	"vgid/collective/internal/watch"
	"vgid/collective/reduce"
)

// packed is memory that holds the rounded elements of a frame.
type packed struct {
	memory []byte
	sent   *frame.Inflight
}

// onWire is the bytes that so many of memory have on the wire.
func (p *pass) onWire(bytes int) int {
	if p.h.AsBF16 {
		return bytes / TypeF32.Size() * TypeBF16.Size()
	}
	return bytes
}

// pack rounds the elements of a frame, in memory of an earlier one if the transport has
// read that: it does not wait for it, since what keeps it may be the peer, who waits.
func (p *pass) pack(parts [][]byte) (payload []byte, sent *frame.Inflight) {
	var room *packed
	for i := range p.packed {
		if p.packed[i].sent.Idle() {
			room = &p.packed[i]
			break
		}
	}
	if room == nil {
		p.packed = append(p.packed, packed{p.x.scratch.Take(p.onWire(min(p.cut, p.longest))), frame.NewInflight()})
		room = &p.packed[len(p.packed)-1]
	}
	n := 0
	for _, m := range parts {
		k := n + p.onWire(len(m))
		reduce.PackBF16(room.memory[n:k], m)
		n = k
	}
	return room.memory[:n], room.sent
}

// sentAll waits until the transport reads none of it any more.
func (p *pass) sentAll() error {
	for _, k := range p.packed {
		if !k.sent.Wait(p.x.failure.Broken()) {
			return watch.ErrBroken
		}
	}
	return nil
}
