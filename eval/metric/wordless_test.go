package metric

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestScoredReferencesWithoutAWordAreTold(t *testing.T) {
	const want = "1 of 2 references hold neither a letter a-z nor a digit, which is all that ROUGE counts: its scores are 0 there whatever is answered"
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if err := os.WriteFile(path, []byte(`{"prediction":"สวัสดี","reference":"สวัสดี"}`+"\n"+`{"prediction":"a","reference":"a"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := ScoreFile(t.Context(), path)
	if err != nil || r.Mean(ROUGE1).Score != .5 || !slices.Equal(r.Notices, []string{want}) {
		t.Errorf("%+v, %v", r, err)
	}
}
