package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"vgid/eval"
	"vgid/eval/metric"
)

// columnsOf lists the metrics of a modality that any model has, as the table of
// results shows them.
// A metric that no model has, as of a task that was not asked, would be a column of
// dashes.
func columnsOf(s *eval.Summary, modality string) []*metric.Metric {
	return slices.DeleteFunc(metric.Columns(func(m *metric.Metric) metric.Column { return m.Table }), func(c *metric.Metric) bool {
		for _, m := range s.Models {
			for _, set := range m {
				if _, ok := set[modality][c.Key]; ok {
					return false
				}
			}
		}
		return true
	})
}

// row is one model on one set.
// cells are as many as the columns that it was made for, in their order.
type row struct {
	set, model string
	cells      []cell
}

// cell is a value and how far it lies from the reference rows.
// ok says that there is a value at all.
type cell struct {
	value          float64
	ok             bool
	vanilla, gold  float64 // differences
	vsVanilla, vsG bool    // whether they exist
}

// rowsOf lists every model on every set that was asked in a modality, sets first:
// what is compared are the models on one set.
func rowsOf(s *eval.Summary, modality string, cols []*metric.Metric) []row {
	var out []row
	for _, set := range s.SetNames() {
		// A set that was asked only in the other modality.
		if s.Counts[set][modality] == nil {
			continue
		}
		for _, model := range s.ModelNames() {
			r := row{set: set, model: model}
			for _, c := range cols {
				r.cells = append(r.cells, cellOf(s, model, set, modality, c))
			}
			out = append(out, r)
		}
	}
	return out
}

// cellOf looks a value up, and the distance from what it is measured by: vanilla,
// which unlearning starts from, and gold, which it should end at.
// Vanilla has no differences and gold none from itself. Of a metric that is given
// (Metric.Given), as the chance of a blind choice, a difference says nothing.
func cellOf(s *eval.Summary, model, set, modality string, m *metric.Metric) cell {
	var c cell
	c.value, c.ok = s.Value(model, set, modality, m.Key)
	if !c.ok || m.Given {
		return c
	}
	if v, ok := s.Value(eval.Vanilla, set, modality, m.Key); ok && model != eval.Vanilla {
		c.vanilla, c.vsVanilla = c.value-v, true
	}
	if v, ok := s.Value(eval.Gold, set, modality, m.Key); ok && model != eval.Gold && model != eval.Vanilla {
		c.gold, c.vsG = c.value-v, true
	}
	return c
}

// modalityTitle names a modality for people.
func modalityTitle(key string) string {
	if key == "text" {
		return "by name, without an image"
	}
	return "with an image"
}

// table lays out every modality as lines of cells. Below each model but the
// vanilla one stand the differences from vanilla and from gold.
// The set's name stands in its first line alone, and align takes that for the start of a group.
// Cells are texts in both, and lines are as long as head, of which the first two columns
// are names.
func table(s *eval.Summary, modality string) (head []string, lines [][]string) {
	cols := columnsOf(s, modality)
	head = []string{"set", "model"}
	for _, c := range cols {
		head = append(head, c.Table.Heading)
	}
	lastSet := ""
	for _, r := range rowsOf(s, modality, cols) {
		set := r.set
		if set == lastSet {
			set = ""
		}
		lastSet = r.set
		value, dv, dg := []string{set, r.model}, []string{"", "  − vanilla"}, []string{"", "  − gold"}
		hasV, hasG := false, false
		for _, c := range r.cells {
			value = append(value, number(c.value, c.ok))
			dv = append(dv, signed(c.vanilla, c.vsVanilla))
			dg = append(dg, signed(c.gold, c.vsG))
			hasV, hasG = hasV || c.vsVanilla, hasG || c.vsG
		}
		lines = append(lines, value)
		// What gold lacks of vanilla is not what was done to a model, and stays out of the table.
		if hasV && r.model != eval.Gold {
			lines = append(lines, dv)
		}
		if hasG {
			lines = append(lines, dg)
		}
	}
	return head, lines
}

// number and signed write a cell; a value that there is not is a dash, a
// difference that there is not is nothing.
func number(v float64, ok bool) string {
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.3f", v)
}

// signed is three decimals with a sign, as differences are of both kinds.
func signed(v float64, ok bool) string {
	if !ok {
		return ""
	}
	// Rounded first and +0, so that a hair below zero is +0.000; with the minus sign
	// that is as wide as the plus.
	return strings.Replace(fmt.Sprintf("%+.3f", math.Round(v*1000)/1000+0), "-", "−", 1)
}

// Table is the results for a terminal: one block for each modality, aligned,
// in characters that need no colour.
func Table(s *eval.Summary) string {
	var b strings.Builder
	for _, m := range eval.ModalityKeys {
		head, lines := table(s, m)
		if len(lines) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "Questions %s\n", modalityTitle(m))
		align(&b, append([][]string{head}, lines...))
	}
	return b.String()
}

// align writes the lines of a table, the first of which is its head, with an
// empty line between sets. Names stand left, numbers right, and nothing behind
// the last: tables are pasted into texts.
func align(b *strings.Builder, lines [][]string) {
	width := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, c := range l {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for k, l := range lines {
		if k > 1 && l[0] != "" {
			b.WriteByte('\n')
		}
		var line strings.Builder
		for i, c := range l {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i < 2 {
				line.WriteString(c + pad + "  ")
			} else {
				line.WriteString(pad + c + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// Markdown is the same table in GitHub's dialect.
// The marks of a table's columns stand in its second line: names left, numbers right.
func Markdown(s *eval.Summary) string {
	var b strings.Builder
	for _, m := range eval.ModalityKeys {
		head, lines := table(s, m)
		if len(lines) == 0 {
			continue
		}
		fmt.Fprintf(&b, "**Questions %s**\n\n| %s |\n|---|---%s|\n", modalityTitle(m), strings.Join(head, " | "), strings.Repeat("|---:", len(head)-2))
		for _, l := range lines {
			for i := range l {
				l[i] = strings.TrimSpace(l[i])
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(l, " | "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
