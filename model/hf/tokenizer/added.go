package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"vgid/model/hf/tokenizer/internal/chars"
)

// addedMatcher finds added tokens in text, longest first at each position.
// start is asked at every byte of a text; only where it says yes is the trie walked.
// It does not change once tokens are added, and holds no state of a search.
type addedMatcher struct {
	start [256]bool // bytes some token starts with
	root  *trieNode
}

// trieNode is a place in the texts of tokens, behind so many of their bytes.
type trieNode struct {
	kids  map[byte]*trieNode
	token *addedToken
}

// add enters a token by the text that stands for it. Of two with the same text the
// first is found.
func (m *addedMatcher) add(text string, t *addedToken) {
	if text == "" {
		return
	}
	if m.root == nil {
		m.root = &trieNode{}
	}
	m.start[text[0]] = true
	n := m.root
	for i := 0; i < len(text); i++ {
		if n.kids == nil {
			n.kids = map[byte]*trieNode{}
		}
		// A map at each node: there are few tokens, and most share their first bytes.
		next := n.kids[text[i]]
		if next == nil {
			next = &trieNode{}
			n.kids[text[i]] = next
		}
		n = next
	}
	if n.token == nil {
		n.token = t
	}
}

// longest is the token that starts at s[i] with the most bytes.
// Longest and not first: <|im_start|> must not be cut by a token that is its beginning.
func (m *addedMatcher) longest(s string, i int) (*addedToken, int) {
	var best *addedToken
	end := i
	n := m.root
	for k := i; k < len(s) && n != nil; k++ {
		if n = n.kids[s[k]]; n != nil && n.token != nil {
			best, end = n.token, k+1
		}
	}
	return best, end
}

// split visits the text between tokens (token nil) and the tokens, in order. A
// token is sought behind the one before, not behind the blanks that one took
// with it: tokens of blanks are found among those, and what follows the last of
// them is text again, as in the reference.
func (m *addedMatcher) split(s string, visit func(text string, at int, token *addedToken) error) error {
	done := 0
	for i := 0; m.root != nil && i < len(s); {
		if !m.start[s[i]] {
			i++
			continue
		}
		t, end := m.longest(s, i)
		if t == nil {
			i++
			continue
		}
		// split: a token that is read as text. A single word must not touch another.
		from, next := i, end
		if t.split || t.SingleWord && (wordEnds(s[:i]) || wordStarts(s[end:])) {
			i = end
			continue
		}
		if t.LStrip {
			// Blanks that the token before took with it are not given back.
			from = min(i, max(done, len(strings.TrimRightFunc(s[:i], unicode.IsSpace))))
		}
		if t.RStrip {
			next = len(s) - len(strings.TrimLeftFunc(s[end:], unicode.IsSpace))
		}
		if done < from {
			if err := visit(s[done:from], done, nil); err != nil {
				return err
			}
		}
		if err := visit(s[from:next], from, t); err != nil {
			return err
		}
		done, i = next, end
	}
	if done < len(s) {
		return visit(s[done:], done, nil)
	}
	return nil
}

// wordEnds reports whether a text ends in a character of words.
// Words are \w of Unicode, as in the reference's expression for single_word.
func wordEnds(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && chars.IsWord(r)
}

// wordStarts reports whether it begins with one.
func wordStarts(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && chars.IsWord(r)
}
