package ask

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
)

// A text of a data set with a mark of an image is refused, an answer is rid of it:
// also where taking one out makes another.
func TestMarks(t *testing.T) {
	r := reader(t, nil)
	for _, tc := range []struct{ text, clean string }{
		{"a plain text", "a plain text"},
		{"<image>", ""},
		{"one <image> two <image>", "one  two "},
		{"<ima<image>ge>", ""},
		{"<im<ima<image>ge>age>.", "."},
		{"< image >", "< image >"},
	} {
		if got := r.Unmark(tc.text); got != tc.clean {
			t.Errorf("%q becomes %q, want %q", tc.text, got, tc.clean)
		}
		if err := r.Unmarked(tc.text); (err != nil) != (tc.text != tc.clean) {
			t.Errorf("%q: %v", tc.text, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"<image>", "<im", "age>", "<", "é", " "})).Draw(t, "text"), "")
		if got := r.Unmark(text); r.Unmarked(got) != nil {
			t.Fatalf("%q becomes %q, which holds a mark", text, got)
		}
	})
	// A long text is quoted from a little before the mark on.
	err := r.Unmarked(strings.Repeat("x", 200) + "<image>" + strings.Repeat("y", 200))
	want := `"…` + strings.Repeat("x", 30) + "<image>" + strings.Repeat("y", 43) + `…" holds <image>`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// A prompt has a mark for each of its images, no more and no fewer.
func TestImagesAndMarks(t *testing.T) {
	r := reader(t, nil)
	each := r.Config().ImageTokens(imaging.Grid{})
	for _, tc := range []struct {
		prompt string
		images int
		want   string // "" where it is read
	}{
		{"Who?", 0, ""}, {"<image> Who?", 1, ""}, {"<image> or <image>?", 2, ""},
		{"<image> or <image>?", 1, `has more marks <image> than its 1 images`},
		{"Who?", 1, "of 1 images only 0 have a mark: write <image> where each goes"},
		{"<image>", 3, "of 3 images only 1 have a mark"},
		{"half \xf0\x9f", 0, "is no UTF-8"},
	} {
		ids, err := r.Tokens(tc.prompt, make([]imaging.Image, tc.images))
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q with %d images: %v, want %s", tc.prompt, tc.images, err, tc.want)
			}
			continue
		}
		n := 0
		for _, id := range ids {
			if id == r.ImageID() {
				n++
			}
		}
		if err != nil || n != tc.images*each {
			t.Errorf("%q: %d tokens of images, want %d of %d each; %v", tc.prompt, n, tc.images, each, err)
		}
	}
	if !r.OneSize() {
		t.Error("every image of CLIP's processor becomes as many tokens")
	}
}

// A folder whose files do not belong together is refused by what differs.
func TestFilesThatDoNotBelongTogether(t *testing.T) {
	from := reader(t, nil)
	dir := from.dir
	for name, tc := range map[string]struct {
		config, want string
	}{
		"another id":       {strings.Replace(llavaConfig, `"image_token_index": 520`, `"image_token_index": 519`, 1), "tokenizer.json gives <image> the id 520, config.json says 519"},
		"a small model":    {strings.NewReplacer(`"vocab_size": 522`, `"vocab_size": 521`).Replace(llavaConfig), "tokenizer.json has 522 tokens, config.json's vocab_size is 521"},
		"pictures' sides":  {strings.Replace(llavaConfig, `"image_size": 24`, `"image_size": 36`, 1), "take the processor_config.json or preprocessor_config.json that came with the model"},
		"nothing is wrong": {llavaConfig, ""},
	} {
		cfg, err := family.ParseConfig([]byte(tc.config))
		if err != nil {
			t.Fatal(err)
		}
		_, err = OpenReader(modeldir.Open(dir), cfg)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), dir+": ") || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := family.ParseConfig([]byte(llavaConfig))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(strings.ReplaceAll(string(raw), "<image>", "<picture>")), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(modeldir.Open(dir), cfg); err == nil || !strings.Contains(err.Error(), "tokenizer.json has no token <image> for config.json's image token 520") {
		t.Errorf("a tokenizer without the mark: %v", err)
	}
}

// What the folder says about where answers end, and where it contradicts itself.
func TestEndsOfAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		generation string
		ends       []int32
		notice     string
	}{
		"a list":         {`{"eos_token_id": [521, 2]}`, []int32{521, 2}, ""},
		"another":        {`{"eos_token_id": 521}`, []int32{521}, "answers end at eos_token_id [521], which does not hold the tokenizer's eos_token </s> (2)"},
		"none":           {`{}`, []int32{2}, "no eos_token_id says where answers end, so they end at the tokenizer's eos_token </s>"},
		"the tokenizers": {`{"eos_token_id": 2}`, []int32{2}, ""},
	} {
		r := reader(t, map[string]string{"generation_config.json": tc.generation})
		if got := r.Greedy(7); !slices.Equal(got.EOS, tc.ends) || got.MaxNew != 7 {
			t.Errorf("%s: answers of %d tokens end at %v, want %v", name, got.MaxNew, got.EOS, tc.ends)
		}
		said := strings.Join(r.Notices(), "\n")
		if (said != "") != (tc.notice != "") || !strings.Contains(said, tc.notice) {
			t.Errorf("%s: notices %q, want %q", name, said, tc.notice)
		}
	}
}

// An answer ends before the first stop string, wherever the tokens cut it.
func TestStopStrings(t *testing.T) {
	r := reader(t, nil)
	for _, tc := range []struct {
		text  string
		stops []string
		want  string
	}{
		{"one. two", nil, "one. two"},
		{"one. two", []string{"."}, "one"},
		{"one. two", []string{"ne", "wo"}, "o"},
		{"one. two", []string{"three"}, "one. two"},
		{"é.é", []string{".é", "é.é"}, ""},
	} {
		if got := cutAt(tc.text, tc.stops); got != tc.want {
			t.Errorf("%q before %q is %q, want %q", tc.text, tc.stops, got, tc.want)
		}
		// The stopper speaks with the token that completes a stop string, never before.
		stop, ids := either(nil, r.stopper(tc.stops, true)), r.tok.Encode(tc.text, false)
		for n := range ids {
			so := r.tok.Decode(ids[:n+1], true)
			has := slices.ContainsFunc(tc.stops, func(s string) bool { return strings.Contains(so, s) })
			if got := stop != nil && stop(ids[:n+1]); got != has {
				t.Errorf("%q, stops %q: stopped %v behind %q", tc.text, tc.stops, got, so)
			}
		}
	}
	yes, no := func([]int32) bool { return true }, func([]int32) bool { return false }
	if either(no, no)(nil) || !either(no, yes)(nil) || !either(yes, no)(nil) || either(nil, nil) != nil || !either(yes, nil)(nil) {
		t.Error("either asks one of two only")
	}
}

// Lines of prompts that cannot be answered say where they stand and how a line looks.
func TestLinesThatAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		`{"prompt": ""}`:                     "prompt is missing or empty",
		`{"images": []}`:                     "prompt is missing or empty",
		`{"prompt": 3}`:                      "prompt: number where a string should stand",
		`{"prompt": "a", "images": "b.png"}`: "images: string where a list should stand",
		`{"prompt": "a", "image": "b.png"}`:  "it has a field image, which would not be seen",
		`["a"]`:                              "array where an object should stand",
		`{"prompt": "a"`:                     "not valid JSON at byte",
		`{"prompt": "a", "images": [], "image": "b.png"}`: "",
	} {
		lines, err := ReadLines(strings.NewReader("\n"+line+"\n"), "in.jsonl", "dir")
		if err != nil || len(lines) != 1 {
			t.Fatalf("%s: %d lines, %v", line, len(lines), err)
		}
		switch got := lines[0].Err; {
		case want == "" && got != nil:
			t.Errorf("%s: %v", line, got)
		case want != "" && (got == nil || !strings.HasPrefix(got.Error(), "in.jsonl, line 2: "+want) || !strings.HasSuffix(got.Error(), LineForm)):
			t.Errorf("%s: %v, want %s", line, got, want)
		}
	}
	lines, err := ReadLines(strings.NewReader(`{"prompt": "a", "images": ["b.png", "/c.png"], "id": 7}`), "in", "dir")
	if err != nil || !slices.Equal(lines[0].Images, []string{filepath.Join("dir", "b.png"), "/c.png"}) || !slices.Equal(lines[0].Fields["id"], json.RawMessage("7")) {
		t.Errorf("%+v, %v", lines, err)
	}
}
