package data

import (
	"os"
	"path/filepath"
	"testing"
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
	cfg := BuildConfig{Profiles: filepath.Join(dir, "profiles.jsonl"), Splits: filepath.Join(dir, "splits.json"), Seed: 1}
	people, splits, d, err := fromProfiles(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", d)
	for _, s := range splits {
		t.Log(s.name, len(s.ids))
	}
	for i, p := range people {
		if i%25 == 3 {
			for _, q := range p.Eval {
				t.Logf("%s %s %s %s | %s | %v %s", p.ID, p.Name, q.Task, q.Modality, q.Text, q.Options, q.Answer)
			}
		}
	}
}
