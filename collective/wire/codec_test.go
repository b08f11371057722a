package wire

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"

	"vgid/collective/frame"
)

// FuzzFrame cuts a message into pieces of any length, as frames of HTTP/2 may,
// and checks that only whole frames come out, with their bytes in order.
func FuzzFrame(f *testing.F) {
	h := frame.Header{Call: frame.CallAllReduce, Seq: 1, Count: 5, Chunks: 1, Length: 20}
	whole := append(h.AppendTo(nil), bytes.Repeat([]byte{7}, 20)...)
	f.Add(whole, byte(9))
	f.Add(whole[:70], byte(64))
	f.Add(whole[:10], byte(1))
	f.Fuzz(func(t *testing.T, msg []byte, cut byte) {
		var data mem.BufferSlice
		for rest := msg; len(rest) > 0; {
			k := min(len(rest), int(cut)+1)
			data, rest = append(data, mem.SliceBuffer(rest[:k])), rest[k:]
		}
		var m inFrame
		if err := (codec{}).Unmarshal(data, &m); err != nil {
			return
		}
		var body []byte
		for _, p := range m.frame.Pieces {
			body = append(body, p...)
		}
		m.frame.Release()
		m.frame.Release() // must not give back twice
		if again := append(m.frame.Header.AppendTo(nil), body...); !bytes.Equal(again, msg) {
			t.Fatalf("%x comes out as %x", msg, again)
		}
	})
}

// TestSentIsToldOnce sends every size class through Marshal and frees it.
func TestSentIsToldOnce(t *testing.T) {
	for _, n := range []int{0, 1, 1024, inlineBytes, inlineBytes + 1, 1 << 20} {
		sent := frame.NewInflight()
		sent.Add()
		sent.Add() // one that stays
		m := &outFrame{header: &frame.Header{Call: frame.CallBarrier, Length: uint32(n)}, payload: make([]byte, n), sent: sent}
		data, err := (codec{}).Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if data.Len() != frame.HeaderSize+n || !m.taken {
			t.Errorf("%d bytes: message of %d bytes, taken %v", n, data.Len(), m.taken)
		}
		stop := make(chan struct{})
		close(stop)
		data.Free()
		if sent.Wait(stop) {
			t.Errorf("%d bytes: told twice", n)
		}
		sent.Done()
		if !sent.Wait(stop) {
			t.Errorf("%d bytes: never told", n)
		}
	}
}
