package spans

import "sync"

// Scratch is memory that is borrowed for a while and given back all at once, so
// that what needs some again and again does not allocate. Its methods may be called
// from several goroutines.
//
// What must always hold: between two resets nothing is given twice.
type Scratch struct {
	mu    sync.Mutex
	free  []byte
	all   []byte
	large []*[]byte // borrowed alone
	pool  sync.Pool // of *[]byte, of those given back, which the collector takes in the end
}

// kept is the most that is kept for good.
const kept = 1 << 20

// Take gives n bytes, aligned for every type, that hold anything.
func (s *Scratch) Take(n int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	need := (n + 7) &^ 7
	if need > kept/4 {
		b, _ := s.pool.Get().(*[]byte)
		if b == nil || len(*b) < n {
			b = new([]byte)
			*b = make([]byte, n)
		}
		s.large = append(s.large, b)
		return (*b)[:n:n]
	}
	if need > len(s.free) {
		// What was borrowed of the old memory stays valid.
		s.all = make([]byte, max(need, min(2*len(s.all), kept), 4096))
		s.free = s.all
	}
	out := s.free[:n:n]
	s.free = s.free[need:]
	return out
}

// Reset takes back all that was borrowed.
func (s *Scratch) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = s.all
	for _, b := range s.large {
		s.pool.Put(b)
	}
	s.large = nil
}
