package collective_test

import (
	"fmt"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/frame"
	"vgid/collective/mem"
)

// lateReader is a transport that reads payloads some time after Send has returned, as
// its contract allows and grpc-go does.
type lateReader struct{ frame.Transport }

func (t lateReader) Lane(id uint32) frame.Lane {
	return &lateLane{t.Transport.Lane(id), make([]chan struct{}, t.Size())}
}

type lateLane struct {
	frame.Lane
	last []chan struct{} // by rank: closed when the frame before has left
}

func (l *lateLane) Send(to int, h *frame.Header, payload []byte, sent *frame.Inflight) error {
	before, after, own := l.last[to], make(chan struct{}), *h
	l.last[to] = after
	go func() {
		defer close(after)
		if before != nil {
			<-before
		}
		time.Sleep(time.Millisecond)
		_ = l.Lane.Send(to, &own, payload, sent) // what fails is missed by the peer
	}()
	return nil
}

// No call writes what it has sent before that has been read.
func TestPayloadsThatAreReadLate(t *testing.T) {
	for _, n := range []int{2, 3, 4, 5, 7} {
		for _, small := range []int{-1, 0} {
			inBubble(t, fmt.Sprintf("%d ranks, %d bytes are short", n, small), func(t *testing.T) {
				ts := mem.New(n)
				for r := range ts {
					ts[r] = lateReader{ts[r]}
				}
				calltest.All(t, ts, collective.Options{SmallBytes: small, ChunkBytes: 64})
			})
		}
	}
}
