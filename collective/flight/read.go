package flight

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Read gives the records in files: each holds one, or a story that was made of
// several. Errors name the file.
func Read(paths ...string) (all []Record, err error) {
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		some, err := Parse(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// Parse reads the records in a file.
func Parse(b []byte) ([]Record, error) {
	var s struct {
		Record
		Records []Record `json:"records"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("no record of calls: %w", err)
	}
	all := s.Records
	if all == nil {
		all = []Record{s.Record}
	}
	if s.Version != version {
		return nil, fmt.Errorf("version %d of the form of records, this program reads %d", s.Version, version)
	}
	for i := range all {
		if err := all[i].check(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// check finds numbers that no rank has written.
func (r *Record) check() error {
	if r.World < 1 || r.World > maxWorld || r.Rank < 0 || r.Rank >= r.World {
		return fmt.Errorf("rank %d of %d", r.Rank, r.World)
	}
	bad := func(rank int) bool { return rank < 0 || rank >= r.World }
	for _, c := range r.Communicators {
		for _, m := range c.Ranks {
			if bad(m) {
				return fmt.Errorf("communicator %d of rank %d has a rank %d of %d", c.Number, r.Rank, m, r.World)
			}
		}
	}
	for _, s := range r.Heard {
		if bad(s.Rank) {
			return fmt.Errorf("rank %d has heard of rank %d of %d", r.Rank, s.Rank, r.World)
		}
	}
	for _, c := range r.Calls {
		if c.Peer != NoRank && bad(c.Peer) {
			return errors.New("a message of rank " + fmt.Sprint(r.Rank) + " has an end that is no rank of the job")
		}
	}
	return nil
}

// maxWorld is more ranks than any job has.
const maxWorld = 1 << 20
