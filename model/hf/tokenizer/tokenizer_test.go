package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"vgid/model/kit/hftest"

	"pgregory.net/rapid"
)

var goldenTokenizers = []string{"gpt2", "roberta", "qwen", "llama3", "llama2", "meta", "unigram", "unigram-bytes", "wordpiece", "wordlevel", "gemma", "llama2-first"}

type goldenRow struct {
	Text    *string
	IDs     []int32
	Plain   []int32
	Decoded string
	Skipped string
}

func mustTokenizer(t testing.TB, dir string) *Tokenizer {
	t.Helper()
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// Ids and texts equal those of the reference library (testdata/make_tokenizers.py).
func TestTokenizerGolden(t *testing.T) {
	for _, name := range goldenTokenizers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := mustTokenizer(t, filepath.Join("testdata", name))
			var rows []goldenRow
			hftest.Golden(t, name+"/golden.json.gz", &rows)
			for pass := range 2 { // the second pass reads the word cache
				for _, r := range rows {
					if r.Text != nil {
						if got := tok.Encode(*r.Text, true); !slices.Equal(got, r.IDs) {
							t.Errorf("pass %d: Encode(%q, true)\n got %v\nwant %v", pass, *r.Text, got, r.IDs)
						}
						if got := tok.Encode(*r.Text, false); !slices.Equal(got, r.Plain) {
							t.Errorf("pass %d: Encode(%q, false)\n got %v\nwant %v", pass, *r.Text, got, r.Plain)
						}
					}
					if got := tok.Decode(r.IDs, false); got != r.Decoded {
						t.Errorf("Decode(%v, false)\n got %q\nwant %q", r.IDs, got, r.Decoded)
					}
					if got := tok.Decode(r.IDs, true); got != r.Skipped {
						t.Errorf("Decode(%v, true)\n got %q\nwant %q", r.IDs, got, r.Skipped)
					}
				}
			}
		})
	}
}

func TestTokenizerRoles(t *testing.T) {
	tok := mustTokenizer(t, "testdata/gpt2")
	bos, _ := tok.BOS()
	eos, _ := tok.EOS()
	pad, _ := tok.Pad()
	if bos != 1 || eos != 2 || pad != 0 {
		t.Errorf("bos %d eos %d pad %d, want 1 2 0", bos, eos, pad)
	}
	if id, ok := tok.ID("<image>"); !ok || id != 4 || tok.Token(4) != "<image>" || !tok.IsSpecial(4) {
		t.Errorf("<image> is %d %v %q", id, ok, tok.Token(4))
	}
	if tok.Size() != 420 {
		t.Errorf("Size %d, want 420", tok.Size())
	}
	if _, ok := mustTokenizer(t, "testdata/meta").BOS(); ok {
		t.Error("a folder without bos_token has a BOS")
	}
}

func TestTokenizerConcurrent(t *testing.T) {
	tok := mustTokenizer(t, "testdata/qwen")
	var rows []goldenRow
	hftest.Golden(t, "qwen/golden.json.gz", &rows)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, r := range rows {
				if r.Text != nil && !slices.Equal(tok.Encode(*r.Text, true), r.IDs) {
					t.Errorf("Encode(%q) differs", *r.Text)
				}
			}
		})
	}
	wg.Wait()
}

// Byte-level text without normalization survives the round trip.
func TestTokenizerRoundTrip(t *testing.T) {
	tok := mustTokenizer(t, "testdata/llama3")
	rapid.Check(t, func(r *rapid.T) {
		s := hftest.NastyText(r)
		if got := tok.Decode(tok.Encode(s, false), false); got != s {
			r.Fatalf("round trip of %q gives %q", s, got)
		}
	})
}

func TestTokenizerRefusals(t *testing.T) {
	for _, c := range []struct{ name, json, want string }{
		{"kind", `{"model":{"type":"Morphemes"}}`, `model.type "Morphemes" is not supported`},
		{"no unknown id", `{"model":{"type":"Unigram","vocab":[["a",0]]}}`, `model.unk_id is missing`},
		{"unknown id", `{"model":{"type":"Unigram","unk_id":1,"vocab":[["a",0]]}}`, `model.unk_id 1 is not in model.vocab`},
		{"scores", `{"model":{"type":"Unigram","unk_id":0,"vocab":[["a"]]}}`, `is not [token, score]`},
		{"no unknown word", `{"model":{"type":"WordPiece","vocab":{}}}`, `model.unk_token "[UNK]" is not in model.vocab`},
		{"normalizer", `{"normalizer":{"type":"Unigraph"},"model":{"type":"BPE","vocab":{},"merges":[]}}`, `normalizer: type "Unigraph"`},
		{"charsmap", `{"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////wAA"},"model":{"type":"BPE","vocab":{},"merges":[]}}`, `normalizer: precompiled_charsmap is truncated`},
		{"pre", `{"pre_tokenizer":{"type":"UnicodeScripts"},"model":{"type":"BPE","vocab":{},"merges":[]}}`, `"UnicodeScripts"`},
		{"regex", `{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"},"model":{"type":"BPE","vocab":{},"merges":[]}}`, `regular expression "("`},
		{"decoder", `{"decoder":{"type":"CTC"},"model":{"type":"BPE","vocab":{},"merges":[]}}`, `decoder: type "CTC"`},
		{"merge", `{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}`, `entry 0 ("a" "b")`},
		{"merge form", `{"model":{"type":"BPE","vocab":{"a":0},"merges":["ab"]}}`, `merge "ab"`},
		{"twice", `{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}`, `id 0 belongs to both`},
		{"range", `{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}`, `out of range`},
		{"unk", `{"model":{"type":"BPE","unk_token":"u","vocab":{"a":0},"merges":[]}}`, `unk_token "u"`},
		{"cut", `{"model":`, `tokenizer.json: not valid JSON at byte 9 (unexpected end`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(c.json), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Load(dir)
			hftest.WantError(t, err, c.want)
		})
	}
	dir := t.TempDir()
	_, err := Load(dir)
	hftest.WantError(t, err, "tokenizer.json: no such file or directory; a model's folder holds its tokenizer")
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	hftest.WantError(t, err, "in an older form, tokenizer.model: AutoTokenizer")
}

func FuzzTokenizerEncode(f *testing.F) {
	var toks []*Tokenizer
	for _, name := range goldenTokenizers {
		toks = append(toks, mustTokenizer(f, filepath.Join("testdata", name)))
	}
	f.Add("a <image> b\xff", uint8(1))
	f.Fuzz(func(t *testing.T, s string, which uint8) {
		tok := toks[int(which)%len(toks)]
		for _, id := range tok.Encode(s, true) {
			if tok.Token(id) == "" {
				t.Fatalf("%q gives id %d without a token", s, id)
			}
		}
	})
}

// Whatever tokenizer.json says, loading it ends in an error of one line or in
// a tokenizer that encodes and decodes.
func FuzzTokenizerJSON(f *testing.F) {
	vocab := `"vocab":{"a":0,"b":1,"ab":2,"[UNK]":3,"▁":4}`
	for _, s := range []string{
		`{"model":{"type":"BPE",` + vocab + `,"merges":["a b"]}}`,
		`{"model":{"type":"WordPiece",` + vocab + `},"pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true}}`,
		`{"model":{"type":"WordLevel","unk_token":"a",` + vocab + `},"normalizer":{"type":"BertNormalizer","clean_text":true,"lowercase":true}}`,
		`{"model":{"type":"Unigram","unk_id":0,"vocab":[["u",0],["a",-1],["ab",-2]]},"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}}`,
		`{"added_tokens":[{"id":9,"content":"<x>","lstrip":true,"single_word":true}],"normalizer":{"type":"Precompiled","precompiled_charsmap":"BAAAAAAAAAAAAAAA"},"model":{"type":"BPE","vocab":{},"merges":[]}}`,
		`{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"a+"},"behavior":"MergedWithNext"},"post_processor":{"type":"BertProcessing","cls":["a",0],"sep":["b",1]},"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := newTokenizer(b, &folder{})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of more than one line: %q", err)
			}
			return
		}
		tok.Decode(tok.Encode("ab <x> a\n1é▁", true), true)
	})
}
