// Package prompts is what everybody who writes or reads a prompt agrees on.
package prompts

import "strings"

// ImageMark stands in a prompt where an image goes.
const ImageMark = "<image>"

// Lead is what stands between a prompt and its answer: a space behind a word or a
// mark, nothing where the prompt itself ends in white space.
func Lead(prompt string) string {
	if strings.TrimRight(prompt, " \t\r\n") != prompt {
		return ""
	}
	return " "
}
