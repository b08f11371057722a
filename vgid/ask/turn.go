package ask

import (
	"fmt"
	"slices"
	"strings"

	"vgid/eval/prompts"
	"vgid/model/hf/tokenizer"
)

// Turn is one question and its answer as the chat template of a model's folder
// writes them.
// Prompt + Lead + Said(answer) + the token End is what the model is to have read and
// written; End is -1 where nothing says how answers end.
type Turn struct {
	Prompt string // up to where the model goes on
	Lead   string // between the prompt and the answer
	End    int32  // the token that ends the answer
	asked  edges  // white space that the template takes off a question
	said   edges  // and off an answer
}

// Asked is a question as the template writes it: many take white space off its
// ends.
func (t Turn) Asked(question string) string { return t.asked.trim(question) }

// Said is an answer as the template writes it.
func (t Turn) Said(answer string) string { return t.said.trim(answer) }

// edges are the characters that a template takes off the beginning and the end
// of a text.
type edges struct{ left, right string }

func (e edges) trim(s string) string { return strings.TrimRight(strings.TrimLeft(s, e.left), e.right) }

// probe finds the edges of a text by rendering it bare and between each kind of
// white space. render gives false where it cannot.
func probe(text string, render func(string) (string, bool)) (e edges) {
	bare, ok := render(text)
	before, after, found := strings.Cut(bare, text)
	if !ok || !found {
		return e
	}
	for _, c := range []string{" ", "\t", "\n", "\r"} {
		out, ok := render(c + text + c)
		left, right, found := strings.Cut(out, text)
		if !ok || !found {
			continue
		}
		if left == before {
			e.left += c
		}
		if right == after {
			e.right += c
		}
	}
	return e
}

// Chat renders one message of a user, its images before its text, by the chat
// template of the model's folder, up to where the answer begins. A template
// that knows no parts of a message gets the text as it is, if there are no images.
// A template that drops or changes the text, or writes another number of images, is an
// error: the model would be asked something else.
func (r *Reader) Chat(text string, images int) (string, error) {
	t, err := r.template()
	if err != nil {
		return "", err
	}
	out, _, err := r.chat(t, text, images)
	return out, err
}

// Turn is Chat with what the template puts around an answer: a conversation that
// is trained on is rendered as a whole, so that is what the model is to write.
func (r *Reader) Turn(text string, images int) (Turn, error) {
	t, err := r.template()
	if err != nil {
		return Turn{}, err
	}
	prompt, parts, err := r.chat(t, text, images)
	if err != nil {
		return Turn{}, err
	}
	out := Turn{Prompt: prompt, Lead: prompts.Lead(prompt)}
	var ok bool
	if out.End, ok = r.tok.EOS(); !ok {
		out.End = -1
	}
	out.asked = probe("A question?", func(text string) (string, bool) {
		s, err := t.Render([]tokenizer.Message{r.message(text, images, parts)}, true)
		return s, err == nil
	})
	// Some templates write finished answers another way than they ask for one, or
	// take no answers at all. Then what stands between is as without a template.
	m := r.message(text, images, parts)
	finished := func(answer string) (rest string, ok bool) {
		said := tokenizer.Message{Role: "assistant", Text: answer}
		if parts {
			said = tokenizer.Message{Role: "assistant", Parts: []tokenizer.Part{{Type: "text", Text: answer}}}
		}
		whole, err := t.Render([]tokenizer.Message{m, said}, false)
		if err != nil {
			return "", false
		}
		return strings.CutPrefix(r.withoutBOS(whole), prompt)
	}
	const answer = "An answer."
	rest, ok := finished(answer)
	lead, tail, found := strings.Cut(rest, answer)
	if !ok || !found {
		return out, nil
	}
	out.Lead, out.said = lead, probe(answer, finished)
	if ids := r.tok.Encode(strings.TrimLeft(tail, " \n"), false); len(ids) > 0 && slices.Contains(r.ends, ids[0]) {
		out.End = ids[0]
	}
	return out, nil
}

// message is a user's, as a list of parts or as text alone.
func (r *Reader) message(text string, images int, parts bool) tokenizer.Message {
	m := tokenizer.Message{Role: "user"}
	if !parts {
		m.Text = text
		return m
	}
	for range images {
		m.Parts = append(m.Parts, tokenizer.Part{Type: "image"})
	}
	m.Parts = append(m.Parts, tokenizer.Part{Type: "text", Text: text})
	return m
}

// chat renders a user's message and tells whether the template took its parts.
// The beginning of the text is checked without white space, which templates may take off.
func (r *Reader) chat(t *tokenizer.ChatTemplate, text string, images int) (out string, parts bool, err error) {
	out, err = t.Render([]tokenizer.Message{r.message(text, images, true)}, true)
	// One that joins strings fails on a list, or prints it as Python would.
	const printed = "'type': 'text'"
	joins := err != nil || strings.Contains(out, printed) && !strings.Contains(text, printed)
	switch {
	case joins && images == 0:
		out, err = t.Render([]tokenizer.Message{r.message(text, 0, false)}, true)
	case joins && err == nil:
		err = fmt.Errorf("%s: the chat template knows no images: write the prompt in full, without it", r.dir)
	}
	if err != nil {
		return "", false, err
	}
	out = r.withoutBOS(out)
	const instead = "write the prompt in full, without it"
	if !strings.Contains(out, strings.TrimSpace(text)) {
		return "", false, fmt.Errorf("%s: the chat template does not write the message %q as it is, but %q: %s", r.dir, Clip(text), Clip(out), instead)
	}
	if n := strings.Count(out, r.mark); n != images {
		return "", false, fmt.Errorf("%s: the chat template renders %d marks %s for %d images: %q: %s", r.dir, n, r.mark, images, Clip(out), instead)
	}
	return out, !joins, nil
}

// withoutBOS takes off the first token where a template writes it itself: the
// tokenizer adds it too.
func (r *Reader) withoutBOS(text string) string {
	if bos, ok := r.tok.BOS(); ok {
		if ids := r.tok.Encode("", true); len(ids) > 0 && ids[0] == bos {
			return strings.TrimPrefix(text, r.tok.Token(bos))
		}
	}
	return text
}
