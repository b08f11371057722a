package report

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"

	"vgid/eval"
	"vgid/eval/metric"
)

// page is the report as the template reads it: strings and ready drawings. The
// template decides nothing, so that what is shown can be tested without HTML.
type page struct {
	Name, Digest, Config string
	Seed                 uint64
	World                int
	Lead                 string // what the headlines are
	Headlines            []headline
	Tables               []pageTable
	Sets, Legend         string // of the tables: who is in a set, what a heading means
	// Empty sections, "" or nil, are left out by the template.
	Tradeoff        template.HTML
	Curves          []figure
	Teacher         []teacherLine
	TeacherExamples bool
	Samples         []pageSample
	Stages          []stageLine
	TotalTime       string
	Versions        []pair
}

// headline is a number in large type, and what it is measured by, a line each.
type headline struct {
	Title, Value string
	Details      []string
}

// figure is a drawing and the words around it.
type figure struct {
	Title, Detail string
	SVG           template.HTML
}

// pair is a line of a list: what was used, in which version.
type pair struct{ Key, Value string }

// pageTable is the results in one modality: a group a set, a row a model.
type pageTable struct {
	Title   string
	Columns []string
	Span    int // columns with the model's name
	Groups  []group
}

// Count says how many questions its means are over.
type group struct {
	Set, Count string
	Rows       []pageRow
}

type pageRow struct {
	Model string
	Cells []pageCell
}

// pageCell is a value above its differences, which are empty where there are none.
// The differences are of the same metric on the same set: value − vanilla, value − gold.
type pageCell struct{ Value, VsVanilla, VsGold string }

// teacherLine is a TeacherRow in words.
type teacherLine struct {
	Name, ROUGEL, Classification, Cloze, Example string
}

// pageSample is a Sample whose pictures are data URLs: the page is one file that
// fetches nothing, so that it can be sent and opened anywhere.
type pageSample struct {
	Set, Person, Question, Reference string
	Portrait, Noised                 template.URL
	Said                             []pageSaid
}

type pageSaid struct{ Model, Text, ROUGEL string }

// stageLine is what a stage took, with a bar to compare stages by.
// Time and Memory are in words; a stage whose memory is not known has a dash.
type stageLine struct {
	Name, Time, Memory string
	Share              string // of the time of all stages
	Bar                int    // of the longest stage, percent: the bars use the whole width
}

// newPage words what the report shows. It fails on a picture that a browser would
// not show, and names whose it is.
// Stages keep the order in which they ended (Summary.StageNames), of which the bars are
// shares of the longest and not of the sum, so that short ones stay visible.
func newPage(d Data) (*page, error) {
	s := d.Summary
	p := &page{
		Name: s.Name, Digest: s.ConfigDigest, Config: strings.TrimSpace(d.Config), Seed: s.Seed, World: s.World,
		Tables: pageTables(s), Sets: people(s), Legend: legend(), Tradeoff: tradeoff(s), Curves: curves(d.Curve, cmp.Or(d.Loss, "loss")),
	}
	p.Lead, p.Headlines = headlines(s)
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
			line.Share = fmt.Sprintf("%.0f %%", 100*st.Seconds/total)
			line.Bar = int(100 * st.Seconds / longest)
		}
		p.Stages = append(p.Stages, line)
	}
	p.TotalTime = duration(total)
	for _, k := range slices.Sorted(maps.Keys(s.Versions)) {
		p.Versions = append(p.Versions, pair{k, s.Versions[k]})
	}
	return p, nil
}

// headlines are the numbers a reader looks for first, and a sentence that says what they are.
// Where a value from before is known the difference is the headline, for that is what unlearning
// did.
// They are ROUGE-L on questions with an image, of the unlearned model; a set that it was
// not asked about has none.
func headlines(s *eval.Summary) (lead string, out []headline) {
	lead = "ROUGE-L, from 0 to 1, on questions with an image"
	if s.Models[eval.Vanilla] != nil {
		lead += ": the change from vanilla to unlearned"
	}
	for _, set := range []string{eval.Forget, eval.Test, eval.Retain, eval.Celebrity} {
		u, ok := s.Value(eval.Unlearned, set, "image_text", metric.ROUGEL)
		if !ok {
			continue
		}
		h := headline{Title: set + " ROUGE-L", Value: number(u, true)}
		if v, ok := s.Value(eval.Vanilla, set, "image_text", metric.ROUGEL); ok {
			h.Value = signed(u-v, true)
			h.Details = append(h.Details, fmt.Sprintf("%s → %s", number(v, true), number(u, true)))
		}
		if g, ok := s.Value(eval.Gold, set, "image_text", metric.ROUGEL); ok {
			h.Details = append(h.Details, besideGold(u-g)+number(g, true))
		}
		out = append(out, h)
	}
	return lead + ".", out
}

// besideGold words a difference from gold's value, which follows it.
func besideGold(d float64) string {
	switch size := number(math.Abs(d), true); {
	case size == number(0, true):
		return "equal to gold’s "
	case d > 0:
		return size + " above gold’s "
	default:
		return size + " below gold’s "
	}
}

// pageTables lays the table of results out in groups, one a set, with the
// differences inside the cells instead of below them.
// A modality that nobody was asked in has no table. rowsOf gives sets one after the
// other, so that a new set begins a new group.
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

// people says who is in each set that was asked.
func people(s *eval.Summary) string {
	var parts []string
	for _, set := range []struct{ name, who string }{
		{eval.Forget, "the people to forget"}, {eval.Test, "the same people in other pictures"},
		{eval.Retain, "people to keep"}, {eval.Celebrity, "people outside the fine-tuning data"},
	} {
		if slices.Contains(s.SetNames(), set.name) {
			parts = append(parts, set.name+": "+set.who)
		}
	}
	return strings.Join(parts, "; ")
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
// The counts are the same for all models, which were asked the same questions.
func countText(s *eval.Summary, set, modality string) string {
	var parts []string
	for _, t := range eval.Tasks {
		if n := s.Counts[set][modality][string(t)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, t))
		}
	}
	return strings.Join(parts, ", ")
}
