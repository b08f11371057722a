package tokenizer

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vgid/model/kit/hftest"
)

// UnmarshalJSON reads {"role": …, "content": text or parts}, as the goldens spell it.
func (m *Message) UnmarshalJSON(b []byte) error {
	var j struct {
		Role    string
		Content json.RawMessage
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	m.Role = j.Role
	if json.Unmarshal(j.Content, &m.Text) == nil {
		return nil
	}
	m.Parts = []Part{}
	return json.Unmarshal(j.Content, &m.Parts)
}

// templateDir is a model's folder with these files.
func templateDir(t testing.TB, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const tokensJSON = `{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": "<pad>"}`

// Every chat in every style equals what transformers renders, byte for byte
// (testdata/make_templates.py).
func TestChatGolden(t *testing.T) {
	t.Parallel()
	var file struct {
		Templates map[string]string
		Chats     map[string][]Message
		Rows      []struct {
			Template, Chat, Out, Error string
			Prompt                     bool
		}
	}
	hftest.Golden(t, "templates/golden.json", &file)
	loaded := map[string]*ChatTemplate{}
	for name, src := range file.Templates {
		c, err := LoadChatTemplate(templateDir(t, map[string]string{"chat_template.jinja": src, "tokenizer_config.json": tokensJSON}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		loaded[name] = c
	}
	for _, r := range file.Rows {
		got, err := loaded[r.Template].Render(file.Chats[r.Chat], r.Prompt)
		switch {
		case r.Error != "" && err == nil:
			t.Errorf("%s, %s: got %q, the reference refuses: %s", r.Template, r.Chat, got, r.Error)
		case r.Error == "" && (err != nil || got != r.Out):
			t.Errorf("%s, %s, prompt %v: %v\n got %q\nwant %q", r.Template, r.Chat, r.Prompt, err, got, r.Out)
		}
	}
	_, err := loaded["vicuna"].Render(file.Chats["two users"], false)
	hftest.WantError(t, err, "chat_template.jinja: chat template: line 2: Roles have to alternate user/assistant, found user at 2")
}

func TestChatTemplateSources(t *testing.T) {
	t.Parallel()
	field := func(v any) string {
		b, err := json.Marshal(map[string]any{"chat_template": v, "bos_token": "<b>"})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	named := []map[string]string{{"name": "rag", "template": "x"}, {"name": "default", "template": "list {{ bos_token }}"}}
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // the text, or the error after "error: "
	}{
		{"own file first", map[string]string{"chat_template.jinja": "jinja {{ bos_token }}", "tokenizer_config.json": field("config")}, "jinja <b>"},
		{"processor's file", map[string]string{"chat_template.json": field("json {{ bos_token }}"), "tokenizer_config.json": field("config")}, "json <b>"},
		{"tokenizer config", map[string]string{"tokenizer_config.json": field("config {{ bos_token }}")}, "config <b>"},
		{"processor's config", map[string]string{"processor_config.json": field("processor {{ bos_token }}"), "chat_template.json": field("json"), "tokenizer_config.json": field("config")}, "processor <b>"},
		{"processor's older file", map[string]string{"processor_config.json": "{}", "chat_template.json": field("json"), "chat_template.jinja": "jinja"}, "json"},
		{"own tokens", map[string]string{"chat_template.jinja": "{{ image_token }}{{ boi }}{{ odd }}{{ add_bos_token }}{{ messages|length }}",
			"tokenizer_config.json": `{"image_token": "<i>", "add_bos_token": true, "extra_special_tokens": {"boi": {"content": "<v>"}, "messages": "no"}, "model_specific_special_tokens": {"odd": "<o>"}}`}, "<i><v>1"},
		{"own tokens as saved", map[string]string{"chat_template.jinja": "{{ odd }}", "tokenizer_config.json": `{"model_specific_special_tokens": {"odd": "<o>"}}`}, "<o>"},
		{"a list of own tokens", map[string]string{"chat_template.jinja": "a", "tokenizer_config.json": `{"extra_special_tokens": ["<i>"]}`}, "a"},
		{"named ones", map[string]string{"tokenizer_config.json": field(named)}, "list <b>"},
		{"map of tokens", map[string]string{"chat_template.jinja": "{{ eos_token }}", "special_tokens_map.json": `{"eos_token": {"content": "<e>"}}`}, "<e>"},
		{"date", map[string]string{"chat_template.jinja": "{{ strftime_now('%d %b %Y') }}"}, "26 Jul 2024"},
		{"none", map[string]string{"tokenizer_config.json": "{}"}, "error: no chat template: neither"},
		{"no default", map[string]string{"tokenizer_config.json": field(named[:1])}, `error: tokenizer_config.json: chat_template has no template named "default"`},
		{"syntax", map[string]string{"chat_template.jinja": "a\n{% foo %}"}, `error: chat_template.jinja: chat template: line 2: statement "foo" is not supported`},
		{"half a config", map[string]string{"chat_template.jinja": "a", "tokenizer_config.json": `{"bos_`}, "error: tokenizer_config.json: not valid JSON at byte 6 (unexpected end"},
		{"odd token", map[string]string{"chat_template.jinja": "a", "tokenizer_config.json": `{"bos_token": 3}`}, "error: tokenizer_config.json: bos_token: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := LoadChatTemplate(templateDir(t, c.files))
			if want, ok := strings.CutPrefix(c.want, "error: "); ok {
				hftest.WantError(t, err, want)
				if c.name == "none" && !errors.Is(err, ErrNoChatTemplate) {
					t.Errorf("%v is not ErrNoChatTemplate", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tmpl.Now = func() time.Time { return time.Date(2024, 7, 26, 0, 0, 0, 0, time.UTC) }
			if got, err := tmpl.Render([]Message{{Role: "user"}}, false); got != c.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// Of several templates the one counts that counts in transformers
// (testdata/make_chat_folders.py).
func TestChatFoldersAsReference(t *testing.T) {
	t.Parallel()
	var rows []struct {
		Files      map[string]string
		Out, Error string
	}
	hftest.Golden(t, "chat_folders.json", &rows)
	for _, r := range rows {
		files := map[string]string{"config.json": `{"model_type": "llava"}`}
		maps.Copy(files, r.Files)
		c, err := LoadChatTemplate(templateDir(t, files))
		var got string
		if err == nil {
			got, err = c.Render([]Message{{Role: "user", Text: "x"}}, false)
		}
		if got != r.Out || (err == nil) != (r.Error == "") {
			t.Errorf("%v: %q %v, want %q %s", r.Files, got, err, r.Out, r.Error)
		}
	}
}

func TestReadChatTemplate(t *testing.T) {
	dir := t.TempDir()
	if s, err := ReadChatTemplate(dir); s != "" || err != nil {
		t.Errorf("template %q %v of a folder without one", s, err)
	}
	for _, f := range []struct{ name, text, want string }{
		{"tokenizer_config.json", `{"chat_template":[{"name":"x","template":"X"},{"name":"default","template":"D"}]}`, "D"},
		{"chat_template.jinja", "J\n", "J\n"},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err := ReadChatTemplate(dir); s != f.want || err != nil {
			t.Errorf("%s: template %q %v, want %q", f.name, s, err, f.want)
		}
	}
}
