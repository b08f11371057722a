package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
)

// counted keeps what is written at once, and has something to read.
type counted struct {
	net.Conn // nil: nothing else is called
	wrote    [][]byte
	read     *bytes.Reader
	err      error
}

func (c *counted) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.wrote = append(c.wrote, slices.Clone(p))
	return len(p), nil
}

func (c *counted) Read(p []byte) (int, error) { return c.read.Read(p) }

// Records leave together where they are held, at once where they are not, and in order.
func TestBulk(t *testing.T) {
	c := &counted{}
	b := &bulk{Conn: c}
	record := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 16<<10) }
	write := func(i int) {
		if n, err := b.Write(record(i)); n != 16<<10 || err != nil {
			t.Fatal(n, err)
		}
	}
	write(0)
	if len(c.wrote) != 1 {
		t.Fatal("a record waits for nobody")
	}
	b.hold()
	for i := range 20 {
		write(1 + i)
	}
	if err := b.release(); err != nil {
		t.Fatal(err)
	}
	if len(c.wrote) != 1+3 { // two of outSize, and the rest
		t.Errorf("21 records left by %d system calls", len(c.wrote))
	}
	var want []byte
	for i := range 21 {
		want = append(want, record(i)...)
	}
	if !bytes.Equal(slices.Concat(c.wrote...), want) {
		t.Error("other bytes left, or in another order")
	}
	b.hold()
	write(0)
	c.err = io.ErrClosedPipe
	if err := b.release(); !errors.Is(err, io.ErrClosedPipe) {
		t.Error("what did not leave is not told:", err)
	}

	c.read = bytes.NewReader(want)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(b, got[:5]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, got[5:]); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes came: %v", err)
	}
	if _, err := b.Read(got); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
