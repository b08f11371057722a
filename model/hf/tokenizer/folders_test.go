package tokenizer

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/kit/hftest"
)

// folderRow is a folder and what transformers makes of it
// (testdata/make_folders.py). The first row holds what is encoded and decoded.
type folderRow struct {
	Texts  []string
	Decode [][]int32

	Row, Base string
	Patch     map[string]json.RawMessage
	Files     map[string]json.RawMessage
	Class     string
	Size      int
	Named     map[string]string
	IDs       [][]int32
	Decoded   []string
	Error     string
}

// open gives the folder's small files and its tokenizer.json.
func (r *folderRow) open(t testing.TB, bases map[string]map[string]json.RawMessage) (*folder, []byte, error) {
	t.Helper()
	if bases[r.Base] == nil {
		b, err := os.ReadFile(filepath.Join("testdata", r.Base, "tokenizer.json"))
		var j map[string]json.RawMessage
		if err == nil {
			err = json.Unmarshal(b, &j)
		}
		if err != nil {
			t.Fatal(err)
		}
		bases[r.Base] = j
	}
	j := maps.Clone(bases[r.Base])
	maps.Copy(j, r.Patch)
	b, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFolder("", func(name string) ([]byte, error) {
		if b, ok := r.Files[name]; ok {
			return b, nil
		}
		return nil, fs.ErrNotExist
	})
	return f, b, err
}

// laxer are folders that transformers cannot read and we can: what they mean is
// plain, and older releases read them.
var laxer = []string{"TypeError: Input must be a List[Union[str, AddedToken]]", "TypeError: 'None' is not an instance of 'bool'"}

// stricter are folders that transformers makes a tokenizer of whose vocabulary
// and merges do not belong together.
const stricter = "is a BPE model, the model in the file is of type"

// Folders whose files disagree, or ask for something, give the ids, names and
// texts of transformers. The rows are those of the table in docs/tokenizers.md.
func TestFoldersAsReference(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: hundreds of tokenizer folders, each with one thing changed")
	}
	t.Parallel()
	var rows []folderRow
	hftest.Golden(t, "folders.json.gz", &rows)
	same, refused, bases := map[string]int{}, 0, map[string]map[string]json.RawMessage{}
	for i, r := range rows[1:] {
		var tok *Tokenizer
		f, b, err := r.open(t, bases)
		if err == nil {
			tok, err = newTokenizer(b, f)
		}
		files, _ := json.Marshal(r.Files)
		where := func() string {
			patch, _ := json.Marshal(r.Patch)
			return r.Base + " " + string(files) + " patched " + clip(string(patch))
		}
		switch {
		case r.Error != "" && err != nil:
			refused++
			continue
		case r.Error != "":
			if !slices.Contains(laxer, r.Error) {
				t.Errorf("%d %s: taken, the reference says %s", i, where(), r.Error)
			}
			continue
		case err != nil && strings.Contains(err.Error(), stricter):
			refused++
			continue
		case err != nil:
			t.Errorf("%d %s: %v", i, where(), err)
			continue
		}
		bad := func(what string, got, want any) {
			t.Errorf("%d %s (%s): %s\n got %v\nwant %v", i, where(), r.Class, what, got, want)
		}
		names, err := f.tokenNames(b)
		switch {
		case err != nil || !maps.Equal(names, r.Named):
			bad("named tokens", names, r.Named)
			continue
		}
		ok := true
		for k, text := range rows[0].Texts {
			if got := tok.Encode(text, true); !slices.Equal(got, r.IDs[k]) {
				bad("ids of "+text, got, r.IDs[k])
				ok = false
				break
			}
		}
		for k, ids := range rows[0].Decode {
			if got := tok.Decode(ids, true); ok && got != r.Decoded[k] {
				bad("text", got, r.Decoded[k])
				ok = false
				break
			}
		}
		if ok {
			same[r.Row]++
		}
	}
	t.Logf("the same: %v; %d refused", same, refused)
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300]
	}
	return s
}

// small is a folder in memory.
func small(files map[string]string) (*folder, error) {
	return parseFolder("dir", func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	})
}

func TestFolderNotices(t *testing.T) {
	b, err := os.ReadFile("testdata/llama2/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{}`: "",
		`{"tokenizer_class": "LlamaTokenizerFast"}`:               "",
		`{"tokenizer_class": "GPT2Tokenizer"}`:                    `tokenizer_class "GPT2Tokenizer" is not known here`,
		`{"split_special_tokens": true}`:                          "read as plain text",
		`{"added_tokens_decoder": {"600": {"content": "<new>"}}}`: `added token "<new>" has id 600 in the files, but 522 in the tokenizer`,
	} {
		f, err := small(map[string]string{"tokenizer_config.json": text})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := newTokenizer(b, f)
		if err != nil {
			t.Fatal(err)
		}
		if told := strings.Join(tok.Notices(), "\n"); !strings.Contains(told, want) || (told == "") != (want == "") {
			t.Errorf("%s: told %q, want %q", text, told, want)
		}
	}
	for text, want := range map[string]string{
		`{"fast_tokenizer_files": ["tokenizer.json", "tokenizer.4.0.json"]}`: "tokenizer.4.0.json for newer releases",
		`{"added_tokens_decoder": {"x": {"content": "a"}}}`:                  `added_tokens_decoder: "x"`,
		`{"added_tokens_decoder": {"-1": {"content": "a"}}}`:                 "out of range",
		`{"eos_token": 3}`:              "tokenizer_config.json: eos_token: number where a string should stand",
		`{"extra_special_tokens": "x"}`: `extra_special_tokens: "x" is no list`,
	} {
		f, err := small(map[string]string{"tokenizer_config.json": text})
		if err == nil {
			_, err = newTokenizer(b, f)
		}
		hftest.WantError(t, err, want)
	}
	_, err = small(map[string]string{"added_tokens.json": "[1]"})
	hftest.WantError(t, err, "added_tokens.json")
}

// Whatever the small files hold, there is a tokenizer whose ids have tokens, or an
// error.
func FuzzFolder(f *testing.F) {
	f.Add(`{"added_tokens_decoder": {"3": {"content": "<new>", "lstrip": true}}, "eos_token": {"__type": "AddedToken", "content": "a"}}`, `{"eos_token": null}`, `{"<new>": 3}`, "a <new> b")
	f.Add(`{"tokenizer_class": "LlamaTokenizer", "extra_special_tokens": ["x", {"content": " "}], "split_special_tokens": true}`, `{"extra_special_tokens": {"x_token": "y"}}`, `{}`, "  x y")
	f.Add(`{"tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": true, "additional_special_tokens": [""]}`, `{"image_token": {"content": "</s>"}}`, `{"": 1}`, "</s>")
	b, err := os.ReadFile("testdata/llama2/tokenizer.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, config, special, added, text string) {
		files, err := small(map[string]string{"tokenizer_config.json": config, "special_tokens_map.json": special, "added_tokens.json": added})
		if err != nil {
			return
		}
		tok, err := newTokenizer(b, files)
		if err != nil {
			return
		}
		for _, id := range tok.Encode(text, true) {
			if tok.Token(id) == "" {
				t.Fatalf("%q has id %d, which no token has", text, id)
			}
		}
		if _, err := files.tokenNames(b); err != nil {
			t.Fatalf("a tokenizer without names: %v", err)
		}
	})
}
