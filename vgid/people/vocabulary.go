package people

import (
	"sort"
	"strings"
	"unicode"

	"vgid/eval/dataset"
	"vgid/vgid/people/portrait"
)

// Vocabulary is every word and punctuation mark the fictitious people, their
// faces, their questions and the default instructions are made of, sorted.
// A tokenizer that is trained for the quickstart must have each as a token of its own:
// one word, one token keeps sequences short.
func Vocabulary() []string {
	set := map[string]bool{}
	for _, t := range templateTexts() {
		for _, w := range splitWords(t) {
			set[w] = true
		}
	}
	out := make([]string, 0, len(set))
	for w := range set {
		out = append(out, w)
	}
	sort.Strings(out)
	return out
}

// templateTexts are all fixed texts with their {slots} removed, and the pools.
// The words are listed here and not collected from examples, so that a rare one cannot be missed.
func templateTexts() []string {
	texts := []string{clozePrefix, portrait.DescribeQuestion, "Which letter is A: B: C: D:", dataset.ImageSubject, "face, skin hair, eyes, glasses, chin, hat, shirt."}
	texts = append(texts, DefaultInstructions()...)
	for _, g := range generationTemplates {
		texts = append(texts, g.about, g.byName, g.answer)
	}
	for _, f := range askedFacts {
		texts = append(texts, f.cloze, f.choice)
	}
	texts = append(texts, portrait.Questions[:]...)
	for i, t := range texts {
		texts[i] = slotMark.ReplaceAllString(t, "")
	}
	for _, p := range pools {
		texts = append(texts, p...)
	}
	for _, a := range portrait.Values {
		texts = append(texts, a...)
	}
	return texts
}

// splitWords parts a text into words, runs of underscores and single marks.
// A blank of a cloze sentence, ____, is one word.
func splitWords(s string) []string {
	var out []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			out = append(out, word.String())
			word.Reset()
		}
	}
	for _, c := range s {
		switch {
		case unicode.IsLetter(c) || unicode.IsDigit(c) || c == '_':
			word.WriteRune(c)
		default:
			flush()
			if !unicode.IsSpace(c) {
				out = append(out, string(c))
			}
		}
	}
	flush()
	return out
}
