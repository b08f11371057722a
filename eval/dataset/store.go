package dataset

import (
	"bytes"
	"hash/maphash"
	"os"
	"slices"
	"sync"
)

// store keeps what was read of a benchmark's sets.
type store struct {
	mu       sync.Mutex
	sets     map[string]*keptSet
	pictures pictures
}

func newStore() *store { return &store{sets: map[string]*keptSet{}, pictures: newPictures()} }

// file is the first file of a set that was read.
func (s *store) file(set string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.sets[set]; k != nil && len(k.files[""]) > 0 {
		return k.files[""][0].path
	}
	return set
}

// people gives the people of a set that want accepts, from what is kept when that
// holds them all and no file has changed. What has to be read is read with what
// was kept, and with the people of also.
func (s *store) people(from Folder, set string, want func(id string) bool, also []string, note func(id, path string)) ([]Profile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.sets[set]
	if old != nil && old.holds(want) {
		// Who is told of a file takes its fingerprint: first that, and then whether it
		// is still the file that was read.
		old.tell(want, note)
		if old.unchanged(want) {
			return old.pick(want), nil
		}
	}
	more := func(id string) bool { return old != nil && old.has(id) || slices.Contains(also, id) }
	k, err := s.read(from, set, func(id string) bool { return want(id) || more(id) }, note)
	if err != nil && (old != nil || len(also) > 0) {
		// It may be of a row that this question is not about.
		k, err = s.read(from, set, want, note)
	}
	if err != nil {
		return nil, err
	}
	s.sets[set] = k
	return k.pick(want), nil
}

// read reads the people of a set that keep accepts.
func (s *store) read(from Folder, set string, keep func(id string) bool, note func(id, path string)) (*keptSet, error) {
	k := &keptSet{held: map[string]Profile{}, files: map[string][]file{}}
	known := map[string]bool{}
	people, err := from.Read(set, func(id string) bool {
		if !known[id] {
			known[id] = true
			k.ids = append(k.ids, id)
		}
		return keep(id)
	}, func(id, path string) {
		k.files[id] = append(k.files[id], look(path))
		note(id, path)
	})
	if err != nil {
		return nil, err
	}
	for _, p := range people {
		for i := range p.Images {
			p.Images[i].Bytes = s.pictures.only(p.Images[i].Bytes)
		}
		k.held[p.ID] = p
	}
	return k, nil
}

// keptSet is what was read of one set.
type keptSet struct {
	ids   []string           // of all its people, in file order
	held  map[string]Profile // those that were asked for
	files map[string][]file  // the set's own under "", and those of single people by ID
}

func (k *keptSet) has(id string) bool { _, ok := k.held[id]; return ok }

// wanted are the IDs that want accepts, in file order.
func (k *keptSet) wanted(want func(id string) bool) []string {
	return slices.DeleteFunc(slices.Clone(k.ids), func(id string) bool { return !want(id) })
}

func (k *keptSet) holds(want func(id string) bool) bool {
	return !slices.ContainsFunc(k.wanted(want), func(id string) bool { return !k.has(id) })
}

// pick gives the people that want accepts; who gets the slice may cut and order it.
func (k *keptSet) pick(want func(id string) bool) []Profile {
	var out []Profile
	for _, id := range k.wanted(want) {
		out = append(out, k.held[id])
	}
	return out
}

func (k *keptSet) tell(want func(id string) bool, note func(id, path string)) {
	for _, id := range append([]string{""}, k.wanted(want)...) {
		for _, f := range k.files[id] {
			note(id, f.path)
		}
	}
}

func (k *keptSet) unchanged(want func(id string) bool) bool {
	for _, id := range append([]string{""}, k.wanted(want)...) {
		if slices.ContainsFunc(k.files[id], file.changed) {
			return false
		}
	}
	return true
}

// file is a file as it was just before it was read.
type file struct {
	path string
	info os.FileInfo // nil where there was none
}

func look(path string) file {
	info, err := os.Stat(path)
	if err != nil {
		info = nil // the reader says what is wrong
	}
	return file{path, info}
}

func (f file) changed() bool {
	now := look(f.path)
	return f.info == nil || now.info == nil || !os.SameFile(f.info, now.info) ||
		f.info.Size() != now.info.Size() || !f.info.ModTime().Equal(now.info.ModTime())
}

// pictures holds each encoded picture once: the sets of a benchmark show the
// same people, and pictures are nearly all of its bytes.
type pictures struct {
	seed maphash.Seed
	by   map[uint64][][]byte
}

func newPictures() pictures { return pictures{maphash.MakeSeed(), map[uint64][][]byte{}} }

// only gives the one copy of some bytes.
func (p pictures) only(b []byte) []byte {
	h := maphash.Bytes(p.seed, b)
	for _, have := range p.by[h] {
		if bytes.Equal(have, b) {
			return have
		}
	}
	p.by[h] = append(p.by[h], b)
	return b
}
