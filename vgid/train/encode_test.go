package train

import (
	"slices"
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/model/hf/imaging"
	"vgid/vgid/vgidtest"
)

func view(first int, ids ...int32) View {
	v := View{First: first}
	v.Seq.IDs = ids
	return v
}

// 9 is the image; 1 begins; 5 6 is the instruction; 2 3 the question; 7 the
// mark of the answer's turn; 4 8 the answer.
func TestAlignment(t *testing.T) {
	student := view(5, 1, 9, 9, 2, 3, 7, 4, 8)
	teacher := view(7, 1, 9, 9, 5, 6, 2, 3, 7, 4, 8)
	text := view(3, 1, 2, 3, 7, 4, 8)
	textTeacher := view(5, 1, 5, 6, 2, 3, 7, 4, 8)
	for _, tc := range []struct {
		name, mask       string
		teacher, student View
		t, s             []int32
	}{
		{"answer", "answer", teacher, student, []int32{7, 8, 9}, []int32{5, 6, 7}},
		{"text", "text", teacher, student, []int32{5, 6, 7, 8, 9}, []int32{3, 4, 5, 6, 7}},
		{"all", "all", teacher, student, []int32{0, 1, 2, 5, 6, 7, 8, 9}, []int32{0, 1, 2, 3, 4, 5, 6, 7}},
		{"all without an instruction", "all", student, student, []int32{0, 1, 2, 3, 4, 5, 6, 7}, []int32{0, 1, 2, 3, 4, 5, 6, 7}},
		{"text without an instruction", "text", student, student, []int32{3, 4, 5, 6, 7}, []int32{3, 4, 5, 6, 7}},
		{"no image", "text", textTeacher, text, []int32{3, 4, 5, 6, 7}, []int32{1, 2, 3, 4, 5}},
		{"no image, answer", "answer", textTeacher, text, []int32{5, 6, 7}, []int32{3, 4, 5}},
	} {
		gt, gs := aligned(tc.mask, tc.teacher, tc.student, 9)
		if !slices.Equal(gt, tc.t) || !slices.Equal(gs, tc.s) {
			t.Errorf("%s: teacher %v student %v, want %v %v", tc.name, gt, gs, tc.t, tc.s)
		}
	}
}

func TestEncode(t *testing.T) {
	c := vgidtest.Small(t, nil)
	m, enc := opened(t, c)
	s := Sample{Question: "Where was this person born?", Answer: "Riga", Subject: "Ada Ivanov"}
	plain, err := enc.Encode(s, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	told, err := enc.Encode(s, "Forget {subject}.", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := enc.Tokenizer().Decode(told.Seq.IDs[:told.First+1], true); !strings.Contains(got, "Forget Ada Ivanov. Where was this person born?") {
		t.Errorf("the instruction is not before the question: %q", got)
	}
	if !slices.Equal(plain.Next, told.Next) || plain.Next[len(plain.Next)-1] != enc.end {
		t.Errorf("responses %v and %v, want the same, ending in %d", plain.Next, told.Next, enc.end)
	}
	if got := enc.Decode(plain.Next); got != "Riga" {
		t.Errorf("response %q", got)
	}
	// A template that says the question twice.
	twice := *enc
	twice.prompt.Text = "Q: {prompt}\nAgain: {prompt}\nA:"
	if got, want := twice.Wrap("Who is {prompt}?", false), "Q: Who is {prompt}?\nAgain: Who is {prompt}?\nA:"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// The last token is predicted, never fed.
	if plain.Rows() != plain.First+len(plain.Next) {
		t.Errorf("%d rows for a prompt of %d and a response of %d", plain.Rows(), plain.First+1, len(plain.Next))
	}

	b := c.Prompt
	if n := strings.Count(enc.Wrap("x", true), "<image>"); n != 1 || strings.Contains(b.Text, "<image>") {
		t.Errorf("the wrapped prompt has %d images", n)
	}
	ids, err := enc.Tokens(enc.Wrap("x", true), []imaging.Image{{}})
	if err != nil {
		t.Fatal(err)
	}
	images := 0
	for _, id := range ids {
		if id == enc.ImageID() {
			images++
		}
	}
	if want := m.Config.ImageTokens(imaging.Grid{}); images != want {
		t.Errorf("%d image tokens, want %d", images, want)
	}
	if _, err := m.Pack(sequences([]View{plain, told})); err != nil {
		t.Error(err)
	}

	s.Answer = strings.Repeat("a very long answer ", 100)
	if _, err := enc.Encode(s, "", nil); err == nil || !strings.Contains(err.Error(), "max_position_embeddings") {
		t.Errorf("an answer longer than the context: %v", err)
	}
}

func TestEncoderKeepsALimit(t *testing.T) {
	e := &Encoder{images: map[*dataset.Image]imaging.Image{}}
	files := make([]dataset.Image, 5)
	for i := range files {
		e.keep(&files[i], imaging.Image{Pixels: make([]float32, 10)}, 25)
	}
	e.keep(&files[0], imaging.Image{Pixels: make([]float32, 40)}, 25) // larger than all that may be kept: alone
	if _, ok := e.images[&files[0]]; !ok || len(e.images) != 1 || e.held != 40 || len(e.order) != 1 {
		t.Errorf("%d images of %d values are kept in %d places; want the newest alone", len(e.images), e.held, len(e.order))
	}
}
