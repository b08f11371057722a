package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vgid/model/hf/jinja"
)

// ErrNoChatTemplate says that a folder holds no chat template.
var ErrNoChatTemplate = errors.New("no chat template: neither chat_template.jinja nor a field chat_template in processor_config.json, chat_template.json or tokenizer_config.json")

// ChatTemplate turns a conversation into the text a model was trained on. It
// may be used by several goroutines at once.
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
	cfg, err := readTokenizerConfig(dir)
	if err != nil {
		return nil, err
	}
	return &ChatTemplate{template: t, path: path, tokens: cfg.Named}, nil
}

// Render gives the text of the messages, with the start of the assistant's
// turn when addGenerationPrompt is set. An error names the template's file and
// line; a template refuses with one the conversations it was not made for.
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
// rendered. Where several files have one, the processor of transformers decides
// which is meant: that of processor_config.json, chat_template.json,
// chat_template.jinja, tokenizer_config.json. A folder without one gives "".
func ReadChatTemplate(dir string) (string, error) {
	src, _, err := findTemplate(dir)
	return src, err
}

// findTemplate gives the source of the chat template and the file it is in.
func findTemplate(dir string) (src, path string, err error) {
	for _, name := range []string{"processor_config.json", "chat_template.json", "chat_template.jinja", "tokenizer_config.json"} {
		path := filepath.Join(dir, name)
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

// templateField reads chat_template: a string, or a list of named ones of
// which "default" is meant.
func templateField(b []byte) (string, error) {
	var o struct {
		T json.RawMessage `json:"chat_template"`
	}
	if err := json.Unmarshal(b, &o); err != nil || isNull(o.T) {
		return "", err
	}
	var s string
	if json.Unmarshal(o.T, &s) == nil {
		return s, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(o.T, &list); err != nil {
		return "", fmt.Errorf("chat_template is neither a string nor a list of named templates")
	}
	for _, t := range list {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", fmt.Errorf(`chat_template has no template named "default"`)
}
