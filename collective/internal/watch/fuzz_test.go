package watch

import (
	"encoding/binary"
	"testing"
	"time"

	"vgid/collective/frame"
)

// nowhere is a transport that nobody is at the other end of.
type nowhere struct{ frame.Transport } // nil: nothing else is called

func (nowhere) Notify(int, []byte) error                  { return nil }
func (nowhere) Watch(func(int, []byte), func(int, error)) {}
func (nowhere) Break()                                    {}

// FuzzHear has a rank of four, that is in a call, hear notices of the others: signs of life with
// goodbyes in them, causes, and anything else. Each is a byte of who says it, two of its length, and itself.
// Whatever they say, the rank knows of no others than there are, and ends by one cause at most.
func FuzzHear(f *testing.F) {
	head := frame.Header{Call: frame.CallAllReduce, Seq: 1, Count: 8, Chunks: 1}
	said := func(from byte, msgs ...[]byte) (b []byte) {
		for _, m := range msgs {
			b = append(binary.LittleEndian.AppendUint16(append(b, from), uint16(len(m))), m...)
		}
		return b
	}
	tab := newTable(1, 4)
	tab.put(1, entry{beat: 3, in: []standing{{at: inCall(1), call: frame.CallAllReduce}}})
	tab.put(2, entry{beat: 3, suspects: []int{3}})
	f.Add(said(1, tab.signs([]int{1, 2}, []announced{{head, 5}}, 0)...))
	other := head
	other.Count = 9
	f.Add(said(2, tab.signs([]int{1, 2}, []announced{{other, 5}}, 0)...))
	tab.put(1, entry{beat: 4, leaving: goodbye, in: []standing{{at: afterCall(1), left: true, sum: 5}}})
	tab.put(3, entry{beat: 4, leaving: agreed, in: []standing{{at: afterCall(1), left: true, sum: 5}}})
	f.Add(said(1, tab.signs([]int{1, 3}, nil, 0)...))
	f.Add(said(1, encodeAbort(1, &frame.RankError{Rank: 1, Peer: 2, Err: frame.ErrClosed})))
	f.Add(said(1, encodeAbort(1, &frame.MismatchError{Rank: 1, Peer: 0, Local: head, Remote: other})))
	f.Fuzz(func(t *testing.T, b []byte) {
		failure := NewFailure(nowhere{}, 0, 4)
		w := New(nowhere{}, 0, 4, Options{Heartbeat: time.Hour, Silence: time.Hour}, failure)
		p := NewProgress(0, []int{0, 1, 2, 3}, time.Hour)
		w.prepare(p)
		h := head
		h.Seq = p.Next()
		_ = w.Announce(p, &h) // nobody has left
		for len(b) >= 3 {
			from, n := 1+int(b[0])%3, int(binary.LittleEndian.Uint16(b[1:]))
			b = b[3:]
			n = min(n, len(b))
			w.hear(from, b[:n])
			b = b[n:]
		}
		if len(w.table.entries) != 4 || len(w.table.fresh) > 4 {
			t.Fatalf("%d ranks, %d of them fresh", len(w.table.entries), len(w.table.fresh))
		}
		for r, e := range w.table.entries {
			if e.leaving >= endLeave || r == 0 && e.beat != 0 {
				t.Errorf("of rank %d: %+v", r, e)
			}
			for _, s := range e.suspects {
				if s < 0 || s > 3 {
					t.Errorf("rank %d suspects rank %d", r, s)
				}
			}
		}
		select {
		case <-failure.Broken():
			if err := failure.InWordsOf(h.Call, h.Seq); err == nil || err.Error() == "" {
				t.Errorf("the cause is %v", err)
			}
		default:
		}
	})
}
