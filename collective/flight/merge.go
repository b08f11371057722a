package flight

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Story is what the records of several ranks tell together.
type Story struct {
	Version int    `json:"version"`
	Job     string `json:"job"`
	Epoch   uint64 `json:"epoch"`
	World   int    `json:"world"`
	// Line is the story in one line, without an end.
	Line    string   `json:"story"`
	Missing []int    `json:"missing"` // ranks that left no record
	Records []Record `json:"records"` // by rank
}

// place is where a rank is in a communicator: twice the number of the call it is
// in, and one more when that has ended.
type place struct {
	at   uint64
	call string
	age  float64 // of the news, where the rank left no record
	left bool
}

func (p place) in() bool { return p.at%2 == 0 && p.at > 0 }

// pen is a rank in a communicator.
type pen struct {
	comm uint32
	rank int
}

// merger puts records together. Of a rank that left none it takes the latest that
// any other has heard.
type merger struct {
	records []Record
	has     map[int]*Record
	members map[uint32][]int
	places  map[pen]place
	heard   map[int]float64 // by rank without a record: the age of the latest news
	told    map[int]bool    // ranks without a record that the line speaks of as such
}

// Merge makes a story of the records of a job, at least one. It is an error if
// they are of different jobs, or two different ones of one rank.
func Merge(records []Record) (Story, error) {
	m := merger{has: map[int]*Record{}, members: map[uint32][]int{}, places: map[pen]place{}, heard: map[int]float64{}, told: map[int]bool{}}
	if len(records) == 0 {
		return Story{}, errors.New("there is no record")
	}
	first := &records[0]
	for i := range records {
		r := &records[i]
		if r.Job != first.Job || r.Epoch != first.Epoch || r.World != first.World {
			return Story{}, fmt.Errorf("the records are of different jobs: %q, epoch %d, %d ranks, and %q, epoch %d, %d ranks",
				first.Job, first.Epoch, first.World, r.Job, r.Epoch, r.World)
		}
		if other, ok := m.has[r.Rank]; ok {
			if !other.Taken.Equal(r.Taken) {
				return Story{}, fmt.Errorf("there are two records of rank %d, of %v and %v: keep one", r.Rank, other.Taken, r.Taken)
			}
			continue
		}
		m.has[r.Rank] = r
		m.records = append(m.records, *r)
	}
	slices.SortFunc(m.records, func(a, b Record) int { return cmp.Compare(a.Rank, b.Rank) })
	s := Story{Version: version, Job: first.Job, Epoch: first.Epoch, World: first.World, Records: m.records, Missing: []int{}}
	for r := range first.World {
		if m.has[r] == nil {
			s.Missing = append(s.Missing, r)
		}
	}
	m.locate()
	s.Line = m.line(s.Missing)
	return s, nil
}

// locate finds where every rank is.
func (m *merger) locate() {
	for i := range m.records {
		r := &m.records[i]
		for _, c := range r.Communicators {
			m.members[c.Number] = c.Ranks
			p := place{at: 2*c.Call + 1, left: c.Left}
			if c.In {
				p.at--
			}
			for _, call := range r.Calls {
				if call.Comm == c.Number && call.Number == c.Call && call.Peer == NoRank {
					p.call = call.Call
				}
			}
			m.places[pen{c.Number, r.Rank}] = p
		}
	}
	for i := range m.records {
		for j := range m.records[i].Heard {
			m.hear(&m.records[i].Heard[j])
		}
	}
}

// hear takes the news of a rank that left no record.
func (m *merger) hear(s *Sighting) {
	if m.has[s.Rank] != nil {
		return
	}
	if age, ok := m.heard[s.Rank]; !ok || s.Age < age {
		m.heard[s.Rank] = s.Age
	}
	at := pen{s.Comm, s.Rank}
	if old, ok := m.places[at]; ok && s.Age >= old.age {
		return
	}
	p := place{at: 2*s.Number + 1, call: s.Call, age: s.Age, left: s.Left}
	if s.In {
		p.at--
	}
	m.places[at] = p
}
