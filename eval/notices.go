package eval

import (
	"vgid/eval/dataset"
	"vgid/eval/metric"
)

// Notices are things about the questions that a user should know, one line each.
func Notices(items []Item) []string {
	n, of := 0, 0
	for i := range items {
		if items[i].Task != dataset.Generation {
			continue
		}
		of++
		if metric.Wordless(items[i].Reference) {
			n++
		}
	}
	return metric.WordlessNotice(n, of)
}
