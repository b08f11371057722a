package metric_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/metric"
	"vgid/eval/report"
)

// A metric as its file has it: how much shorter the shorter of two texts is.
func init() {
	metric.Register(metric.Metric{
		Key: "brevity", Tasks: []dataset.Task{dataset.Generation, dataset.Cloze}, Order: 99,
		Compare: func(reference, response string) metric.Value {
			a, b := float64(len(reference)), float64(len(response))
			return metric.Value{Score: min(a, b) / max(a, b, 1)}
		},
		Table: metric.Column{Heading: "brevity", At: 99}, Spread: metric.Column{Heading: "brevity", At: 99},
		Legend: "brevity how much of the length is there",
		Notice: func(references []string) string {
			if slices.Contains(references, "") {
				return "a reference without length"
			}
			return ""
		},
	})
}

// half answers with the first half of what is right.
type half struct{}

func (half) Answer(_ context.Context, items []eval.Item, _ int) ([]string, error) {
	var out []string
	for _, it := range items {
		out = append(out, it.Reference[:len(it.Reference)/2])
	}
	return out, nil
}

func (half) ScoreOptions(context.Context, []eval.Item) ([][]float64, error) { return nil, nil }

// A metric that is registered in one file is in everything that shows numbers.
func TestAMetricIsOneFile(t *testing.T) {
	people := []dataset.Profile{{ID: "1", Name: "Ada", Eval: []dataset.Question{
		{Task: dataset.Generation, Modality: dataset.Text, Text: "Who?", Answer: "Ada Lovelace"},
		{Task: dataset.Classification, Modality: dataset.Text, Text: "Who?", Answer: "Ada", Correct: "A",
			Options: []dataset.Option{{Letter: "A", Text: "Ada"}, {Letter: "B", Text: "Eve"}}},
	}}}
	p := eval.Short(eval.LLaVAChat, 1)
	p.Likelihood, p.Modalities = false, []dataset.Modality{dataset.Text}
	out, err := eval.Run(t.Context(), []eval.Set{{Name: eval.Forget, Profiles: people}}, p, half{}, eval.Alone)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	answers := filepath.Join(dir, "answers.jsonl")
	if err := eval.WriteAnswers(answers, out.Answers); err != nil {
		t.Fatal(err)
	}
	back, err := eval.ReadAnswers(answers)
	if err != nil || back[0].Metrics["brevity"] != .5 {
		t.Errorf("answers file: %v, %+v", err, back)
	}
	if _, has := back[1].Metrics["brevity"]; has {
		t.Errorf("a task that the metric does not speak of has it: %+v", back[1])
	}
	s := &eval.Summary{Name: "r", Seed: 1}
	if err := s.Add(eval.Unlearned, out); err != nil {
		t.Fatal(err)
	}
	if v, ok := s.Value(eval.Unlearned, eval.Forget, "text", "brevity"); !ok || v != .5 {
		t.Errorf("summary: %v, %v", v, ok)
	}
	page := filepath.Join(dir, "report.html")
	if err := report.Write(page, report.Data{Summary: s}); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	other := *s
	other.Seed = 2
	spread, err := report.SpreadTable([]*eval.Summary{s, &other})
	if err != nil {
		t.Fatal(err)
	}
	for where, c := range map[string]struct{ text, want string }{
		"table":  {report.Table(s), "  brevity\n"},
		"spread": {spread, "| brevity"},
		"page":   {string(html), `<th scope="col">brevity</th>`},
		"legend": {string(html), ", brevity how much of the length is there."},
	} {
		if !strings.Contains(c.text, c.want) {
			t.Errorf("%s: no %q in\n%s", where, c.want, c.text)
		}
	}
	pairs := filepath.Join(dir, "pairs.jsonl")
	if err := os.WriteFile(pairs, []byte(`{"prediction":"ab","reference":"abcd"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := metric.ScoreFile(t.Context(), pairs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r)
	if err != nil || !strings.HasSuffix(string(got), `"brevity":0.5}`) {
		t.Errorf("%s, %v", got, err)
	}
	items := []eval.Item{{Task: dataset.Generation}}
	if n := eval.Notices(items); !slices.Contains(n, "a reference without length") {
		t.Errorf("notices %q", n)
	}
}

// What `vgid score` prints is as it was before there was a registry.
func TestScoreIsPrintedInOrder(t *testing.T) {
	pairs := filepath.Join(t.TempDir(), "pairs.jsonl")
	if err := os.WriteFile(pairs, []byte(`{"prediction":"a b","reference":"a b"}`+"\n"+`{"prediction":"a","reference":"x"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := metric.ScoreFile(t.Context(), pairs)
	if err != nil {
		t.Fatal(err)
	}
	then := []string{metric.ROUGE1, metric.ROUGE2, metric.ROUGEL, metric.BLEU}
	r.Means = slices.DeleteFunc(r.Means, func(m metric.Mean) bool { return !slices.Contains(then, m.Key) })
	got, err := json.Marshal(r)
	const prf = `{"f":0.5,"p":0.5,"r":0.5}`
	want := fmt.Sprintf(`{"count":2,"rouge1":%s,"rouge2":%s,"rougeL":%s,"bleu":%v}`, prf, prf, prf, metric.Bleu("a b", "a b")/2)
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestRegisterRefuses(t *testing.T) {
	generation := []dataset.Task{dataset.Generation}
	judge := func(*metric.Response) (float64, bool) { return 0, true }
	for want, m := range map[string]metric.Metric{
		"without a key":    {Tasks: generation, Judge: judge},
		"or a task":        {Key: "x", Judge: judge},
		"one of Compare":   {Key: "x", Tasks: generation},
		"and Judge":        {Key: "x", Tasks: generation, Judge: judge, Compare: func(_, _ string) metric.Value { return metric.Value{} }},
		"registered twice": {Key: metric.BLEU, Tasks: generation, Judge: judge},
	} {
		func() {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, want) {
					t.Errorf("%q instead of %q", said, want)
				}
			}()
			metric.Register(m)
		}()
	}
}
