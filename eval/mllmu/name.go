package mllmu

import (
	"regexp"
	"strings"

	"vgid/eval/dataset"
)

// MLLMU-Bench asks for the name in these wordings, and answers in those; what
// matches neither is a question about somebody else's name, as a parent's.
// The answer's expression takes the whole answer where it is the name alone.
var (
	nameQuestion = regexp.MustCompile(`(?i)^what(?: is|'s) (?:the (?:full )?name (?:of|associated with) (?:this|the) (?:person|individual|profile)(?:\?|$| in | as )|(?:this|the) (?:person|individual)'s (?:full )?name\b)`)
	nameAnswer   = regexp.MustCompile(`^(?:.*?\b(?:[Nn]ame\b.*? is|is (?:named|called)|in the (?:image|profile|biography) is) )?(.+?)\.?$`)
)

// FindName gives the person's name from the pair that asks for it, or "" when
// no pair does.
func FindName(pairs []dataset.QA) string {
	for _, p := range pairs {
		if !nameQuestion.MatchString(PlainQuotes(p.Question)) {
			continue
		}
		if m := nameAnswer.FindStringSubmatch(strings.TrimSpace(p.Answer)); m != nil {
			return m[1]
		}
	}
	return ""
}

// PlainQuotes makes typographic apostrophes plain, for matching only.
func PlainQuotes(s string) string { return strings.ReplaceAll(s, "’", "'") }
