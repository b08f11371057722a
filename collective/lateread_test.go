package collective_test

import (
	"fmt"
	"reflect"
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
	for _, n := range []int{2, 3, 4, 7} {
		for way, opt := range ways(n) {
			inBubble(t, fmt.Sprintf("%d ranks, %s", n, way), func(t *testing.T) {
				ts := mem.New(n)
				for r := range ts {
					ts[r] = lateReader{ts[r]}
				}
				opt.ChunkBytes = 512
				calltest.All(t, ts, opt)
			})
		}
	}
}

// Nor what was rounded to be sent.
func TestRoundedPayloadsThatAreReadLate(t *testing.T) {
	for _, n := range []int{2, 3, 4, 7} {
		for way, opt := range ways(n) {
			inBubble(t, fmt.Sprintf("%d ranks, %s", n, way), func(t *testing.T) {
				var jobs []calltest.Job
				for _, op := range []collective.Op{collective.Sum, collective.Avg} {
					jobs = append(jobs, calltest.Job{Call: collective.CallAllReduce, Op: op, Count: 501}, calltest.Job{Call: collective.CallReduceScatter, Op: op, Count: 502})
				}
				opt.ChunkBytes, opt.Wire = 64, collective.TypeBF16
				var results [2][][][]byte
				for i := range results {
					ts := mem.New(n)
					for r := range ts {
						if i == 1 {
							ts[r] = lateReader{ts[r]}
						}
					}
					var err error
					if results[i], err = calltest.Results(ts, opt, jobs); err != nil {
						t.Fatal(err)
					}
				}
				if !reflect.DeepEqual(results[0], results[1]) {
					t.Error("what is read late is other values")
				}
			})
		}
	}
}
