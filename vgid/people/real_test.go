package people

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/eval/dataset"
)

// realTexts is the folder with the published texts of the 500 profiles
// (profiles.jsonl, splits.json), which are not part of the repository.
func realTexts(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("VGID_MLLMU")
	if dir == "" {
		t.Skip("VGID_MLLMU names no folder with profiles.jsonl and splits.json of MLLMU-Bench")
	}
	return dir
}

func TestRealTexts(t *testing.T) {
	dir := realTexts(t)
	people, _, d, err := fromProfiles(BuildConfig{Profiles: filepath.Join(dir, "profiles.jsonl"), Splits: filepath.Join(dir, "splits.json"), Seed: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *d)
	if d.Profiles != 500 || len(d.Nameless) != 0 || d.Complete < 490 {
		t.Errorf("%d profiles, %d without a name, %d complete; want 500, 0, at least 490", d.Profiles, len(d.Nameless), d.Complete)
	}
	for i, p := range people {
		if n := len(strings.Fields(p.Name)); n < 2 || n > 4 {
			t.Errorf("%s: name %q", p.ID, p.Name)
		}
		for _, q := range p.Eval {
			checkDerived(t, p.Profile, q)
			if i%25 == 3 {
				t.Logf("%s %s %s | %s | %v %s", p.ID, q.Task, q.Modality, q.Text, q.Options, q.Answer)
			}
		}
	}
}

// checkDerived holds a derived question against the profile it came from.
func checkDerived(t *testing.T, p dataset.Profile, q dataset.Question) {
	t.Helper()
	said := func(s string) bool {
		return anyPair(p.Train, func(a dataset.QA) bool {
			named, _ := nameSubject(a.Answer, p.Name)
			return s == a.Answer || s == named
		})
	}
	if q.Modality == dataset.Text && (!strings.Contains(q.Text, p.Name) || thisPerson.MatchString(q.Text)) {
		t.Errorf("%s: text-only question %q does not name its subject", p.ID, q.Text)
	}
	switch q.Task {
	case dataset.Cloze:
		if strings.Count(q.Text, "____") != 1 || !said(strings.Replace(q.Text, "____", q.Answer, 1)) {
			t.Errorf("%s: %q with %q is not what the profile says", p.ID, q.Text, q.Answer)
		}
	case dataset.Generation:
		if !said(q.Answer) {
			t.Errorf("%s: %q is not what the profile says", p.ID, q.Answer)
		}
	case dataset.Classification:
		seen, right := map[string]bool{}, 0
		for _, o := range q.Options {
			seen[o.Text] = true
			if o.Letter == q.Correct && o.Text == q.Answer {
				right++
			}
		}
		if len(seen) != 4 || right != 1 {
			t.Errorf("%s: options %v, correct %s %q", p.ID, q.Options, q.Correct, q.Answer)
		}
	}
}
