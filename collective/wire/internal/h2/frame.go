package h2

import (
	"encoding/binary"
	"fmt"
)

// The numbers of RFC 9113, sections 6 and 7.
const (
	frameData         = 0
	frameHeaders      = 1
	framePriority     = 2
	frameReset        = 3
	frameSettings     = 4
	framePush         = 5
	framePing         = 6
	frameGoAway       = 7
	frameWindow       = 8
	frameContinuation = 9

	flagEndStream  = 1 // DATA, HEADERS
	flagAck        = 1 // SETTINGS, PING
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 0x20

	settingTableSize  = 1
	settingPush       = 2
	settingStreams    = 3
	settingWindow     = 4
	settingMaxFrame   = 5
	settingHeaderList = 6

	codeNone      = 0
	codeProtocol  = 1
	codeFlow      = 3
	codeClosed    = 5
	codeFrameSize = 6
	codeRefused   = 7
	codeCancel    = 8
	codeFlood     = 11 // ENHANCE_YOUR_CALM
)

const (
	preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	headerSize  = 9
	prefixSize  = 5 // of a gRPC message: compressed or not, length
	firstWindow = 65535
	minMaxFrame = 16384
	maxMaxFrame = 1<<24 - 1
	maxWindow   = 1<<31 - 1
	// maxControl is the longest payload of a frame that is not DATA, and of a header
	// block. What peers here send has a few hundred bytes.
	maxControl = 8 << 10
)

// header is what every frame begins with.
type header struct {
	length int
	kind   uint8
	flags  uint8
	stream uint32
}

func (h header) has(flag uint8) bool { return h.flags&flag != 0 }

// parseHeader reads the first headerSize bytes of b. The reserved bit is ignored, as the
// RFC wants.
func parseHeader(b []byte) header {
	_ = b[headerSize-1]
	return header{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: b[3], flags: b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & maxWindow,
	}
}

func (h header) appendTo(b []byte) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(h.length>>16), byte(h.length>>8), byte(h.length), h.kind, h.flags), h.stream)
}

// setting is one of a SETTINGS frame.
type setting struct {
	id    uint16
	value uint32
}

func appendSettings(b []byte, s ...setting) []byte {
	b = header{length: 6 * len(s), kind: frameSettings}.appendTo(b)
	for _, x := range s {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, x.id), x.value)
	}
	return b
}

// parseSettings refuses values that the RFC gives no meaning to.
func parseSettings(p []byte) ([]setting, error) {
	if len(p)%6 != 0 {
		return nil, violation(codeFrameSize, "SETTINGS of %d bytes", len(p))
	}
	out := make([]setting, 0, len(p)/6)
	for ; len(p) > 0; p = p[6:] {
		s := setting{binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])}
		switch {
		case s.id == settingWindow && s.value > maxWindow:
			return nil, violation(codeFlow, "a first window of %d bytes", s.value)
		case s.id == settingMaxFrame && (s.value < minMaxFrame || s.value > maxMaxFrame), s.id == settingPush && s.value > 1:
			return nil, violation(codeProtocol, "setting %d has the value %d", s.id, s.value)
		}
		out = append(out, s)
	}
	return out, nil
}

func appendNumber(b []byte, kind uint8, stream, value uint32) []byte {
	return binary.BigEndian.AppendUint32(header{length: 4, kind: kind, stream: stream}.appendTo(b), value)
}

func appendPong(b, ping []byte) []byte {
	return append(header{length: 8, kind: framePing, flags: flagAck}.appendTo(b), ping...)
}

func appendGoAway(b []byte, last, code uint32, words string) []byte {
	b = header{length: 8 + len(words), kind: frameGoAway}.appendTo(b)
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, last), code)
	return append(b, words...)
}

// headersFrame holds a header block, which fits in a frame (maxControl).
func headersFrame(stream uint32, block []byte, end bool) []byte {
	h := header{len(block), frameHeaders, flagEndHeaders, stream}
	if end {
		h.flags |= flagEndStream
	}
	return append(h.appendTo(nil), block...)
}

// unpad gives the payload of a HEADERS frame without padding and priority.
func unpad(h header, p []byte) ([]byte, error) {
	pad := 0
	if h.has(flagPadded) {
		if len(p) == 0 {
			return nil, violation(codeFrameSize, "a padded frame without the length of its padding")
		}
		pad, p = int(p[0]), p[1:]
	}
	if h.has(flagPriority) {
		if len(p) < 5 {
			return nil, violation(codeFrameSize, "HEADERS too short for their priority")
		}
		p = p[5:]
	}
	if pad > len(p) {
		return nil, violation(codeProtocol, "padding of %d bytes in a frame of %d", pad, h.length)
	}
	return p[:len(p)-pad], nil
}

// protocolError is what a peer does that ends the connection.
type protocolError struct {
	code  uint32 // of GOAWAY
	words string
}

func (e *protocolError) Error() string { return "the peer breaks HTTP/2's rules: " + e.words }

func violation(code uint32, format string, args ...any) error {
	return &protocolError{code, fmt.Sprintf(format, args...)}
}
