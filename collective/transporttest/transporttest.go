// Package transporttest is the one suite of tests that every
// frame.Transport passes.
package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"vgid/collective/frame"
)

// Run tests a transport; open gives the n connected ends of a world.
func Run(t *testing.T, open func(t *testing.T, n int) []frame.Transport) {
	for name, test := range map[string]struct {
		size int
		do   func(*testing.T, []frame.Transport)
	}{
		"order":            {3, testOrder},
		"sizes":            {3, testSizes},
		"memory":           {3, testMemory},
		"unread lane":      {3, testUnreadLane},
		"either end":       {3, testEitherEnd},
		"lane closed":      {3, testLaneClosed},
		"full lane closed": {3, testLaneClosedFull},
		"messages":         {3, testMessages},
		"break":            {3, testBreak},
		"break at once":    {3, testBreakAtOnce},
		"loss":             {3, testLoss},
		"connections":      {9, testConnections},
		"nobody listens":   {3, testNobodyListens},
	} {
		t.Run(name, func(t *testing.T) {
			ts := open(t, test.size)
			defer func() {
				var wg sync.WaitGroup
				for _, tr := range ts {
					wg.Go(func() {
						if err := tr.Close(); err != nil {
							t.Errorf("rank %d: close: %v", tr.Rank(), err)
						}
					})
				}
				wg.Wait()
			}()
			for r, tr := range ts {
				if tr.Rank() != r || tr.Size() != len(ts) || tr.MaxPayload() < 1<<20 {
					t.Fatalf("end %d is rank %d of %d and takes %d bytes", r, tr.Rank(), tr.Size(), tr.MaxPayload())
				}
			}
			test.do(t, ts)
		})
	}
}

// header is that of a frame; a transport looks at the length alone.
func header(call uint64, length int) *frame.Header {
	return &frame.Header{Call: frame.CallBarrier, Seq: call, Length: uint32(length)}
}

// noise is what contents are cut from.
var noise = func() []byte {
	b := make([]byte, 64<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}()

// content is what the k-th frame of a stream holds, of any length.
func content(stream, k uint64, length int) []byte {
	b := make([]byte, 0, length)
	for at := (stream*7919 + k*104729) % uint64(len(noise)); len(b) < length; at = 0 {
		b = append(b, noise[at:min(uint64(len(noise)), at+uint64(length-len(b)))]...)
	}
	return b
}

// send sends a frame and waits until its memory is free.
func send(l frame.Lane, to int, h *frame.Header, payload []byte) error {
	sent := frame.NewInflight()
	sent.Add()
	err := l.Send(to, h, payload, sent)
	if err == nil {
		sent.Wait(nil)
	}
	return err
}

// receive takes a frame and compares it.
func receive(l frame.Lane, from int, call uint64, want []byte) error {
	f, err := l.Recv(from)
	if err != nil {
		return err
	}
	defer f.Release()
	got := make([]byte, f.Len())
	if err := f.Into(got); err != nil {
		return err
	}
	if f.Header != *header(call, len(want)) {
		return fmt.Errorf("header %+v from rank %d, want that of frame %d with %d bytes", f.Header, from, call, len(want))
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("frame %d from rank %d: %d bytes, or others than the %d that were sent", call, from, len(got), len(want))
	}
	return nil
}

// together runs functions at the same time and fails with their errors.
func together(t *testing.T, fs ...func() error) {
	t.Helper()
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// fill sends on a lane, whose frames nobody takes, until that fails, and returns
// why.
func fill(l frame.Lane, to int) error {
	payload, sent := make([]byte, 1<<20), frame.NewInflight()
	for k := uint64(0); ; k++ {
		sent.Add()
		if err := l.Send(to, header(k, len(payload)), payload, sent); err != nil {
			return err
		}
	}
}
