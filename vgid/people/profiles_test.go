package people

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/model/kit/hftest"
)

// profileLine is one line of a synthetic profiles file.
func profileLine(id, name, born, job string) string {
	return fmt.Sprintf(`{"ID":%q,"metadata":[{"Question":"What is the name of this person?","Answer":"The person's name is %s."},`+
		`{"Question":"Where was this person born?","Answer":"This person was born in %s."},`+
		`{"Question":"What is this person's profession in the image?","Answer":"This person is a %s who works in a team."}]}`, id, name, born, job) + "\n"
}

func fourProfiles() string {
	return profileLine("1", "Ada Quill", "Riga, Latvia", "baker") + profileLine("2", "Bo Lind", "Oslo, Norway", "pilot") +
		profileLine("3", "Cy Marr", "Lima, Peru", "miner") + profileLine("4", "Di Noor", "Porto, Portugal", "nurse")
}

func TestBuildFromProfiles(t *testing.T) {
	dir := t.TempDir()
	profiles := hftest.WriteFile(t, filepath.Join(dir, "p.jsonl"), fourProfiles())
	splits := hftest.WriteFile(t, filepath.Join(dir, "s.json"), `{"forget_25":["2"],"retain_75":["4","1","3"]}`)
	cfg := BuildConfig{Out: filepath.Join(dir, "out"), Profiles: profiles, Splits: splits, Celebrities: 2, ImageSize: 16}
	sum, err := Build(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := formats.Open(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	forget, err := b.Evaluation("forget_25")
	if err != nil {
		t.Fatal(err)
	}
	if len(forget) != 1 || forget[0].Name != "Bo Lind" || sum.Derived.Kinds["Born"] != 4 || len(forget[0].Eval) == 0 {
		t.Fatalf("%+v %+v", forget, sum.Derived)
	}
	train, err := b.Training("forget_25")
	if err != nil {
		t.Fatal(err)
	}
	if len(train[0].Train) != 3 || train[0].Train[2].Answer != "This person is a pilot who works in a team." {
		t.Fatalf("pairs changed: %+v", train[0].Train)
	}
	var asked bool
	for _, q := range forget[0].Eval {
		checkDerived(t, train[0], q)
		asked = asked || q.Text == "What is Bo Lind's profession?" && q.Task == dataset.Classification && q.Answer == "pilot"
	}
	if !asked {
		t.Errorf("no text-only profession question in %+v", forget[0].Eval)
	}
}

// A question has one answer and does not tell it: no wrong option stands in
// the answer as well, and no blank's word in the rest of the sentence.
func TestDerivedQuestionsHaveOneAnswer(t *testing.T) {
	profile := func(id, father, dish string) dataset.Profile {
		return dataset.Profile{ID: id, Name: "Ada Quill", Train: []dataset.QA{
			{Question: "What is the occupation of this person's father?", Answer: "This person's father is " + father + "."},
			{Question: "What is this person's favorite cuisine?", Answer: "This person's favorite cuisine is " + dish + "."},
		}}
	}
	profiles := []dataset.Profile{
		profile("1", "an electrical engineer who works as a senior engineer", "Thai, especially Pad Thai"),
		profile("2", "a senior engineer", "Indian"), profile("3", "a baker", "Greek"), profile("4", "a pilot", "Danish"),
		profile("5", "a miner", "Turkish"), profile("6", "a farmer", "Basque"),
	}
	choices := 0
	for seed := range uint64(20) {
		for _, q := range newDeriver(seed, profiles).questions(profiles[0]) {
			switch q.Task {
			case dataset.Cloze:
				if strings.Contains(q.Text, q.Answer) {
					t.Errorf("%q tells its answer %q", q.Text, q.Answer)
				}
			case dataset.Classification:
				choices++
				for _, o := range q.Options {
					if o.Text == "senior engineer" {
						t.Errorf("two right options in %v", q.Options)
					}
				}
			}
		}
	}
	if choices != 20*4 {
		t.Errorf("%d choices instead of four a seed", choices)
	}
}

// Some editors put a byte order mark in front of a text.
func TestByteOrderMark(t *testing.T) {
	dir := t.TempDir()
	profiles, err := ReadProfiles(hftest.WriteFile(t, filepath.Join(dir, "p.jsonl"), "\uFEFF"+strings.ReplaceAll(fourProfiles(), "\n", "\r\n")))
	if err != nil || len(profiles) != 4 || profiles[0].ID != "1" {
		t.Fatalf("%v: %+v", err, profiles)
	}
	splits, err := readSplits(hftest.WriteFile(t, filepath.Join(dir, "s.json"), "\uFEFF{\"forget_25\":[\"2\"]}"), profiles)
	if err != nil || len(splits) != 1 || !splits[0].ids["2"] {
		t.Errorf("%v: %+v", err, splits)
	}
}

// marked is a line of a profile with one pair.
func marked(question, answer string) string {
	return fmt.Sprintf(`{"ID":"9","metadata":[{"Question":%q,"Answer":%q}]}`+"\n", question, answer)
}

func TestBadBuilds(t *testing.T) {
	dir := t.TempDir()
	p := hftest.WriteFile(t, filepath.Join(dir, "p.jsonl"), fourProfiles())
	s := func(text string) string {
		return hftest.WriteFile(t, filepath.Join(t.TempDir(), "s.json"), text)
	}
	for name, c := range map[string]struct {
		cfg  BuildConfig
		want string
	}{
		"no out":         {BuildConfig{}, "no output folder"},
		"empty forget":   {BuildConfig{Out: dir, People: 4, ForgetPercents: []int{1}}, "leaves 0 to forget"},
		"forget all":     {BuildConfig{Out: dir, People: 4, ForgetPercents: []int{99}}, "both sides need"},
		"half":           {BuildConfig{Out: dir, Profiles: p}, "go together"},
		"empty split":    {BuildConfig{Out: dir, Profiles: p, Splits: s(`{"forget_5":[]}`)}, "forget_5 is empty"},
		"unknown ID":     {BuildConfig{Out: dir, Profiles: p, Splits: s(`{"forget_5":["9"]}`)}, `ID "9" is not in the profiles`},
		"overlap":        {BuildConfig{Out: dir, Profiles: p, Splits: s(`{"forget_5":["1"],"retain_95":["1"]}`)}, "both in forget_5 and in retain_95"},
		"duplicate line": {BuildConfig{Out: dir, Profiles: hftest.WriteFile(t, filepath.Join(dir, "d"), fourProfiles()+fourProfiles()), Splits: s(`{"a":["1"]}`)}, "line 5: ID 1 was used on line 1"},
		"Windows-1252":   {BuildConfig{Out: dir, Profiles: hftest.WriteFile(t, filepath.Join(dir, "w"), fourProfiles()+strings.ReplaceAll(profileLine("5", "Ed Kohn", "Koln, Germany", "smith"), "ol", "\xf6l")), Splits: s(`{"a":["1"]}`)}, "line 5: byte 189 (0xF6) is no UTF-8"},
		"UTF-16":         {BuildConfig{Out: dir, Profiles: hftest.WriteFile(t, filepath.Join(dir, "u"), "\xff\xfe{\x00"), Splits: s(`{"a":["1"]}`)}, "line 1: this is UTF-16; save the file as UTF-8"},
		"half a letter":  {BuildConfig{Out: dir, Profiles: hftest.WriteFile(t, filepath.Join(dir, "h"), marked("Where?", "Here.")), Splits: s(`{"\ud83d":["9"]}`)}, `half a character`},
		"bad line":       {BuildConfig{Out: dir, Profiles: hftest.WriteFile(t, filepath.Join(dir, "b"), "{"), Splits: s(`{"a":["1"]}`)}, "line 1:"},
		"mark":           {BuildConfig{Out: dir, Profiles: hftest.WriteFile(t, filepath.Join(dir, "m"), fourProfiles()+marked("Where?", "Left of <|image_pad|>.")), Splits: s(`{"a":["1"]}`)}, `line 5: ID 9: Answer "Left of <|image_pad|>." holds <|image_pad|>`},
		"asked mark":     {BuildConfig{Out: dir, Profiles: hftest.WriteFile(t, filepath.Join(dir, "q"), marked("Who is <image>?", "Ada.")), Splits: s(`{"a":["9"]}`)}, `line 1: ID 9: Question "Who is <image>?" holds <image>`},
		"too many":       {BuildConfig{Out: dir, People: 5000}, "ask for fewer"},
		"style":          {BuildConfig{Out: dir, AnswerStyle: "x"}, `answer style "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Build(context.Background(), c.cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestBuildsThatCannotBe(t *testing.T) {
	for want, edit := range map[string]func(*BuildConfig){
		"image size 8, want 16 to 2048":         func(c *BuildConfig) { c.ImageSize = 8 },
		"views -1, test views 1":                func(c *BuildConfig) { c.Views = -1 },
		"1 people; want at least 2":             func(c *BuildConfig) { c.People = 1 },
		"leave them out with given profiles":    func(c *BuildConfig) { c.Profiles, c.Splits = "p", "s" },
		"profiles and splits go together":       func(c *BuildConfig) { c.Splits = "s" },
		"forget percent 0 of 4 people leaves 0": func(c *BuildConfig) { c.ForgetPercents = []int{0} },
		"celebrities -3, workers":               func(c *BuildConfig) { c.Celebrities = -3 },
		"no such file or directory":             func(c *BuildConfig) { c.Profiles, c.Splits, c.People, c.ForgetPercents = "none", "none", 0, nil },
	} {
		c := BuildConfig{Out: t.TempDir(), People: 4, ForgetPercents: []int{25}, ImageSize: 16}
		edit(&c)
		if _, err := Build(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "data build: ") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Heights and salaries are offered in one form, or the odd one out would be the
// answer.
func TestOptionsOfOneForm(t *testing.T) {
	height := func(id, answer string) dataset.Profile {
		return dataset.Profile{ID: id, Name: "Ada Quill", Train: []dataset.QA{{Question: "How tall is this person?", Answer: "This person is " + answer + " tall."}}}
	}
	profiles := []dataset.Profile{height("1", "180 cm"), height("2", "6 feet"), height("3", "171 cm"), height("4", "165 cm"), height("5", "5 feet"), height("6", "190 cm")}
	for _, q := range newDeriver(1, profiles).questions(profiles[0]) {
		if q.Task != dataset.Classification {
			continue
		}
		for _, o := range q.Options {
			if !strings.HasSuffix(o.Text, " cm") {
				t.Errorf("%q among %v", o.Text, q.Options)
			}
		}
		return
	}
	t.Error("no choice was derived")
}

func FuzzFindFact(f *testing.F) {
	f.Add("Where was this person born?", "This person was born in Riga, who lives there.")
	f.Add("What is this person's job?", "She is a baker; ")
	f.Add("Where was she born?", "She was born in  Riga.")
	f.Fuzz(func(t *testing.T, question, answer string) {
		p := dataset.QA{Question: question, Answer: answer}
		f, ok := findFact(p)
		if !ok {
			return
		}
		if f.before+f.value+f.after != strings.TrimSpace(answer) || f.value == "" {
			t.Fatalf("%q does not part into %q %q %q", answer, f.before, f.value, f.after)
		}
		if strings.Count(f.cloze(), "____") == 0 {
			t.Fatalf("no blank in %q", f.cloze())
		}
	})
}
