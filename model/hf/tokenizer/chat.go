package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vgid/model/hf"
	"vgid/model/hf/internal/jinja"
	"vgid/model/kit/plainjson"
)

// ErrNoChatTemplate says that a folder holds no chat template.
var ErrNoChatTemplate = errors.New("no chat template: neither chat_template.jinja nor a field chat_template in processor_config.json, chat_template.json or tokenizer_config.json")

// ChatTemplate turns a conversation into the text a model was trained on. It
// may be used by several goroutines at once.
// tokens are the names that a template may use beside the variables of Render: bos_token and the
// like, with the texts that the folder gives them.
type ChatTemplate struct {
	// Now is what a template that asks for the date gets; nil: the clock.
	Now func() time.Time

	template *jinja.Template
	path     string
	tokens   map[string]string // bos_token and the like
}

// Message is one turn. Templates see its content as a string or, when Parts is
// not nil, as a list of parts.
type Message struct {
	Role  string
	Text  string
	Parts []Part
}

// Part is a piece of a message: {"type": "image"}, {"type": "text", "text": …}.
// Templates write the mark of an image themselves, where a part of type "image" stands.
type Part struct {
	Type string
	Text string // of type "text"
}

// LoadChatTemplate reads the template of a model's folder, and the special
// tokens it may name. A folder without one gives ErrNoChatTemplate.
func LoadChatTemplate(dir string) (*ChatTemplate, error) {
	src, path, err := findTemplate(dir)
	if err != nil {
		return nil, err
	}
	if src == "" {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoChatTemplate)
	}
	t, err := jinja.Parse(src)
	if err != nil {
		return nil, fmt.Errorf("%s: chat template: %w", path, err)
	}
	tokens, err := tokenNames(dir)
	if err != nil {
		return nil, err
	}
	return &ChatTemplate{template: t, path: path, tokens: tokens}, nil
}

// tokenNames are the special tokens of a folder by the names that a template
// calls them.
func tokenNames(dir string) (map[string]string, error) {
	f, err := readFolder(dir)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names, err := f.tokenNames(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return names, nil
}

// tokenNames takes tokenizer.json, which may be missing.
func (f *folder) tokenNames(b []byte) (map[string]string, error) {
	// Of that large file only a token of its padding could bear on the names.
	var j tokenizerJSON
	if _, named := f.config.fields["pad_token"]; !named && b != nil {
		if err := plainjson.Unmarshal(b, &j); err != nil {
			return nil, fmt.Errorf("tokenizer.json: %w", err)
		}
	}
	c, _ := f.class(b)
	s, err := f.specials(c, nil, j.Padding)
	if err != nil {
		return nil, err
	}
	return s.values(), nil
}

// Render gives the text of the messages, with the start of the assistant's
// turn when addGenerationPrompt is set. An error names the template's file and
// line; a template refuses with one the conversations it was not made for.
// tools and documents are none and not undefined, as apply_chat_template passes them: templates
// test for none.
func (c *ChatTemplate) Render(messages []Message, addGenerationPrompt bool) (string, error) {
	if len(messages) == 0 {
		return "", errors.New("chat template: the conversation has no messages")
	}
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = m.value()
	}
	vars := map[string]any{}
	for name, tok := range c.tokens {
		vars[name] = tok
	}
	vars["messages"], vars["add_generation_prompt"] = list, addGenerationPrompt
	vars["tools"], vars["documents"] = nil, nil
	s, err := c.template.Render(vars, jinja.Options{Now: c.Now})
	if err != nil {
		return "", fmt.Errorf("%s: chat template: %w", c.path, err)
	}
	return s, nil
}

// value is the message as templates see it.
// A Dict and no map: a template may print one, and its order is then that of Python's.
func (m Message) value() any {
	d := &jinja.Dict{}
	d.Set("role", m.Role)
	if m.Parts == nil {
		d.Set("content", m.Text)
		return d
	}
	parts := &jinja.List{}
	for _, p := range m.Parts {
		q := &jinja.Dict{}
		q.Set("type", p.Type)
		if p.Type == "text" {
			q.Set("text", p.Text)
		}
		parts.Items = append(parts.Items, q)
	}
	d.Set("content", parts)
	return d
}

// ReadChatTemplate gives the Jinja source of the folder's chat template, not
// rendered; a folder without one gives "". Where several files have one, the
// processor of transformers 5.23 decides which is meant (processing_utils.py,
// get_processor_dict): that of processor_config.json, chat_template.json,
// chat_template.jinja or additional_chat_templates/default.jinja; where the
// processor has none, that of tokenizer_config.json.
func ReadChatTemplate(dir string) (string, error) {
	src, _, err := findTemplate(dir)
	return src, err
}

// findTemplate gives the source of the chat template and the file it is in.
func findTemplate(dir string) (src, path string, err error) {
	more, err := hf.Templates(dir)
	if err != nil {
		return "", "", err
	}
	for _, name := range []string{"processor_config.json", "chat_template.json", "chat_template.jinja", "additional_chat_templates/default.jinja", "tokenizer_config.json"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		// transformers takes any of them by name and none unasked, so that a guess here could be
		// another one than the user's.
		if name == "tokenizer_config.json" && len(more) > 0 {
			return "", "", fmt.Errorf("%s: additional_chat_templates holds no default.jinja, and there is no chat_template.jinja: call the one that is meant so", dir)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		if filepath.Ext(name) == ".jinja" {
			return string(b), path, nil
		}
		if name == "chat_template.json" && len(more) > 0 {
			return "", "", fmt.Errorf("%s stands beside additional_chat_templates, so that it is not clear which template is meant: put its template into chat_template.jinja", path)
		}
		t, err := templateField(b)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", path, err)
		}
		if t != "" {
			return t, path, nil
		}
	}
	return "", "", nil
}

// templateField reads chat_template: a string, or named ones in an object or a
// list, of which "default" is meant.
// Lists of named templates are the older form, of tokenizer_config.json.
func templateField(b []byte) (string, error) {
	var o struct {
		T json.RawMessage `json:"chat_template"`
	}
	if err := plainjson.Unmarshal(b, &o); err != nil || plainjson.IsNull(o.T) {
		return "", err
	}
	var s string
	if json.Unmarshal(o.T, &s) == nil {
		return s, nil
	}
	byName := map[string]string{}
	// encoding/json matches names in any case.
	var list []struct{ Name, Template string }
	switch {
	case json.Unmarshal(o.T, &byName) == nil:
	case json.Unmarshal(o.T, &list) == nil:
		clear(byName)
		for _, t := range list {
			byName[t.Name] = t.Template
		}
	default:
		return "", fmt.Errorf("chat_template is neither a string nor named templates")
	}
	if t, ok := byName["default"]; ok {
		return t, nil
	}
	return "", fmt.Errorf(`chat_template has no template named "default"`)
}
