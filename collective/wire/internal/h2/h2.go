// Package h2 is an HTTP/2 endpoint (RFC 9113) for a few long-lived gRPC streams
// that carry large messages: at either end of a connection it works with
// grpc-go at the other, and between two of its own kind it is about as fast as
// the socket.
//
// grpc-go cuts messages into DATA frames of 16 KiB and copies each of them on
// its way; here a message is one frame if the peer takes it, sent from the
// caller's memory with one system call (writev), and read into the receiver's
// memory by the goroutine that waits for it (roles.go says who reads when).
//
// What grpc-go does and this package does not: compression, deadlines, retries,
// keepalive, flow control that adapts to the link.
package h2

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Options are those of one end. The zero value works.
type Options struct {
	// MaxFrame is the longest DATA frame in bytes that this end takes and sends;
	// 0: 2 MiB. Peers that take less get less.
	MaxFrame int
	// MaxMessage is the longest message in bytes that is taken; 0: 16 MiB.
	MaxMessage int
	// Window is how many bytes a stream may hold that nobody has read, at least 16 KiB;
	// 0: 16 MiB.
	Window int
	// MaxStreams is how many streams a caller may have open; 0: 4096.
	MaxStreams int
	// Spin is how long a receiver may ask the socket again and again before it sleeps,
	// where that was worth it lately (spinner); 0: not at all.
	Spin time.Duration
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.MaxFrame, 2 << 20}, {&o.MaxMessage, 16 << 20}, {&o.Window, 16 << 20}, {&o.MaxStreams, 4096}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	// What the format can say (RFC 9113, 6.5.2).
	o.MaxFrame = min(max(o.MaxFrame, minMaxFrame), maxMaxFrame)
	o.Window = min(max(o.Window, 4*minRaise), maxWindow)
	return o
}

// The ends of a connection. They carry gRPC's code Unavailable, as those of grpc-go.
var (
	errClosed = status.Error(codes.Unavailable, "this end has closed the connection")
	errGone   = status.Error(codes.Unavailable, "the peer has closed the connection")
	errReset  = status.Error(codes.Canceled, "this end has given the stream up")
)
