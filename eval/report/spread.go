package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"vgid/eval"
	"vgid/eval/metric"
)

// Spread is a mean over several runs with its sample standard deviation.
// SD is of the sample (n-1): a few seeds stand for all that could have been drawn.
type Spread struct {
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"`
	N    int     `json:"n"`
}

// Spreads holds model → set → modality → metric over runs.
// The keys are those of eval.Summary's Models; N is the number of runs in every entry.
type Spreads map[string]map[string]map[string]map[string]Spread

// Over gathers the summaries of runs that differ in their seed, and refuses those
// that evaluated other models, sets or metrics: a mean over some of the runs would
// stand beside means over all.
//
// Runs of one seed are refused: they are equal where nothing is wrong, and would make
// the deviation too small.
func Over(runs []*eval.Summary) (Spreads, error) {
	if len(runs) == 0 {
		return nil, fmt.Errorf("no summaries are given")
	}
	bySeed := map[uint64]string{}
	for _, r := range runs {
		if first, ok := bySeed[r.Seed]; ok {
			return nil, fmt.Errorf("runs %s and %s both have seed %d: their spread says nothing; give runs of different seeds", first, r.Name, r.Seed)
		}
		bySeed[r.Seed] = r.Name
	}
	for _, r := range runs[1:] {
		if err := lacks(r, runs[0]); err != nil {
			return nil, err
		}
		if err := lacks(runs[0], r); err != nil {
			return nil, err
		}
	}
	out := Spreads{}
	for model, sets := range runs[0].Models {
		out[model] = map[string]map[string]map[string]Spread{}
		for set, modalities := range sets {
			out[model][set] = map[string]map[string]Spread{}
			for modality, metrics := range modalities {
				out[model][set][modality] = map[string]Spread{}
				for metric := range metrics {
					var values []float64
					for _, r := range runs {
						v, _ := r.Value(model, set, modality, metric)
						values = append(values, v)
					}
					out[model][set][modality][metric] = spread(values)
				}
			}
		}
	}
	return out, nil
}

// lacks names the first mean that another run has and this one has not.
// Both ways round it finds a difference wherever it lies.
func lacks(s, other *eval.Summary) error {
	for _, model := range other.ModelNames() {
		for _, set := range slices.Sorted(maps.Keys(other.Models[model])) {
			for _, modality := range slices.Sorted(maps.Keys(other.Models[model][set])) {
				for _, metric := range slices.Sorted(maps.Keys(other.Models[model][set][modality])) {
					if _, ok := s.Value(model, set, modality, metric); !ok {
						return fmt.Errorf("run %s (seed %d) has no %s of %s, %s, %s, which run %s has; give runs of one configuration", s.Name, s.Seed, metric, model, set, modality, other.Name)
					}
				}
			}
		}
	}
	return nil
}

// spread is mean and sample standard deviation (n-1), which is 0 for one run.
func spread(v []float64) Spread {
	s := Spread{N: len(v)}
	for _, x := range v {
		s.Mean += x / float64(len(v))
	}
	for _, x := range v {
		s.SD += (x - s.Mean) * (x - s.Mean)
	}
	if s.N > 1 {
		s.SD = math.Sqrt(s.SD / float64(s.N-1))
	}
	return s
}

// SpreadTable shows the runs together in GitHub's dialect, which terminals
// show well enough: mean ± standard deviation, a row for each set and model.
func SpreadTable(runs []*eval.Summary) (string, error) {
	all, err := Over(runs)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	seeds := make([]string, len(runs))
	for i, r := range runs {
		seeds[i] = fmt.Sprint(r.Seed)
	}
	fmt.Fprintf(&b, "%d runs, seeds %s: mean ± standard deviation\n", len(runs), strings.Join(seeds, ", "))
	columns := metric.Columns(func(m *metric.Metric) metric.Column { return m.Spread })
	for _, modality := range eval.ModalityKeys {
		rows := spreadRows(all, runs[0], modality, columns)
		if rows == "" {
			continue
		}
		fmt.Fprintf(&b, "\n| %-10s | %-10s |", modalityTitle(modality), "model")
		for _, m := range columns {
			fmt.Fprintf(&b, " %-14s |", m.Spread.Heading)
		}
		b.WriteString("\n|---|---|" + strings.Repeat("---|", len(columns)) + "\n" + rows)
	}
	b.WriteByte('\n')
	for _, r := range runs {
		b.WriteString(shortAccount(r))
	}
	return b.String(), nil
}

// spreadRows are the lines of one modality; "" where no model was asked so.
func spreadRows(all Spreads, first *eval.Summary, modality string, columns []*metric.Metric) string {
	var b strings.Builder
	for _, set := range first.SetNames() {
		for _, model := range first.ModelNames() {
			metrics := all[model][set][modality]
			if metrics == nil {
				continue
			}
			fmt.Fprintf(&b, "| %-10s | %-10s |", set, model)
			for _, m := range columns {
				cell := "–"
				if s, ok := metrics[m.Key]; ok {
					cell = fmt.Sprintf("%.3f ± %.3f", s.Mean, s.SD)
				}
				fmt.Fprintf(&b, " %-14s |", cell)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// shortAccount says in a line what was lost on the forget set and
// kept on the retain set, and how far from the gold model that is. What was
// not evaluated is left out.
func shortAccount(r *eval.Summary) string {
	differences := func(model string, sets ...string) string {
		var out []string
		for _, set := range sets {
			a, ok := r.Value(eval.Unlearned, set, "image_text", metric.ROUGEL)
			b, also := r.Value(model, set, "image_text", metric.ROUGEL)
			if ok && also {
				out = append(out, fmt.Sprintf("%s %+.3f", set, a-b))
			}
		}
		return strings.Join(out, ", ")
	}
	var parts []string
	if d := differences(eval.Vanilla, eval.Forget, eval.Retain); d != "" {
		parts = append(parts, "ROUGE-L "+d)
	}
	if d := differences(eval.Gold, eval.Forget, eval.Test, eval.Retain, eval.Celebrity); d != "" {
		parts = append(parts, "from gold: "+d)
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("seed %d: %s\n", r.Seed, strings.Join(parts, "; "))
}
