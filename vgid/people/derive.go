package people

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"vgid/eval/dataset"
	"vgid/vgid/people/portrait"
	"vgid/vgid/random"
)

// Derivation counts the evaluation items that came out of given profiles
// beside the published counts per profile.
// How many questions a profile gives depends on its wording; this says how far the
// result is from the published one.
type Derivation struct {
	Profiles int            `json:"profiles"`
	Complete int            `json:"complete"` // profiles with all 18 items
	Nameless []string       `json:"nameless"` // IDs whose name was not found: no text-only items
	Items    []DerivedCount `json:"items"`
	Kinds    map[string]int `json:"kinds"` // kind of fact → profiles that state it
}

// DerivedCount is one task in one modality.
type DerivedCount struct {
	Task     dataset.Task     `json:"task"`
	Modality dataset.Modality `json:"modality"`
	Want     int              `json:"want"` // published items of one profile
	Got      int              `json:"got"`  // items of all profiles together
	Full     int              `json:"full"` // profiles with Want of them
}

// publishedCounts are MLLMU-Bench's items per profile: 18 together.
// These are the numbers of one modality: every published profile has as many questions
// with its image as by name (arXiv 2410.22108).
var publishedCounts = map[dataset.Task]int{dataset.Classification: 5, dataset.Generation: 2, dataset.Cloze: 2}

// deriver makes the questions of given profiles.
// Wrong options come from other profiles, which is why all are read before the first question is
// made.
type deriver struct {
	seed   uint64
	values map[int][]fact // kind → that kind's fact of every profile, in file order
}

func newDeriver(seed uint64, profiles []dataset.Profile) *deriver {
	d := &deriver{seed: seed, values: map[int][]fact{}}
	for _, p := range profiles {
		for _, f := range findFacts(p.Train) {
			d.values[f.kind] = append(d.values[f.kind], f)
		}
	}
	return d
}

// questions derives the evaluation items of a profile from its pairs: up to
// the published number of each task and modality. Text-only items put the name
// in the place of "this person"; without a name there are none.
// The order of a profile's questions is choices, cloze, generation, and within each
// those with the image first; it is fixed by the seed and the ID.
func (d *deriver) questions(p dataset.Profile) []dataset.Question {
	r := random.Stream(d.seed, "derive/"+p.ID, 0)
	facts := findFacts(p.Train)
	var out []dataset.Question
	for _, m := range allModalities {
		out = append(out, d.choices(r, p, m, facts)...)
	}
	out = append(out, spread(r, facts, p.Name, fact.blankable, func(f fact) dataset.Question {
		return dataset.Question{Task: dataset.Cloze, Text: f.cloze(), Answer: f.value}
	})...)
	return append(out, spread(r, facts, p.Name, func(fact) bool { return true }, func(f fact) dataset.Question {
		return dataset.Question{Task: dataset.Generation, Text: f.pair.Question, Answer: f.pair.Answer}
	})...)
}

// choices are the classification questions of a profile in one modality. Facts are tried
// in random order until there are enough: one without three usable wrong options is left
// out.
func (d *deriver) choices(r *rand.Rand, p dataset.Profile, m dataset.Modality, facts []fact) []dataset.Question {
	var out []dataset.Question
	for _, i := range r.Perm(len(facts)) {
		if len(out) == publishedCounts[dataset.Classification] {
			break
		}
		f := facts[i]
		q := dataset.Question{Task: dataset.Classification, Modality: m, Text: f.pair.Question, Answer: f.option()}
		if m == dataset.Text {
			var ok bool
			if q.Text, ok = nameSubject(q.Text, p.Name); !ok || p.Name == "" {
				continue
			}
		}
		wrong := d.wrong(r, f)
		if len(wrong) < len(letters)-1 {
			continue
		}
		q.Options, q.Correct = makeOptions(r, q.Answer, wrong)
		out = append(out, q)
	}
	return out
}

// wrong draws three values of the same kind and form from other profiles. None
// contains or is contained in the right one or another, or stands in the
// answer beside it: such an option would be right as well.
func (d *deriver) wrong(r *rand.Rand, f fact) []string {
	of := d.values[f.kind]
	answer := strings.ToLower(f.pair.Answer)
	taken := []string{strings.ToLower(f.value)}
	var out []string
	for _, i := range r.Perm(len(of)) {
		g := of[i]
		if len(out) == len(letters)-1 {
			break
		}
		v := strings.ToLower(g.value)
		// Also not much longer than the right one, which would tell them apart at a glance.
		if g.form() != f.form() || len(g.value) > 3*len(f.value)+20 || overlaps(v, taken) || strings.Contains(answer, v) {
			continue
		}
		taken = append(taken, v)
		out = append(out, g.option())
	}
	return out
}

// overlaps reports whether one contains the other: "cat" would be right where "black cat" is.
func overlaps(v string, taken []string) bool {
	for _, t := range taken {
		if strings.Contains(t, v) || strings.Contains(v, t) {
			return true
		}
	}
	return false
}

// spread makes two items with the image and two by name from facts in random
// order, of four different facts where the profile has them: what is asked twice
// measures one memory twice.
func spread(r *rand.Rand, facts []fact, name string, fit func(fact) bool, item func(fact) dataset.Question) []dataset.Question {
	var out []dataset.Question
	order := r.Perm(len(facts))
	used := map[int]bool{}
	// take makes items of one modality, of facts that were used before or not.
	take := func(m dataset.Modality, again bool, n int) int {
		for _, i := range order {
			if n == publishedCounts[dataset.Cloze] || used[i] != again || !fit(facts[i]) {
				continue
			}
			q, ok := inModality(item(facts[i]), m, name)
			if !ok {
				continue
			}
			used[i] = true
			n++
			out = append(out, q)
		}
		return n
	}
	take(dataset.ImageText, false, 0)
	// By name of facts that were not asked with the image; what is lacking then is asked
	// of the same facts again.
	n := take(dataset.Text, false, 0)
	take(dataset.Text, true, n)
	return out
}

// inModality asks a question with the image or, where it can be, by name.
func inModality(q dataset.Question, m dataset.Modality, name string) (dataset.Question, bool) {
	q.Modality = m
	if m != dataset.Text {
		return q, true
	}
	var ok bool
	if q.Text, ok = nameSubject(q.Text, name); !ok || name == "" {
		return q, false
	}
	// The answer has to name the person as well: there is no image it could speak of.
	if q.Task == dataset.Generation {
		q.Answer, _ = nameSubject(q.Answer, name)
	}
	return q, true
}

// biographyOf states the facts found, as the biography column does.
func biographyOf(p dataset.Profile, face portrait.Face) map[string]any {
	b := map[string]any{"appearance_detail": map[string]any{"question": portrait.DescribeQuestion, "answer": face.Describe()}}
	if p.Name != "" {
		b["Name"] = p.Name
	}
	for _, f := range findFacts(p.Train) {
		b[factKinds[f.kind].name] = f.value
	}
	return b
}

// summarise counts what was derived beside what the published files have.
func summarise(profiles []built) *Derivation {
	s := &Derivation{Profiles: len(profiles), Kinds: map[string]int{}, Nameless: []string{}}
	lacking := map[string]bool{}
	for _, t := range [...]dataset.Task{dataset.Classification, dataset.Cloze, dataset.Generation} {
		for _, m := range allModalities {
			c := DerivedCount{Task: t, Modality: m, Want: publishedCounts[t]}
			for _, p := range profiles {
				n := count(p.Eval, t, m)
				c.Got += n
				if n == c.Want {
					c.Full++
				} else {
					lacking[p.ID] = true
				}
			}
			s.Items = append(s.Items, c)
		}
	}
	for _, p := range profiles {
		if p.Name == "" {
			s.Nameless = append(s.Nameless, p.ID)
		}
		for _, f := range findFacts(p.Train) {
			s.Kinds[factKinds[f.kind].name]++
		}
	}
	s.Complete = len(profiles) - len(lacking)
	return s
}

// count is how many of the questions are of a task in a modality.
func count(questions []dataset.Question, t dataset.Task, m dataset.Modality) int {
	n := 0
	for _, q := range questions {
		if q.Task == t && q.Modality == m {
			n++
		}
	}
	return n
}

// fromProfiles is fictitious for given texts: only faces are drawn, and the questions are
// derived. A profile without a question would be trained on and never measured, and is refused.
func fromProfiles(cfg BuildConfig, avoid []Person) ([]built, []split, *Derivation, error) {
	profiles, err := ReadProfiles(cfg.Profiles)
	if err != nil {
		return nil, nil, nil, err
	}
	splits, err := readSplits(cfg.Splits, profiles)
	if err != nil {
		return nil, nil, nil, err
	}
	faces, err := Faces(len(profiles), cfg.Seed, "profiles", avoid)
	if err != nil {
		return nil, nil, nil, err
	}
	d := newDeriver(cfg.Seed, profiles)
	out := make([]built, len(profiles))
	for i, p := range profiles {
		p.Eval = d.questions(p)
		p.Biography = biographyOf(p, faces[i])
		p.Question, p.Answer = portrait.DescribeQuestion, faces[i].Describe()
		if len(p.Eval) == 0 {
			return nil, nil, nil, fmt.Errorf("%s: no question could be derived for ID %s; its answers state no fact of a known kind", cfg.Profiles, p.ID)
		}
		out[i] = built{Profile: p, face: faces[i]}
	}
	return out, splits, summarise(out), nil
}
