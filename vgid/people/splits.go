package people

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/mllmu"
	"vgid/model/kit/filekind"
	"vgid/model/kit/plaintext"
)

// split is one named forget or retain set.
// Sets may overlap, as forget_5 and forget_10 do; only a pair that adds up to all people must not
// (disjoint).
type split struct {
	name string
	ids  map[string]bool
}

// readSplits reads a splits file: a JSON object of set name to list of IDs.
// Every set must have people, all of them known, and forget_N must not share
// any with retain_(100-N).
func readSplits(path string, profiles []dataset.Profile) ([]split, error) {
	fail := func(err error) ([]split, error) { return nil, fmt.Errorf("splits file %s: %w", path, err) }
	b, err := os.ReadFile(path)
	if err != nil {
		return fail(filekind.Reason(err))
	}
	if err := plaintext.CheckJSON(b); err != nil {
		return fail(err)
	}
	var raw map[string][]string
	if err := json.Unmarshal(plaintext.WithoutMark(b), &raw); err != nil {
		return fail(errors.New("not {\"forget_5\": [\"001\", …], …}, names of sets with lists of IDs"))
	}
	if len(raw) == 0 {
		return fail(errors.New("no set in it"))
	}
	known := map[string]bool{}
	for _, p := range profiles {
		known[p.ID] = true
	}
	var out []split
	for _, name := range slices.Sorted(maps.Keys(raw)) { // sorted: the files are built in this order
		s, err := newSplit(name, raw[name], known)
		if err != nil {
			return fail(err)
		}
		out = append(out, s)
	}
	if err := disjoint(out); err != nil {
		return fail(err)
	}
	return out, nil
}

// newSplit checks one set of a splits file.
// The name becomes that of a folder, and comes from a file that anybody may have written.
func newSplit(name string, ids []string, known map[string]bool) (split, error) {
	s := split{name, map[string]bool{}}
	switch name {
	case mllmu.FullSet, mllmu.TestSet, mllmu.RetainSet, mllmu.TrainSet:
		return s, fmt.Errorf("%q is the name of a fixed set; choose forget_N or retain_N", name)
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) {
		return s, fmt.Errorf("%q cannot be a folder's name", name)
	}
	if len(ids) == 0 {
		return s, fmt.Errorf("%s is empty; every set needs at least one ID", name)
	}
	for _, id := range ids {
		switch {
		case !known[id]:
			return s, fmt.Errorf("%s: ID %q is not in the profiles file", name, id)
		case s.ids[id]:
			return s, fmt.Errorf("%s: ID %q is listed twice", name, id)
		}
		s.ids[id] = true
	}
	return s, nil
}

// disjoint refuses people whom a pair of sets would have forgotten and retained.
// Only forget_N and retain_(100-N) are a pair: data.forget names the one, and the other
// is what a run retains unless it is told otherwise.
func disjoint(splits []split) error {
	for _, s := range splits {
		var percent int
		if k, _ := fmt.Sscanf(s.name, "forget_%d", &percent); k != 1 {
			continue
		}
		other := fmt.Sprintf("retain_%d", 100-percent)
		at := slices.IndexFunc(splits, func(o split) bool { return o.name == other })
		if at < 0 {
			continue
		}
		for _, id := range slices.Sorted(maps.Keys(s.ids)) {
			if splits[at].ids[id] {
				return fmt.Errorf("ID %q is both in %s and in %s", id, s.name, other)
			}
		}
	}
	return nil
}
