// Package prompts holds the conventions that whoever writes a prompt (the
// benchmark's questions, training samples) shares with whoever reads it (a model's
// folder): the mark of an image, how a template is filled, what stands between
// prompt and answer.
package prompts

import "strings"

// ImageMark stands in a prompt where an image goes.
const ImageMark = "<image>"

// Fill puts values in the place of the slots of a template, in one pass, so that
// nothing in a value is taken for a slot. Slots are written in braces and come in
// front of their values: Fill("Who is {name}?", "{name}", "Ada").
func Fill(template string, slots ...string) string {
	var b strings.Builder
next:
	for {
		at := strings.IndexByte(template, '{')
		if at < 0 {
			b.WriteString(template)
			return b.String()
		}
		b.WriteString(template[:at])
		template = template[at:]
		for i := 0; i < len(slots); i += 2 {
			if rest, ok := strings.CutPrefix(template, slots[i]); ok {
				b.WriteString(slots[i+1])
				template = rest
				continue next
			}
		}
		b.WriteByte('{') // of no slot
		template = template[1:]
	}
}

// Lead is what stands between a prompt and its answer: a space behind a word or a
// mark, nothing where the prompt itself ends in white space.
func Lead(prompt string) string {
	if strings.TrimRight(prompt, " \t\r\n") != prompt {
		return ""
	}
	return " "
}
