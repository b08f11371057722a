package eval

import "vgid/vgid/data"

// Notices are things about the questions that a user should know, one line each.
func Notices(items []Item) []string {
	n, of := 0, 0
	for i := range items {
		if items[i].Task != data.Generation {
			continue
		}
		of++
		if Wordless(items[i].Reference) {
			n++
		}
	}
	return WordlessNotice(n, of)
}
