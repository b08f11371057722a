package tokenizer

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/kit/hftest"

	"pgregory.net/rapid"
)

type answeredRow struct {
	Prompt, Answer string
	IDs            []int32
	First          int // -1: no token holds a character of the answer
}

func (r *answeredRow) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&r.Prompt, &r.Answer, &r.IDs, &r.First})
}

// Prompt and answer are one text, and the answer begins where the reference's
// offsets say (testdata/make_answered.py).
func TestAnsweredAsOneText(t *testing.T) {
	var golden map[string][]answeredRow
	hftest.Golden(t, "answered.json.gz", &golden)
	for _, name := range goldenTokenizers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := mustTokenizer(t, filepath.Join("testdata", name))
			told := 0
			for _, r := range golden[name] {
				ids, first := tok.EncodeAnswered(r.Prompt, r.Answer)
				if !slices.Equal(ids, r.IDs) {
					t.Errorf("%q + %q: ids %v, want %v", r.Prompt, r.Answer, ids, r.IDs)
					continue
				}
				if r.First < 0 || vague(tok, r, first) {
					continue
				}
				if told++; first != r.First {
					t.Errorf("%q + %q: the answer begins at token %d, want %d of %q", r.Prompt, r.Answer, first, r.First, spellings(tok, ids))
				}
			}
			if told < len(golden[name])/5 || told == 0 {
				t.Errorf("only %d of %d rows tell where an answer begins", told, len(golden[name]))
			}
		})
	}
}

// vague reports whether the border lies where no spelling shows it: between
// characters that the vocabulary lacks, which share a token or are given as
// bytes; at a mark that joins the prompt's last letter; or at the prompt's last
// blanks, which a normalizer takes off where nothing follows. Such a token counts
// as the answer's or as the prompt's.
func vague(tok *Tokenizer, r answeredRow, first int) bool {
	for _, s := range spellings(tok, r.IDs[max(0, min(first, r.First)-1):max(first, r.First)]) {
		if s == "<unk>" || s == "[UNK]" || len(s) == len("<0x00>") && strings.HasPrefix(s, "<0x") {
			return true
		}
	}
	between := strings.Join(spellings(tok, r.IDs[min(first, r.First):max(first, r.First)]), "")
	return strings.Trim(between, "▁") == "" && between != "" || strings.HasPrefix(r.Answer, "\u0301")
}

func spellings(tok *Tokenizer, ids []int32) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = tok.Token(id)
	}
	return out
}

// The ids are always those of the one text, what is before the answer never
// holds all of it, and a prompt that the answer does not touch keeps its ids.
func TestAnsweredProperties(t *testing.T) {
	t.Parallel()
	for _, name := range goldenTokenizers {
		tok := mustTokenizer(t, filepath.Join("testdata", name))
		rapid.Check(t, func(r *rapid.T) {
			prompt, answer := hftest.NastyText(r), hftest.NastyText(r)
			ids, first := tok.EncodeAnswered(prompt, answer)
			if !slices.Equal(ids, tok.Encode(prompt+answer, true)) {
				r.Fatalf("%s: %q + %q: not the ids of the one text", name, prompt, answer)
			}
			alone := tok.Encode(prompt, true)
			alone = alone[:len(alone)-len(tok.post.After)]
			switch end := len(ids) - len(tok.post.After); {
			case first < 0 || first > end:
				r.Fatalf("%s: %q + %q: the answer begins at %d of %d", name, prompt, answer, first, end)
			case answer == "" && first != end:
				r.Fatalf("%s: %q: an empty answer has %d tokens", name, prompt, end-first)
			case len(alone) <= end && slices.Equal(ids[:len(alone)], alone) && first != len(alone):
				r.Fatalf("%s: %q + %q: the answer begins at %d, the prompt has %d tokens", name, prompt, answer, first, len(alone))
			}
		})
	}
}
