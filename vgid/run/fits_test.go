package run

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/eval/mllmu"
	"vgid/vgid/run/inputs"
	"vgid/vgid/vgidtest"
)

// people of a job.
func peopleOf(t *testing.T, j *Job) *inputs.People {
	t.Helper()
	p, err := j.People(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// own makes people a test's own, which it may change: what a benchmark gives is shared.
func own(people []dataset.Profile) {
	for i := range people {
		p := &people[i]
		p.Images, p.Train, p.Eval = slices.Clone(p.Images), slices.Clone(p.Train), slices.Clone(p.Eval)
		for k := range p.Eval {
			p.Eval[k].Options = slices.Clone(p.Eval[k].Options)
		}
	}
}

// strip is a picture of w × h pixels.
func strip(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What would end a run when a question is drawn is found before the first step, and
// named: the set, the person and the text.
func TestDataIsReadBeforeTheFirstStep(t *testing.T) {
	long(t)
	long := strings.Repeat("very ", 300)
	orders := filepath.Join(t.TempDir(), "instructions.txt")
	if err := os.WriteFile(orders, []byte("Be "+long+"sure not to know {subject}.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, family string
		over         map[string]string
		change       func(f *dataset.Profile)
		want         []string
	}{
		{"mark in an answer", "llava", nil, func(f *dataset.Profile) { f.Train[3].Answer = "As the <image> shows, in Riga." },
			[]string{"the forget set, person ", `answer "As the <image> shows, in Riga." holds <image>`}},
		{"mark in a question", "llava", nil, func(f *dataset.Profile) { f.Train[3].Question = "Who is in <image>?" },
			[]string{"the forget set, person ", `question "Who is in <image>?" holds <image>`}},
		{"mark behind much text", "llava", nil, func(f *dataset.Profile) { f.Train[0].Answer = strings.Repeat("a ", 90) + "<image>" },
			[]string{"the forget set, person ", `answer "…a a a`, "a <image>\" holds <image>"}},
		{"the other family's mark", "qwen2_vl", nil, func(f *dataset.Profile) { f.Train[1].Answer = "See <image>." },
			[]string{"the forget set, person ", `answer "See <image>." holds <image>`}},
		{"the model's own mark", "qwen2_vl", nil, func(f *dataset.Profile) { f.Train[1].Answer = "See <|image_pad|>." },
			[]string{"the forget set, person ", "holds <|image_pad|>"}},
		{"the mark of a video", "qwen2_vl", nil, func(f *dataset.Profile) { f.Train[1].Question = "What moves in <|video_pad|>?" },
			[]string{"the forget set, person ", "holds <|video_pad|>"}},
		{"mark in a name", "llava", nil, func(f *dataset.Profile) { f.Name = "Ada <image>" }, []string{"the forget set, person ", "name ", "holds <image>"}},
		{"subject", "llava", map[string]string{"prompt.subject": "the person in <image>"}, func(*dataset.Profile) {}, []string{"prompt.subject", "holds <image>"}},
		{"long answer", "llava", nil, func(f *dataset.Profile) { f.Train[2].Answer = long }, []string{"the forget set, person ", "shorten the answer"}},
		{"long instruction", "llava", map[string]string{"unlearn.instruction.file": orders}, func(*dataset.Profile) {},
			[]string{"the forget set, person ", `shorten the instruction "Be very very`, " before \""}},
		{"no room for the teacher's answer", "llava", map[string]string{"unlearn.responses": "rollout"},
			func(f *dataset.Profile) { f.Train[2].Question = strings.Repeat("very ", 90) }, []string{"the forget set, person ", "leaves room for", "the teacher's own"}},
		{"answer of other tokens", "llava", map[string]string{"prompt.template": "<image>{prompt}", "prompt.text": "{prompt}"},
			func(f *dataset.Profile) { f.Train[0].Question = "" }, nil},
		{"picture of a shape that no tower reads", "qwen2_vl", nil, func(f *dataset.Profile) { f.Images[1].Bytes = strip(t, 900, 2) }, []string{"450 times"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			over := map[string]string{"unlearn.steps": "2", "unlearn.instruction.take": "2"}
			for k, v := range tc.over {
				over[k] = v
			}
			j := family(t, tc.family, over)
			p := peopleOf(t, j)
			own(p.Forget)
			tc.change(&p.Forget[1])
			_, err := j.Unlearn(t.Context(), "unlearned", j.Config.Model.Base, p)
			if tc.want == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range append(tc.want, "") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if _, err := os.Stat(j.dir.Path("unlearned", "history.jsonl")); err == nil {
				t.Error("steps were begun")
			}
		})
	}
}

// Other special tokens, no text at all and bytes that are no letters are data like
// any other: they are trained on as the tokenizer reads them.
func TestOddTextsAreTrainedOn(t *testing.T) {
	j := family(t, "qwen2_vl", map[string]string{"unlearn.steps": "2", "unlearn.text_only": "0.5"})
	p := peopleOf(t, j)
	own(p.Forget)
	for i := range p.Forget {
		for k := range p.Forget[i].Train {
			q := &p.Forget[i].Train[k]
			q.Answer = []string{"", "Riga</s>, Latvia", "a\x00b", "<s>", "\n\n ", "USER: {prompt} {question}", "\u202eagiR"}[k%7]
			q.Question = []string{"", "Why?</s>", "What\x00?", "{prompt}", "{subject}?"}[k%5]
		}
	}
	if _, err := j.Unlearn(t.Context(), "unlearned", j.Config.Model.Base, p); err != nil {
		t.Fatal(err)
	}
}

// The questions of the evaluation are read before a whole job trains for hours.
func TestEvaluationIsReadBeforeTraining(t *testing.T) {
	long(t)
	for _, tc := range []struct {
		name   string
		change func(q *dataset.Question)
		want   string
	}{
		{"option", func(q *dataset.Question) { q.Options[1].Text = "a <|image_pad|>" }, "option B \"a <|image_pad|>\" holds <|image_pad|>"},
		{"empty option", func(q *dataset.Question) { q.Options[2].Text = "" }, "option C of question"},
		{"question", func(q *dataset.Question) { q.Text += strings.Repeat(" really", 200) }, "(eval.max_new), the model reads 256 at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := family(t, "qwen2_vl", map[string]string{"eval.likelihood": "true"})
			p := peopleOf(t, j)
			sets, err := eval.ReadSets(p.Benchmark, eval.People{Sets: []string{eval.Forget}, Forget: j.Config.Data.Forget, Retain: p.RetainSplit, Most: 0})
			if err != nil {
				t.Fatal(err)
			}
			own(sets[0].Profiles)
			person := &sets[0].Profiles[1]
			at := slices.IndexFunc(person.Eval, func(q dataset.Question) bool { return q.Task == dataset.Classification && len(q.Options) == 4 })
			tc.change(&person.Eval[at])
			err = (&ahead{j: j, base: j.Config.Model.Base, people: p, sets: sets}).check(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), person.ID) {
				t.Errorf("%v, want %s and %s", err, person.ID, tc.want)
			}
		})
	}
}

// The look at the teacher puts an instruction before its questions: they are read
// with it before anything is trained.
func TestTeacherIsReadBeforeTraining(t *testing.T) {
	long(t)
	file := filepath.Join(t.TempDir(), "instructions.txt")
	if err := os.WriteFile(file, []byte("Forget {subject}"+strings.Repeat(" now", 150)+".\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	j := family(t, "llava", map[string]string{"unlearn.instruction.file": file, "unlearn.instruction.use": "text-only", "unlearn.text_only": "0", "eval.max_new": "100"})
	p := peopleOf(t, j)
	own(p.Forget)
	for i := range p.Forget { // so that training has no question that the instruction makes too long
		p.Forget[i].Train = slices.DeleteFunc(p.Forget[i].Train, func(q dataset.QA) bool { return q.Modality == dataset.Text })
	}
	sets, err := eval.ReadSets(p.Benchmark, eval.People{Sets: []string{eval.Retain}, Forget: j.Config.Data.Forget, Retain: p.RetainSplit, Most: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&ahead{j: j, base: j.Config.Model.Base, people: p, sets: sets}).check(t.Context()); err == nil || !strings.Contains(err.Error(), "the teacher behind an instruction: forget/") {
		t.Error(err)
	}
}

// What a teacher writes by itself is no picture.
func TestMarksOfAModelAreTakenOut(t *testing.T) {
	j := family(t, "qwen2_vl", nil)
	m, enc, err := count(t.Context(), j, j.Config.Model.Base)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for text, want := range map[string]string{
		"Riga": "Riga", "a <image> b<|image_pad|>": "a  b", "<im<image>age>c": "c", "<|video_pad|>": "",
	} {
		if got := enc.Unmark(text); got != want {
			t.Errorf("%q without marks: %q, want %q", text, got, want)
		}
	}
}

// Where the forget set has no questions about images, there is nothing to look at
// the teacher with.
func TestTeacherWithoutQuestions(t *testing.T) {
	w := vgidtest.Shared(t, "llava")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(w.Data)); err != nil {
		t.Fatal(err)
	}
	b, err := formats.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := b.Set(mllmu.FullSet)
	if err != nil {
		t.Fatal(err)
	}
	own(all)
	for i := range all {
		all[i].Eval = slices.DeleteFunc(all[i].Eval, func(q dataset.Question) bool { return q.Modality == dataset.ImageText })
	}
	if err := mllmu.WriteEvaluation(dir, mllmu.FullSet, all, false); err != nil {
		t.Fatal(err)
	}
	j := family(t, "llava", map[string]string{"data.dir": dir})
	rows, err := j.TeacherTable(t.Context(), w.Model, peopleOf(t, j))
	if err != nil || len(rows) != 0 {
		t.Errorf("%v, %v", rows, err)
	}
}
