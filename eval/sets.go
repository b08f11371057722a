package eval

import (
	"slices"

	"vgid/eval/dataset"
)

// The sets of MLLMU-Bench. Retain and Celebrity are people not to be forgotten;
// the latter are outside the fine-tuning data.
const (
	Forget    = "forget"
	Test      = "test" // the forget people, in images not trained on
	Retain    = "retain"
	Celebrity = "celebrity"
)

// Set is a group of people to evaluate.
type Set struct {
	Name     string // forget, test, retain, celebrity
	Profiles []dataset.Profile
	// Full holds the profiles that shots are looked up in by ID: the protocol
	// shows the person as in Full_Set also where the test set shows another
	// image. Nil means Profiles.
	Full []dataset.Profile
}

// People says whom an evaluation asks about.
type People struct {
	Sets           []string // names: Forget, Test, Retain, Celebrity
	Forget, Retain string   // the benchmark's sets that are forgotten and retained
	Most           int      // of Retain and of Celebrity; 0 means all
}

// ReadSets reads the people to ask about.
// The sets come in the order of who.Sets; a name that is none of the four gives an empty
// set, which BuildItems refuses.
func ReadSets(b *dataset.Benchmark, who People) ([]Set, error) {
	var sets []Set
	for _, name := range who.Sets {
		s := Set{Name: name}
		var err error
		switch name {
		case Forget:
			s.Profiles, err = b.Evaluation(who.Forget, who.next(Retain)...)
		case Test:
			if s.Profiles, err = b.Unseen(who.Forget); err == nil {
				s.Full, err = b.Evaluation(who.Forget, who.next(Retain)...)
			}
		case Retain:
			if s.Profiles, err = b.Evaluation(who.Retain, who.next(Forget, Test)...); err == nil && who.Most > 0 {
				s.Profiles = s.Profiles[:min(who.Most, len(s.Profiles))]
			}
		case Celebrity:
			if s.Profiles, err = b.Outside(); err == nil && who.Most > 0 {
				// The last ones are those the base never saw with an instruction.
				s.Profiles = s.Profiles[max(0, len(s.Profiles)-who.Most):]
			}
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, s)
	}
	return sets, nil
}

// next are the benchmark's sets behind those of the names that are asked about:
// the questions of all of them may be in one set of files, which is then read once.
func (p People) next(names ...string) []string {
	set := map[string]string{Forget: p.Forget, Test: p.Forget, Retain: p.Retain}
	var out []string
	for _, n := range names {
		if slices.Contains(p.Sets, n) && !slices.Contains(out, set[n]) {
			out = append(out, set[n])
		}
	}
	return out
}
