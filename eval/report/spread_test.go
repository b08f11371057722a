package report

import (
	"math"
	"strings"
	"testing"

	"vgid/eval"
	"vgid/eval/metric"
)

func TestSpread(t *testing.T) {
	run := func(seed uint64, forget float64) *eval.Summary {
		s := &eval.Summary{Name: "r", Seed: seed}
		for _, m := range []struct {
			name string
			v    float64
		}{{eval.Vanilla, 1}, {eval.Unlearned, forget}, {eval.Gold, .5}} {
			o := &eval.Outcome{Scores: eval.Scores{}, Counts: eval.Counts{}}
			for _, set := range []string{eval.Forget, eval.Test, eval.Retain, eval.Celebrity} {
				o.Scores[set] = map[string]map[string]float64{"image_text": {metric.ROUGEL: m.v}}
				o.Counts[set] = map[string]map[string]int{"image_text": {"generation": 4}}
			}
			if err := s.Add(m.name, o); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	runs := []*eval.Summary{run(0, .4), run(1, .5), run(2, .6)}
	all, err := Over(runs)
	if err != nil {
		t.Fatal(err)
	}
	if s := all[eval.Unlearned][eval.Forget]["image_text"][metric.ROUGEL]; math.Abs(s.Mean-.5) > 1e-12 || math.Abs(s.SD-.1) > 1e-12 || s.N != 3 {
		t.Errorf("spread of .4 .5 .6 is %+v", s)
	}
	table, err := SpreadTable(runs)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"seeds 0, 1, 2", "| 0.500 ± 0.100", "seed 0: ROUGE-L forget -0.600", "from gold: forget -0.100", "| –"} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is missing in\n%s", want, table)
		}
	}
	part := run(5, .4)
	for _, m := range part.Models {
		delete(m, eval.Test)
		delete(m, eval.Celebrity)
	}
	if got, want := shortAccount(part), "seed 5: ROUGE-L forget -0.600, retain -0.600; from gold: forget -0.100, retain -0.100\n"; got != want {
		t.Errorf("without test and celebrity: %q, want %q", got, want)
	}
	delete(part.Models, eval.Vanilla)
	if got, want := shortAccount(part), "seed 5: from gold: forget -0.100, retain -0.100\n"; got != want {
		t.Errorf("without vanilla: %q, want %q", got, want)
	}
	delete(part.Models, eval.Gold)
	if got := shortAccount(part); got != "" {
		t.Errorf("unlearned alone: %q", got)
	}
	if _, err := Over([]*eval.Summary{run(4, .4), run(4, .5)}); err == nil || !strings.Contains(err.Error(), "both have seed 4") {
		t.Errorf("one seed twice: %v", err)
	}
	delete(runs[1].Models, eval.Gold)
	if _, err := Over(runs); err == nil || !strings.Contains(err.Error(), "seed 1") {
		t.Errorf("a run without gold: %v", err)
	}
	if _, err := Over([]*eval.Summary{runs[1], runs[0]}); err == nil || !strings.Contains(err.Error(), "run r (seed 1) has no rougeL of gold") {
		t.Errorf("a first run without gold: %v", err)
	}
	if _, err := Over(nil); err == nil {
		t.Error("no runs were accepted")
	}
}
