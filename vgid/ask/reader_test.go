package ask

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
	"vgid/model/hf/tokenizer"
)

// sentencePiece is the tokenizer of the released LLaVA-1.5's kind: its normalizer
// puts a mark in front of every text that it is given.
const sentencePiece = "../../model/hf/tokenizer/testdata/llama2"

const llavaConfig = `{
  "model_type": "llava", "image_token_index": 520, "vision_feature_layer": -1, "vision_feature_select_strategy": "default",
  "text_config": {"model_type": "llama", "vocab_size": 522, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 256},
  "vision_config": {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 24, "patch_size": 12}
}`

// reader is of a folder with these further files.
func reader(t *testing.T, files map[string]string) *Reader {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"preprocessor_config.json": `{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}`,
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		b, err := os.ReadFile(filepath.Join(sentencePiece, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := family.ParseConfig([]byte(llavaConfig))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(modeldir.Open(dir), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// An answer has the tokens that it has in the text, whatever it begins with, and
// the image before it shifts nothing but where it begins.
func TestAnsweredBehindAnImage(t *testing.T) {
	r := reader(t, nil)
	const question = "USER: %Who works in the city?\nASSISTANT:"
	text, seen := strings.ReplaceAll(question, "%", ""), strings.ReplaceAll(question, "%", "<image>\n")
	for _, answer := range []string{" She works.", "She works.", "\nShe", " 12", "12", ".", "  two", "</s>", " </s> a", "é"} {
		ids, first, err := r.Answered(text, answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if whole := r.Tokenizer().Encode(text+answer, true); !slices.Equal(ids, whole) {
			t.Errorf("%q: ids %v, the text's are %v", answer, ids, whole)
		}
		with, at, err := r.Answered(seen, answer, []imaging.Image{{}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(with[at:], ids[first:]) {
			t.Errorf("%q: behind an image the answer is %v, else %v", answer, with[at:], ids[first:])
		}
		if n := r.Config().ImageTokens(imaging.Grid{}); slices.Index(with, r.ImageID()) < 0 || at-first < n {
			t.Errorf("%q: the answer begins at %d with an image of %d tokens, at %d without", answer, at, n, first)
		}
	}
	if ids, first, err := r.Answered(text, "", nil); err != nil || first != len(ids) {
		t.Errorf("no answer: %d of %d, %v", first, len(ids), err)
	}
	if _, _, err := r.Answered(text, " like <image> this", nil); err == nil || !strings.Contains(err.Error(), `" like <image> this"`) {
		t.Errorf("an answer with a mark of an image: %v", err)
	}
}

// What a chat template puts between a question and its answer, and behind it, is
// what a conversation that is trained on has there.
func TestTurn(t *testing.T) {
	const generation = `{"eos_token_id": [2, 521]}` // 521 is <pad>
	for _, tc := range []struct {
		name, template, prompt, lead string
		end                          int32
	}{
		{"a space behind the mark of the turn",
			`{% for m in messages %}{{ m.role.upper() }}: {{ m.content }} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}`,
			"USER: Who? ASSISTANT:", " ", 2},
		{"a line of its own",
			"{% for m in messages %}[{{ m.role }}]\n{{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}",
			"[user]\nWho?</s>\n[assistant]\n", "", 2},
		{"nothing between",
			`{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]{% else %}{{ m.content }}</s>{% endif %}{% endfor %}`,
			"[INST] Who? [/INST]", "", 2},
		{"an end of turns that is not the tokenizer's",
			"{% for m in messages %}[{{ m.role }}]\n\n{{ m.content | trim }}<pad>{% endfor %}{% if add_generation_prompt %}[assistant]\n\n{% endif %}",
			"[user]\n\nWho?<pad>[assistant]\n\n", "", 521},
		{"an end at which generation does not stop",
			"{% for m in messages %}{{ m.role }}: {{ m.content }}<unk>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
			"user: Who?<unk>assistant:", " ", 2},
		{"a thought that only the prompt has",
			"{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:\n(thinking)\n{% endif %}",
			"user:\nWho?\nassistant:\n(thinking)\n", "", 2},
		{"a template that refuses answers",
			"{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('users only') }}{% endif %}{{ m.content }}{% endfor %}\nSay:",
			"Who?Say:", " ", 2},
		{"parts of messages",
			"{% for m in messages %}{{ m.role }}:{% for p in m.content %}{% if p.type == 'text' %} {{ p.text }}{% endif %}{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
			"user: Who?</s>assistant:", " ", 2},
	} {
		r := reader(t, map[string]string{"chat_template.jinja": tc.template, "generation_config.json": generation})
		got, err := r.Turn("Who?", 0)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if want := (Turn{Prompt: tc.prompt, Lead: tc.lead, End: tc.end, asked: got.asked, said: got.said}); got != want {
			t.Errorf("%s: %q, want %q", tc.name, got, want)
		}
	}
}

// White space that a template takes off a question or an answer is not trained
// on: with it the text would be another than the template's.
func TestTurnTrimsAsTheTemplateDoes(t *testing.T) {
	const text = " \t\r\n It is. \n\r\t "
	for _, tc := range []struct{ name, content, want string }{
		{"as it stands", "m.content", text},
		{"trimmed", "m.content | trim", "It is."},
		{"stripped", "m.content.strip()", "It is."},
		{"line breaks in front", `m.content.lstrip('\n')`, text},
		{"all in front", "m.content.lstrip()", "It is. \n\r\t "},
		{"all behind", "m.content.rstrip()", " \t\r\n It is."},
		{"blanks of its own", "' ' + m.content.strip() + ' '", "It is."},
		{"answers only", "m.content | trim if m.role == 'assistant' else m.content", "It is."},
	} {
		template := "{% for m in messages %}[{{ m.role }}]\n{{ " + tc.content + " }}</s>\n{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}"
		r := reader(t, map[string]string{"chat_template.jinja": template})
		turn, err := r.Turn("{prompt}", 0)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		// What the pieces make is what the template makes of the whole.
		tmpl, err := tokenizer.LoadChatTemplate(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := tmpl.Render([]tokenizer.Message{{Role: "user", Text: text}, {Role: "assistant", Text: text}}, false)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Replace(turn.Prompt, "{prompt}", turn.Asked(text), 1) + turn.Lead + turn.Said(text)
		if !strings.HasPrefix(whole, got) || turn.Said(text) != tc.want {
			t.Errorf("%s: %q is no beginning of the template's %q; the answer is %q, want %q", tc.name, got, whole, turn.Said(text), tc.want)
		}
	}
	// Only what stands at the end can be taken off.
	r := reader(t, map[string]string{"chat_template.jinja": "{% for m in messages %}{{ m.content.lstrip('\n') }}|{% endfor %}"})
	if turn, err := r.Turn("Who?", 0); err != nil || turn.Said("\n\nIt is.\n") != "It is.\n" {
		t.Errorf("%q, %v", turn.Said("\n\nIt is.\n"), err)
	}
}

// A template that changes what it is given, or makes another number of images of it,
// is no way to ask.
func TestTurnRefusesTemplates(t *testing.T) {
	parts := "{% for p in messages[0].content %}{% if p.type == 'image' %}IMAGE{% else %}TEXT{% endif %}{% endfor %}"
	for _, tc := range []struct{ image, text, want string }{
		{"<image>", "{{ p.text | upper }}", `does not write the message "Who?" as it is, but "<image>WHO?"`},
		{"<image>", "?", `does not write the message "Who?" as it is, but "<image>?"`},
		{"<image><image>", "{{ p.text }}", "renders 2 marks <image> for 1 images"},
		{"", "{{ p.text }}", "renders 0 marks <image> for 1 images"},
	} {
		r := reader(t, map[string]string{"chat_template.jinja": strings.NewReplacer("IMAGE", tc.image, "TEXT", tc.text).Replace(parts)})
		if _, err := r.Chat("Who?", 1); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "write the prompt in full") {
			t.Errorf("%s %s: %v, want %s", tc.image, tc.text, err, tc.want)
		}
	}
}

// The template is read once: what becomes of its file afterwards, while a model
// answers, changes no prompt.
func TestTemplateIsReadOnce(t *testing.T) {
	r := reader(t, map[string]string{"chat_template.jinja": "{% for m in messages %}[{{ m.content }}]{% endfor %}"})
	path := filepath.Join(r.dir, "chat_template.jinja")
	for _, text := range []string{"first", "second"} {
		if got, err := r.Chat(text, 0); err != nil || got != "["+text+"]" {
			t.Errorf("%q, %v", got, err)
		}
		if err := os.WriteFile(path, []byte("{% broken"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if turn, err := r.Turn("third", 0); err != nil || turn.Prompt != "[third]" {
		t.Errorf("%q, %v", turn.Prompt, err)
	}
}
