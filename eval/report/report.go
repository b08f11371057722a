// Package report shows what a run's summary holds: tables for a terminal and in
// Markdown, a page with curves and samples, and the spread of several runs.
package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image/jpeg"
	"image/png"
	"maps"
	"slices"
	"strings"
	"time"

	"vgid/eval"
	"vgid/eval/metric"
	"vgid/model/kit/safefile"
)

// Data is what the report shows. Everything but Summary may be empty;
// its section is then left out.
type Data struct {
	Summary *eval.Summary
	Curve   []CurvePoint // of the unlearning stage
	Loss    string       // what its losses are: KL
	Teacher []TeacherRow // the teacher's answers to forget questions
	Samples []Sample
	Config  string // the resolved configuration, YAML
}

// CurvePoint is one step of unlearning. Losses are means in nats, per token or, where
// the method says so, per answer.
type CurvePoint struct {
	Step           int
	Forget, Retain float64
	LR, GradNorm   float64
}

// TeacherRow is the frozen teacher under one intervention, before unlearning.
type TeacherRow struct {
	Name           string  `json:"name"` // e.g. "noise + instruction"
	ROUGEL         float64 `json:"rougeL"`
	Classification float64 `json:"classification"`
	Cloze          float64 `json:"cloze"`
	Example        string  `json:"example"` // what it says to the first sample's question
}

// Sample is one question shown in full.
type Sample struct {
	Set, Person, Question, Reference string
	Portrait, Noised                 []byte // PNG or JPEG; nil when there is none
	Said                             []Said // vanilla, unlearned, gold
}

// Said is a model's answer to a sample.
type Said struct {
	Model, Text string
	ROUGEL      float64
}

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// Write writes the report as one HTML file that fetches nothing,
// atomically.
func Write(path string, d Data) error {
	if d.Summary == nil {
		return fmt.Errorf("%s: a report needs a summary", path)
	}
	page, err := newPage(d)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var b bytes.Buffer
	if err := reportTemplate.Execute(&b, page); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return safefile.WriteBytes(path, b.Bytes())
}

// page is the report as the template reads it: strings and ready drawings. The
// template decides nothing, so that what is shown can be tested without HTML.
type page struct {
	Name, Digest, Config string
	Seed                 uint64
	World                int
	Headlines            []headline
	Tables               []pageTable
	Legend               string // of the tables
	Tradeoff             template.HTML
	Curves               []figure
	Teacher              []teacherLine
	TeacherExamples      bool
	Samples              []pageSample
	Stages               []stageLine
	TotalTime            string
	Versions             []pair
}

type headline struct{ Title, Value, Detail string }

type figure struct {
	Title, Detail string
	SVG           template.HTML
}

type pair struct{ Key, Value string }

type pageTable struct {
	Title   string
	Columns []string
	Span    int // columns with the model's name
	Groups  []group
}

type group struct {
	Set, Count string
	Rows       []pageRow
}

type pageRow struct {
	Model string
	Cells []pageCell
}

type pageCell struct{ Value, VsVanilla, VsGold string }

type teacherLine struct {
	Name, ROUGEL, Classification, Cloze, Example string
}

type pageSample struct {
	Set, Person, Question, Reference string
	Portrait, Noised                 template.URL
	Said                             []pageSaid
}

type pageSaid struct{ Model, Text, ROUGEL string }

type stageLine struct {
	Name, Time, Memory string
	Share              int // of the longest stage, percent
}

func newPage(d Data) (*page, error) {
	s := d.Summary
	p := &page{
		Name: s.Name, Digest: s.ConfigDigest, Config: strings.TrimSpace(d.Config), Seed: s.Seed, World: s.World,
		Headlines: headlines(s), Tables: pageTables(s), Legend: legend(), Tradeoff: tradeoff(s), Curves: curves(d.Curve, cmp.Or(d.Loss, "loss")),
	}
	for _, t := range d.Teacher {
		p.Teacher = append(p.Teacher, teacherLine{t.Name, number(t.ROUGEL, true), number(t.Classification, true), number(t.Cloze, true), t.Example})
		p.TeacherExamples = p.TeacherExamples || t.Example != ""
	}
	for _, x := range d.Samples {
		out := pageSample{Set: x.Set, Person: x.Person, Question: x.Question, Reference: x.Reference}
		var err error
		if out.Portrait, err = dataURL(x.Portrait); err != nil {
			return nil, fmt.Errorf("portrait of %s: %w", x.Person, err)
		}
		if out.Noised, err = dataURL(x.Noised); err != nil {
			return nil, fmt.Errorf("noised portrait of %s: %w", x.Person, err)
		}
		for _, said := range x.Said {
			out.Said = append(out.Said, pageSaid{said.Model, said.Text, fmt.Sprintf("%.2f", said.ROUGEL)})
		}
		p.Samples = append(p.Samples, out)
	}
	var total, longest float64
	for _, st := range s.Stages {
		total += st.Seconds
		longest = max(longest, st.Seconds)
	}
	for _, name := range s.StageNames() {
		st := s.Stages[name]
		line := stageLine{Name: name, Time: duration(st.Seconds), Memory: mebibytes(st.PeakMemoryBytes)}
		if longest > 0 {
			line.Share = int(100 * st.Seconds / longest)
		}
		p.Stages = append(p.Stages, line)
	}
	p.TotalTime = duration(total)
	for _, k := range slices.Sorted(maps.Keys(s.Versions)) {
		p.Versions = append(p.Versions, pair{k, s.Versions[k]})
	}
	return p, nil
}

// headlines are the numbers a reader looks for first.
func headlines(s *eval.Summary) []headline {
	var out []headline
	for _, set := range []string{eval.Forget, eval.Test, eval.Retain, eval.Celebrity} {
		u, ok := s.Value(eval.Unlearned, set, "image_text", metric.ROUGEL)
		if !ok {
			continue
		}
		h := headline{Title: set + " ROUGE-L", Value: number(u, true)}
		var parts []string
		if v, ok := s.Value(eval.Vanilla, set, "image_text", metric.ROUGEL); ok {
			h.Value = signed(u-v, true)
			parts = append(parts, fmt.Sprintf("%s → %s", number(v, true), number(u, true)))
		}
		if g, ok := s.Value(eval.Gold, set, "image_text", metric.ROUGEL); ok {
			parts = append(parts, fmt.Sprintf("gold %s (%s)", number(g, true), signed(u-g, true)))
		}
		h.Detail = strings.Join(parts, "; ")
		out = append(out, h)
	}
	return out
}

// pageTables lays the table of results out in groups, one a set, with the
// differences inside the cells instead of below them.
func pageTables(s *eval.Summary) []pageTable {
	var out []pageTable
	for _, m := range eval.ModalityKeys {
		cols := columnsOf(s, m)
		t := pageTable{Title: "Questions " + modalityTitle(m)}
		for _, c := range cols {
			t.Columns = append(t.Columns, c.Table.Heading)
		}
		t.Span = len(cols) + 1
		for _, r := range rowsOf(s, m, cols) {
			if n := len(t.Groups); n == 0 || t.Groups[n-1].Set != r.set {
				t.Groups = append(t.Groups, group{Set: r.set, Count: countText(s, r.set, m)})
			}
			line := pageRow{Model: r.model}
			for _, c := range r.cells {
				line.Cells = append(line.Cells, pageCell{number(c.value, c.ok), signed(c.vanilla, c.vsVanilla), signed(c.gold, c.vsG)})
			}
			g := &t.Groups[len(t.Groups)-1]
			g.Rows = append(g.Rows, line)
		}
		if len(t.Groups) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// legend says what the headings mean that do not say it themselves.
func legend() string {
	var parts []string
	for _, m := range metric.Columns(func(m *metric.Metric) metric.Column { return m.Table }) {
		if m.Legend != "" {
			parts = append(parts, m.Legend)
		}
	}
	return strings.Join(parts, ", ")
}

// countText says how many questions a set's means are over.
func countText(s *eval.Summary, set, modality string) string {
	var parts []string
	for _, t := range eval.Tasks {
		if n := s.Counts[set][modality][string(t)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, t))
		}
	}
	return strings.Join(parts, ", ")
}

// dataURL embeds an encoded image after checking that a browser will show it.
func dataURL(b []byte) (template.URL, error) {
	if len(b) == 0 {
		return "", nil
	}
	kind := "image/png"
	if _, err := png.DecodeConfig(bytes.NewReader(b)); err != nil {
		if _, err := jpeg.DecodeConfig(bytes.NewReader(b)); err != nil {
			return "", fmt.Errorf("%d bytes that are neither PNG nor JPEG", len(b))
		}
		kind = "image/jpeg"
	}
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b)), nil
}

// duration and mebibytes are for people: three figures, and the unit that has them.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", seconds)
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

func mebibytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
