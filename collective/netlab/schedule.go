package netlab

import "time"

// link is one direction of a node's link: what goes through it does so one after another.
//
// What must always hold: a packet takes the link for as long as its bytes need at the link's rate, and none takes it
// while another does.
type link struct {
	rate float64   // bits a second
	free time.Time // when what has been accepted will be through
}

// through has a packet take the link, at the earliest from the given time on, and gives the time when its last bit is through.
func (l *link) through(from time.Time, bytes int) time.Time {
	if l.free.Before(from) {
		l.free = from
	}
	l.free = l.free.Add(l.takes(bytes))
	return l.free
}

// takes is how long so many bytes take the link.
func (l *link) takes(bytes int) time.Duration {
	return time.Duration(float64(bytes) * 8 / l.rate * float64(time.Second))
}

// What Ethernet adds to each packet: preamble, header, checksum, gap between frames (IEEE 802.3).
const etherOverhead = 8 + 14 + 4 + 12

// wireBytes is how many bytes a packet of the kernel is on the wire: one that is longer than a network takes goes
// as segments, each with headers of its own. segment is how much data each carries, 0 for a packet that goes whole.
func wireBytes(length, headers, segment int) int {
	data := length - headers
	if segment <= 0 || data <= segment {
		return length + etherOverhead
	}
	segments := (data + segment - 1) / segment
	return data + segments*(headers+etherOverhead)
}
