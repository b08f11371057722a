package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Table is a report for people: lines of text, and lines of cells in columns
// below them.
type Table struct {
	Right bool // cells end below each other instead of beginning there
	title string
	lines []string
}

// Titlef adds text above the columns, with its line breaks.
func (t *Table) Titlef(format string, values ...any) { t.title += fmt.Sprintf(format, values...) }

// Rowf adds a line of cells with tabs between them.
func (t *Table) Rowf(format string, values ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, values...))
}

// Write writes the table.
func (t *Table) Write(to io.Writer) error {
	flags, end := uint(0), "\n"
	if t.Right {
		flags, end = tabwriter.AlignRight, "\t\n" // which aligns cells that a tab ends
	}
	if _, err := io.WriteString(to, t.title); err != nil {
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', flags)
	for _, l := range t.lines {
		if _, err := io.WriteString(w, l+end); err != nil {
			return err
		}
	}
	return w.Flush()
}
