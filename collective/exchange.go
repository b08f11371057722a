package collective

import (
	"errors"
	"fmt"
)

// errBroken stands for the communicator's cause inside a running operation.
var errBroken = errors.New("communicator has failed")

// begin numbers a call and gives the header of its frames.
func (c *Comm) begin(h Header) Header {
	h.Job, h.Comm, h.Epoch, h.Seq = c.job, c.opt.Comm, c.opt.Epoch, c.current.Add(1)
	return h
}

func (c *Comm) send(to int, h Header, chunk int, payload []byte) error {
	h.Chunk, h.Length = uint32(chunk), uint32(len(payload))
	c.inflight.Add()
	if err := c.t.Send(to, &h, payload, c.inflight); err != nil {
		c.trouble(to, err)
		return errBroken
	}
	c.sent.Add(uint64(HeaderSize + len(payload)))
	return nil
}

// receive waits for the frame that is due from a peer and refuses any other.
func (c *Comm) receive(from int, want *Header, chunk, length int) (*Frame, error) {
	c.waiting.Store(int64(from))
	f, err := c.t.Recv(from)
	c.waiting.Store(-1)
	if err != nil {
		c.trouble(from, err)
		return nil, errBroken
	}
	got := 0
	for _, p := range f.Pieces {
		got += len(p)
	}
	c.received.Add(uint64(HeaderSize + got))
	switch {
	case !f.Header.sameCall(want):
		local := *want
		c.fail(&MismatchError{Rank: c.rank, Peer: from, Local: local, Remote: f.Header}, true)
	case int(f.Header.Chunk) != chunk || int(f.Header.Length) != length || got != length:
		c.fail(&RankError{Rank: c.rank, Peer: from, Err: fmt.Errorf(
			"frame %d with %d of its %d bytes arrived where frame %d with %d bytes was due",
			f.Header.Chunk, got, f.Header.Length, chunk, length)}, true)
	default:
		return f, nil
	}
	f.Release()
	return nil, errBroken
}

// chunks is how many frames carry a part of so many bytes: at least one, since
// headers are compared even when there is nothing to carry.
func (c *Comm) chunks(bytes int) int {
	return max(1, (bytes+c.opt.ChunkBytes-1)/c.opt.ChunkBytes)
}

// chunk is the j-th piece of a part.
func (c *Comm) chunk(part []byte, j int) []byte {
	lo := min(j*c.opt.ChunkBytes, len(part))
	hi := min(lo+c.opt.ChunkBytes, len(part))
	return part[lo:hi]
}
