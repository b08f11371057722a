package metric

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vgid/eval/dataset"
)

// Letter is the option the response begins with, or "" when its first
// character is no option's letter: the protocol's reading of an answer.
// White space in front is passed over; "Answer: B" therefore reads as A, as it does in the
// released script.
func Letter(response string, options []dataset.Option) string {
	first, size := utf8.DecodeRuneInString(strings.TrimSpace(response))
	if size == 0 {
		return ""
	}
	letter := string(unicode.ToUpper(first))
	for _, o := range options {
		if o.Letter == letter {
			return letter
		}
	}
	return ""
}

// NamedOption is the letter of the option whose text the response names first,
// as whole words and ignoring case and punctuation; of two that begin at the
// same word the longer. It is "" when the response names none.
// It reads answers of models that name the option instead of its letter.
func NamedOption(response string, options []dataset.Option) string {
	said := words(response)
	letter, longest := "", 0
	for at := range said {
		for _, o := range options {
			text := words(o.Text)
			if n := len(text); n > longest && at+n <= len(said) && slices.Equal(text, said[at:at+n]) {
				letter, longest = o.Letter, n
			}
		}
		if letter != "" {
			break
		}
	}
	return letter
}
