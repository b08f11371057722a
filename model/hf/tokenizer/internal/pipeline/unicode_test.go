package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"vgid/model/kit/hftest"
)

// Every code point goes through normalizers and pre-tokenizers as through the
// reference's (testdata/make_unicode.py).
func TestUnicodeAsReference(t *testing.T) {
	if testing.Short() {
		t.Skip("all of Unicode through each normalizer")
	}
	hftest.SameUnicode(t)
	var rows []struct {
		Normalizer   json.RawMessage `json:"normalizer"`
		PreTokenizer json.RawMessage `json:"pre_tokenizer"`
		Digests      []string        `json:"digests"`
	}
	hftest.Golden(t, "unicode.json.gz", &rows)
	blocks := map[int]string{}
	for b := range 0x110 {
		// Beyond the ideographs hardly anything is assigned.
		if (hftest.Race || testing.Short() || b >= 0x40) && b%16 != 0 {
			continue
		}
		var s strings.Builder
		for c := rune(b << 12); c < rune(b+1)<<12; c++ {
			if c > 0 && (c < 0xd800 || c >= 0xe000) {
				one := string(c)
				s.WriteString("a\u0345" + one + "\u0334 " + one + "b" + one + "1\n")
			}
		}
		blocks[b] = s.String()
	}
	for _, row := range rows {
		t.Run(string(row.Normalizer)+string(row.PreTokenizer), func(t *testing.T) {
			t.Parallel()
			norm, err := NewNormalizer(row.Normalizer)
			if err != nil {
				t.Fatal(err)
			}
			pre, err := NewPreTokenizer(row.PreTokenizer)
			if err != nil {
				t.Fatal(err)
			}
			for b, text := range blocks {
				out, err := norm(text)
				if err == nil && row.PreTokenizer != nil {
					var words []string
					err = pre.Run(text, true, func(w string) error {
						words = append(words, w)
						return nil
					})
					out = strings.Join(words, "\x00")
				}
				if err != nil {
					t.Fatal(err)
				}
				sum := sha256.Sum256([]byte(out))
				if got := hex.EncodeToString(sum[:4]); got != row.Digests[b] {
					t.Errorf("code points %X000-%XFFF come out differently", b, b)
				}
			}
		})
	}
}
