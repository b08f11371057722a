package shm

import (
	"encoding/binary"
	"fmt"
	"os"
)

// Messages over the socket: a byte each, with what follows.
const (
	msgBell  byte = iota + 1
	msgOffer      // lane and ring size, 4 bytes each, and a file descriptor
	msgYes        // lane: taken
	msgNo         // lane: not taken
)

// message is what came over the socket.
type message struct {
	kind       byte
	lane, ring uint32
	file       *os.File // of an offer
}

// inbox cuts what comes over the socket into messages.
type inbox struct {
	buf   [512]byte
	n     int
	files []*os.File
}

func (in *inbox) close() {
	for _, f := range in.files {
		f.Close()
	}
}

// next gives the next whole message.
func (in *inbox) next() (m message, ok bool, err error) {
	for in.n > 0 && in.buf[0] == msgBell {
		in.drop(1)
	}
	size := map[byte]int{msgOffer: 9, msgYes: 5, msgNo: 5}
	switch b := in.buf[:in.n]; {
	case len(b) == 0:
		return m, false, nil
	case size[b[0]] == 0:
		return m, false, fmt.Errorf("a message of kind %d, which this program does not know", b[0])
	case len(b) < size[b[0]]:
		return m, false, nil
	default:
		m = message{kind: b[0], lane: binary.LittleEndian.Uint32(b[1:])}
		if m.kind == msgOffer {
			m.ring = binary.LittleEndian.Uint32(b[5:])
			if len(in.files) > 0 {
				m.file, in.files = in.files[0], in.files[1:]
			}
		}
		in.drop(size[b[0]])
		return m, true, nil
	}
}

func (in *inbox) drop(n int) { in.n = copy(in.buf[:], in.buf[n:in.n]) }
