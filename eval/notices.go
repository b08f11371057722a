package eval

import (
	"vgid/eval/dataset"
	"vgid/eval/metric"
)

// Notices are things about the questions that a user should know, one line each.
func Notices(items []Item) []string {
	references := map[dataset.Task][]string{}
	for i := range items {
		references[items[i].Task] = append(references[items[i].Task], items[i].Reference)
	}
	var out []string
	for _, t := range Tasks {
		out = append(out, metric.Notices(t, references[t])...)
	}
	return out
}
