package flight

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// shown is how many calls of a rank a table has.
const shown = 12

// Table shows a story to a person: the line, where each rank was and what it
// said, then the last calls of each. It returns the first error of w.
func (s *Story) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "job %s, epoch %d, %d ranks: %s\n\n", s.Job, s.Epoch, s.World, s.Line)
	fmt.Fprintln(t, "rank\tin\tfor\twaits for\tits own words")
	for i := range s.Records {
		r := &s.Records[i]
		rank := fmt.Sprint(r.Rank)
		for j := range r.Calls {
			if c := &r.Calls[j]; c.State.Open() && c.State != Queued {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", rank, c.Words(), Span(c.Took), who(c.WaitsFor), cause(r, rank))
				rank = ""
			}
		}
		if rank != "" {
			fmt.Fprintf(t, "%s\tno call\t\t\t%s\n", rank, cause(r, rank))
		}
	}
	for _, r := range s.Missing {
		fmt.Fprintf(t, "%d\tno record\t\t\t\n", r)
	}
	for i := range s.Records {
		s.Records[i].table(t)
	}
	return t.Flush()
}

// cause is a rank's own words, on the first of its lines.
func cause(r *Record, rank string) string {
	if rank == "" {
		return ""
	}
	return strings.ReplaceAll(r.Cause, "\t", " ")
}

func who(rank int) string {
	if rank == NoRank {
		return ""
	}
	return Ranks([]int{rank})
}

// table shows the last calls of a rank, the latest first.
func (r *Record) table(t io.Writer) {
	fmt.Fprintf(t, "\nrank %d: its calls, the latest first, in seconds before the failure\n", r.Rank)
	fmt.Fprintln(t, "began\ttook\tstate\tcall\talgorithm\tsent\treceived\twaited longest for")
	for i := len(r.Calls) - 1; i >= max(0, len(r.Calls)-shown); i-- {
		c := &r.Calls[i]
		longest := ""
		if c.LongestFor != NoRank {
			longest = fmt.Sprintf("%s, %s", who(c.LongestFor), Span(c.Longest))
		}
		fmt.Fprintf(t, "%.3f\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", c.Began, Span(c.Took), c.State, c.Words(), c.Algorithm, c.Sent, c.Received, longest)
	}
	if before := r.Forgotten + uint64(max(0, len(r.Calls)-shown)); before > 0 {
		fmt.Fprintf(t, "and %d before\n", before)
	}
}
