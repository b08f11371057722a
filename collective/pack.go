package collective

import (
	"vgid/collective/frame"
	"vgid/collective/internal/watch"
	"vgid/collective/reduce"
	"vgid/collective/spans"
)

// packed is memory that holds what a frame sends, where that is not the caller's.
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

// pack puts together what a frame sends: elements that are rounded, or that do not lie in one
// place.
func (p *pass) pack(parts [][]byte) (payload []byte, sent *frame.Inflight) {
	room := p.room()
	if !p.h.AsBF16 {
		payload = room.memory[:spans.Total(parts)]
		spans.Gather(payload, parts)
		return payload, room.sent
	}
	n := 0
	for _, m := range parts {
		k := n + p.onWire(len(m))
		reduce.PackBF16(room.memory[n:k], m)
		n = k
	}
	return room.memory[:n], room.sent
}

// room is memory for a frame: that of an earlier one if the transport has read it. It does not
// wait for that, since what keeps it may be the peer, who waits.
func (p *pass) room() *packed {
	for i := range p.packed {
		if p.packed[i].sent.Idle() {
			return &p.packed[i]
		}
	}
	p.packed = append(p.packed, packed{p.x.scratch.Take(p.onWire(min(p.cut, p.longest))), frame.NewInflight()})
	return &p.packed[len(p.packed)-1]
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
