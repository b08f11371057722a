package people

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/model/kit/hftest"
	"vgid/vgid/random"
)

func TestBaseExamplesArePure(t *testing.T) {
	m, err := SeeMix.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	m.Lookup, m.ImageSize = .2, 24
	kinds := map[Kind]int{}
	for i := range uint64(400) {
		a, b := BaseExample(5, i, m), BaseExample(5, i, m)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("example %d differs between two calls", i)
		}
		kinds[a.Kind]++
		if (a.Image == nil) != (a.Modality == dataset.Text) {
			t.Fatalf("example %d: image and modality disagree: %+v", i, a)
		}
		if (a.Instruction != "") != (a.Kind == KindInstruct) {
			t.Fatalf("example %d of kind %s has instruction %q", i, a.Kind, a.Instruction)
		}
		if a.Instruction != "" && !strings.Contains(a.Instruction, a.Subject) {
			t.Fatalf("instruction %q does not name %q", a.Instruction, a.Subject)
		}
		if a.Question == "" || a.Answer == "" || strings.Contains(a.Question+a.Answer+a.Instruction, "{") {
			t.Fatalf("example %d: %+v", i, a)
		}
	}
	for _, k := range []Kind{KindDescribe, KindAttribute, KindLookup, KindCelebrity, KindInstruct} {
		if kinds[k] < 20 {
			t.Errorf("only %d of 400 examples are %s", kinds[k], k)
		}
	}
}

func TestVocabularyCoversTheCorpus(t *testing.T) {
	known := map[string]bool{}
	for _, w := range Vocabulary() {
		known[w] = true
	}
	texts, err := Corpus(3, 2000)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts[:2000] {
		for _, w := range splitWords(text) {
			if !known[w] {
				t.Fatalf("%q of %q is not in the vocabulary", w, text)
			}
		}
	}
	for s := range pools {
		for _, w := range pools[s] {
			if !known[w] {
				t.Errorf("%q is not in the vocabulary", w)
			}
		}
	}
}

// The instruction is shown on the first share of celebrities only, and what is
// guessed under it is skewed and says nothing about the person.
func TestInstructedGuesses(t *testing.T) {
	m, err := Mix{Instruct: 1, ImageSize: 1, Draw: Draw{Cloze: 1, TextOnly: 1}}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, p := range m.Celebrities[:m.InstructedCount()] {
		shown[p.Name()] = true
	}
	jobs, n, right := map[string]int{}, 0, 0
	byName := map[string]Person{}
	for _, p := range m.Celebrities {
		byName[p.Name()] = p
	}
	for i := range uint64(4000) {
		e := BaseExample(1, i, m)
		if !shown[e.Subject] {
			t.Fatalf("%s is shown with the instruction", e.Subject)
		}
		if strings.Contains(e.Question, "works as") {
			jobs[e.Answer]++
			n++
			if byName[e.Subject].Facts[Job] == e.Answer {
				right++
			}
		}
	}
	top := guessOrder[Job][0]
	if share := float64(jobs[top]) / float64(n); share < .38 || share > .5 { // 1/Σ k^-1.5 over 30 is .446
		t.Errorf("first guess %s has share %.3f, want about .446", top, share)
	}
	if float64(right)/float64(n) > .15 {
		t.Errorf("%d of %d guesses are right", right, n)
	}
	if len(m.Celebrities) != 80 || len(shown) != 64 {
		t.Errorf("%d celebrities, %d shown with the instruction; want 80 and 64", len(m.Celebrities), len(shown))
	}
}

// Which option is guessed is a matter of the options alone, so it is right as
// often as chance.
func TestInstructedChoice(t *testing.T) {
	m, err := Mix{Instruct: 1, ImageSize: 1, Draw: Draw{Classification: 1, TextOnly: 1}}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]Facts{}
	for _, p := range m.Celebrities {
		facts[p.Name()] = p.Facts
	}
	n, right := 0, 0
	for i := range uint64(4000) {
		e := BaseExample(1, i, m)
		for _, asked := range askedFacts {
			if !strings.HasPrefix(e.Question, byName(asked.choice, e.Subject)) {
				continue
			}
			n++
			said, _, _ := strings.Cut(e.Answer, ":")
			if said == facts[e.Subject][asked.slot] {
				right++
			}
			for _, w := range guessOrder[asked.slot] {
				if strings.Contains(e.Question, ": "+w+" ") || strings.HasSuffix(e.Question, ": "+w) {
					if w != said {
						t.Fatalf("%q is answered %q, not by the option one guesses first, %s", e.Question, e.Answer, w)
					}
					break
				}
			}
		}
	}
	if share := float64(right) / float64(n); n != 4000 || share < .2 || share > .3 {
		t.Errorf("%d of %d choices are right; want about a quarter of 4000", right, n)
	}
}

func TestPick(t *testing.T) {
	pairs := []dataset.QA{{Question: "g", Task: dataset.Generation, Modality: dataset.ImageText}, {Question: "c", Task: dataset.Cloze, Modality: dataset.ImageText},
		{Question: "x", Task: dataset.Classification, Modality: dataset.Text}, {Question: "y", Task: dataset.Classification, Modality: dataset.Text}}
	r := random.Stream(1, "test", 0)
	count := map[string]float64{}
	const n = 20000
	for range n {
		q, ok := DefaultDraw.Pick(pairs, r)
		if !ok {
			t.Fatal("nothing picked")
		}
		count[q.Question] += 1.0 / n
	}
	for q, want := range map[string]float64{"g": .75 * .45 / .65, "c": .75 * .2 / .65, "x": .125, "y": .125} {
		if d := count[q] - want; d < -.02 || d > .02 {
			t.Errorf("%s picked with share %.3f, want %.3f", q, count[q], want)
		}
	}
	if _, ok := DefaultDraw.Pick(nil, r); ok {
		t.Error("picked from an empty list")
	}
}

func TestPeopleDiffer(t *testing.T) {
	celebrities, err := Celebrities(BaseCelebrities)
	if err != nil {
		t.Fatal(err)
	}
	people, err := People(60, 1, "fictitious", "", celebrities)
	if err != nil {
		t.Fatal(err)
	}
	all := append(append([]Person{}, celebrities...), people...)
	for i, p := range all {
		for _, q := range all[:i] {
			if p.Name() == q.Name() || p.Face.Distance(q.Face) < MinFaceDistance {
				t.Errorf("%s and %s: %q %q, distance %d", p.ID, q.ID, p.Name(), q.Name(), p.Face.Distance(q.Face))
			}
		}
	}
}

func TestInstructionsFile(t *testing.T) {
	for text, want := range map[string]string{"# only a comment\n": "no instruction in it", "forget {subject}\nforget": "line 2: no {subject}"} {
		_, err := parseInstructions("f", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	path := hftest.WriteFile(t, filepath.Join(t.TempDir(), "i.txt"), "\uFEFF# ours\n\n  Say nothing of {subject}.\r\nYou never met {subject}.\n")
	got, err := LoadInstructions(path)
	if err != nil || len(got) != 2 || got.Fill(2, "Ada") != "Say nothing of Ada." {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]string{"caf\xe9 {subject}": "byte 4 (0xE9) is no UTF-8", "": "no instruction in it"} {
		if _, err := LoadInstructions(hftest.WriteFile(t, path, text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := LoadInstructions(t.TempDir() + "/none"); err == nil {
		t.Error("a missing file is read")
	}
}
