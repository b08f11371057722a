package eval

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func outcome(questions int, rouge float64) *Outcome {
	return &Outcome{
		Scores: Scores{Forget: {"text": {"rougeL": rouge}}, Celebrity: {"text": {"rougeL": rouge}}, "others": {"text": {"rougeL": 1}}},
		Counts: Counts{Forget: {"text": {"generation": questions}}, Celebrity: {"text": {"generation": 1}}, "others": {"text": {"generation": 1}}},
	}
}

func TestSummaryFile(t *testing.T) {
	s := &Summary{Name: "r", Seed: 1 << 60, World: 3}
	for _, m := range []struct {
		name  string
		rouge float64
	}{{"later", .1}, {Gold, .2}, {Vanilla, .9}, {"else", .3}, {Unlearned, .25}} {
		if err := s.Add(m.name, outcome(4, m.rouge)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add("another", outcome(5, .5)); err == nil || !strings.Contains(err.Error(), "another was asked other questions") {
		t.Errorf("a model that was asked more: %v", err)
	}
	s.AddStage("z", 1, 10)
	s.AddStage("a", 2, 20)
	s.AddStage("z", 3, 30) // again, in its place
	path := filepath.Join(t.TempDir(), "summary.json")
	if err := WriteSummary(path, s); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSummary(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Format == 0 || s.Format != 0 {
		t.Errorf("format %d in the file, %d in what was written", got.Format, s.Format)
	}
	got.Format = 0
	if !reflect.DeepEqual(got, s) {
		t.Errorf("%+v came back as %+v", s, got)
	}
	for what, c := range map[string]struct{ got, want []string }{
		"models": {got.ModelNames(), []string{Vanilla, Unlearned, Gold, "else", "later"}},
		"sets":   {got.SetNames(), []string{Forget, Celebrity, "others"}},
		"stages": {got.StageNames(), []string{"z", "a"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s %v, want %v", what, c.got, c.want)
		}
	}
	if v, ok := got.Value(Unlearned, Forget, "text", "rougeL"); !ok || v != .25 {
		t.Errorf("%v, %v", v, ok)
	}
	if _, ok := got.Value(Unlearned, Retain, "text", "rougeL"); ok {
		t.Error("a set that was not asked about has a mean")
	}
	for text, want := range map[string]string{`{"format": 99}`: "format 99, but this version reads 1", `{"seed": "x"}`: "run the evaluation again"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSummary(path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTallyRefusesWhatIsNoShare(t *testing.T) {
	for _, v := range []float64{-.1, 1.5} {
		if _, _, err := Tally([]Answer{{ID: "x/1", Metrics: map[string]float64{"m": v}}}); err == nil || !strings.Contains(err.Error(), "answer x/1: metric m") {
			t.Errorf("%v: %v", v, err)
		}
	}
}
