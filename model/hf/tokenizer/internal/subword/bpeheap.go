package subword

// Work is the scratch space of one Encode call.
// Its slices keep their memory from call to call, which is why encoding allocates almost nothing.
// One goroutine at a time has it.
type Work struct {
	ids        []int32
	prev, next []int32 // linked list over ids; -1 ends it
	heap       []candidate
	steps      []step // of a Unigram model
	text       []byte // of a WordPiece model
}

// candidate is a pair that could merge; it is stale when the symbols at pos
// have changed since.
// Stale ones are left in the heap and passed over: to find and remove them would cost more.
// pos is a place in Work.ids, which never moves: merged symbols leave a gap that the list passes
// over.
type candidate struct {
	rank, pos, id int32
	left, right   int32 // the pair's ids when it was queued
}

// before is the order of merges: by rank, and from the left where the rank is the same.
func (a candidate) before(b candidate) bool {
	return a.rank < b.rank || a.rank == b.rank && a.pos < b.pos
}

// mergeHeap does what mergeScan does in O(n log n), for long words: models
// without a pre-tokenizer see a whole text as one word.
func (m *BPE) mergeHeap(w *Work) []int32 {
	n := int32(len(w.ids))
	w.prev, w.next, w.heap = w.prev[:0], w.next[:0], w.heap[:0]
	for i := range n {
		w.prev = append(w.prev, i-1)
		w.next = append(w.next, i+1)
	}
	w.next[n-1] = -1
	for i := range n - 1 {
		m.queue(w, i)
	}
	for len(w.heap) > 0 {
		c := w.pop()
		nx := w.next[c.pos]
		if w.ids[c.pos] != c.left || nx < 0 || w.ids[nx] != c.right {
			continue
		}
		w.ids[c.pos] = c.id
		w.ids[nx] = -1 // dead
		w.next[c.pos] = w.next[nx]
		if after := w.next[nx]; after >= 0 {
			// The list keeps the order of the symbols; prev of what was merged away is never asked
			// again.
			w.prev[after] = c.pos
		}
		m.queue(w, c.pos)
		if p := w.prev[c.pos]; p >= 0 {
			m.queue(w, p)
		}
	}
	out := w.ids[:0]
	for i := int32(0); i >= 0; i = w.next[i] {
		out = append(out, w.ids[i])
	}
	return out
}

// queue adds the pair that starts at pos, when it can merge.
// A pair is queued when it comes to be, at most twice for each merge, which is what bounds the
// heap.
func (m *BPE) queue(w *Work, pos int32) {
	nx := w.next[pos]
	if nx < 0 {
		return
	}
	a, b := w.ids[pos], w.ids[nx]
	if mg, ok := m.merges[pairKey(a, b)]; ok {
		w.push(candidate{mg.rank, pos, mg.id, a, b})
	}
}

// push and pop keep the heap (container/heap would box every candidate).
func (w *Work) push(c candidate) {
	h := append(w.heap, c)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	w.heap = h
}

// The caller has seen that the heap is not empty.
func (w *Work) pop() candidate {
	h := w.heap
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		kid := 2*i + 1
		if kid >= last {
			break
		}
		if kid+1 < last && h[kid+1].before(h[kid]) {
			kid++
		}
		if !h[kid].before(h[i]) {
			break
		}
		h[i], h[kid] = h[kid], h[i]
		i = kid
	}
	w.heap = h
	return top
}
