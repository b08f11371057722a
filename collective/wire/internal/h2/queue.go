package h2

import "sync"

// queue holds what came of a stream while somebody else read the connection.
//
// What must always hold (under Conn.mu): only the leader fills the last block, also
// without the lock between open and close; a block is given back when it is empty and
// not open; and short messages share a block, or each would hold a long one's memory.
type queue struct {
	blocks []*block
	size   int
	filled *block // the last, while it is open
}

// block is a piece of memory that is filled from the front and emptied behind it.
type block struct {
	buf    []byte
	lo, hi int // buf[lo:hi] waits
}

const (
	smallBlock = 8 << 10
	largeBlock = 64 << 10
)

var smallBlocks, largeBlocks = blockPool(smallBlock), blockPool(largeBlock)

func blockPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return &block{buf: make([]byte, size)} }}
}

// newBlock gives an empty block, large where n bytes want it.
func newBlock(n int) *block {
	p := smallBlocks
	if n > smallBlock {
		p = largeBlocks
	}
	b := p.Get().(*block)
	b.lo, b.hi = 0, 0
	return b
}

func (b *block) free() {
	if len(b.buf) == smallBlock {
		smallBlocks.Put(b)
	} else {
		largeBlocks.Put(b)
	}
}

// open gives room for some of n bytes, at least for one.
func (q *queue) open(n int) []byte {
	var b *block
	if k := len(q.blocks); k > 0 {
		b = q.blocks[k-1]
	}
	if b == nil || b.hi == len(b.buf) {
		b = newBlock(n)
		q.blocks = append(q.blocks, b)
	}
	q.filled = b
	return b.buf[b.hi:min(b.hi+n, len(b.buf))]
}

// close adds the first n bytes of the room that open gave.
func (q *queue) close(n int) {
	b := q.filled
	if b == nil {
		return // cleared
	}
	q.filled = nil
	b.hi += n
	q.size += n
	if b.lo == b.hi {
		q.blocks = q.blocks[:len(q.blocks)-1]
		b.free()
	}
}

// front gives up to n of the bytes that wait, which stay valid until drop.
func (q *queue) front(n int) []byte {
	if q.size == 0 {
		return nil
	}
	b := q.blocks[0]
	return b.buf[b.lo:min(b.lo+n, b.hi)]
}

// drop removes n bytes that front gave, and tells how many: none when the queue has been
// cleared since.
func (q *queue) drop(n int) int {
	if n == 0 || len(q.blocks) == 0 {
		return 0
	}
	b := q.blocks[0]
	b.lo += n
	q.size -= n
	if b.lo == b.hi && b != q.filled {
		b.free()
		q.blocks[0] = nil
		q.blocks = q.blocks[1:]
	}
	return n
}

// clear drops everything. Memory that somebody may still look at is not reused.
func (q *queue) clear() { *q = queue{} }
