package wire

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"vgid/collective/frame"
)

// FuzzFrame cuts a message into pieces of any length, as frames of HTTP/2 may,
// and checks that only whole frames come out, with their bytes in order. Long
// messages get the length and the checksum that make frames of them, or nothing
// would come as far as the pieces.
func FuzzFrame(f *testing.F) {
	h := frame.Header{Call: frame.CallAllReduce, Seq: 1, Count: 5, Chunks: 1, Length: 20}
	whole := append(h.AppendTo(nil), bytes.Repeat([]byte{7}, 20)...)
	f.Add(whole, byte(9))
	f.Add(whole[:70], byte(64))
	f.Add(whole[:10], byte(1))
	f.Fuzz(func(t *testing.T, msg []byte, cut byte) {
		cutAndRead(t, msg, cut)
		if len(msg) >= frame.HeaderSize {
			le := binary.LittleEndian
			signed := bytes.Clone(msg)
			le.PutUint32(signed[frame.HeaderSize-8:], uint32(len(msg)-frame.HeaderSize))
			le.PutUint32(signed[frame.HeaderSize-4:], frame.Checksum(signed[:frame.HeaderSize-4]))
			cutAndRead(t, signed, cut)
		}
	})
}

func cutAndRead(t *testing.T, msg []byte, cut byte) {
	var data mem.BufferSlice
	for rest := msg; len(rest) > 0; {
		k := min(len(rest), int(cut)+1)
		data, rest = append(data, mem.SliceBuffer(rest[:k])), rest[k:]
	}
	var m inFrame
	if err := (codec{}).Unmarshal(data, &m); err != nil {
		return
	}
	if m.frame.Len() != int(m.frame.Header.Length) {
		t.Fatalf("%d bytes of %d", m.frame.Len(), m.frame.Header.Length)
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
}

// FuzzNote reads control messages; what is read is written as it was.
func FuzzNote(f *testing.F) {
	ask := askForLane(7)
	f.Add(append([]byte{ask.kind}, ask.b...))
	f.Add([]byte{noteMessage, 'h', 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNote(b)
		if err != nil {
			return
		}
		if again := append([]byte{n.kind}, n.b...); !bytes.Equal(again, b) {
			t.Fatalf("%x is read as %x", b, again)
		}
		if n.kind == noteLane && !bytes.Equal(askForLane(n.lane()).b, n.b) {
			t.Fatalf("lane %d of %x", n.lane(), b)
		}
	})
}

// callingStream is one that a peer opens and that says no more than its headers.
type callingStream struct {
	incoming // nil: nothing else is called
	md       metadata.MD
	answered bool
}

func (c *callingStream) asked() metadata.MD             { return c.md }
func (c *callingStream) certificate() *x509.Certificate { return nil }
func (c *callingStream) answer(metadata.MD) error       { c.answered = true; return nil }

// FuzzAdmit has a peer that knows the token say anything of itself: it is a rank above this one, of this
// job, or is refused in one line.
func FuzzAdmit(f *testing.F) {
	f.Add(version, "job", "4", "9", "2", "1", "3")
	f.Add(version, "job", "4", "9", "-1", "1", "x")
	f.Add("", "", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, version, job, size, epoch, rank, to, lane string) {
		tr := &transport{cfg: Config{Job: "job", Epoch: 9, Rank: 1, Peers: make([]string, 4)}, size: 4, links: make([]*link, 4)}
		s := &callingStream{md: metadata.Pairs("vgid-version", version, "vgid-job", job, "vgid-size", size, "vgid-epoch", epoch,
			"vgid-rank", rank, "vgid-to", to, laneKey, lane)}
		l, err := tr.admit(s)
		switch {
		case err == nil && (!s.answered || l.peer < 2 || l.peer > 3 || job != "job" || epoch != "9"):
			t.Errorf("%v is admitted as rank %d", s.md, l.peer)
		case err != nil && (s.answered || strings.ContainsAny(err.Error(), "\n\x00")):
			t.Errorf("answered %t, %q", s.answered, err)
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
