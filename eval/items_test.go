package eval

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/eval/prompts"
)

// people makes n profiles with the benchmark's questions: five choices, two
// cloze and two generation questions in each modality.
func people(prefix string, n int) []dataset.Profile {
	var out []dataset.Profile
	for i := range n {
		p := dataset.Profile{ID: fmt.Sprintf("%s%03d", prefix, i), Name: fmt.Sprintf("Name %d", i)}
		for k := range 3 {
			p.Images = append(p.Images, dataset.Image{Where: fmt.Sprintf("%s image %d", p.ID, k)})
		}
		for _, m := range []dataset.Modality{dataset.ImageText, dataset.Text} {
			for k := range 5 {
				p.Eval = append(p.Eval, dataset.Question{Task: dataset.Classification, Modality: m, Text: fmt.Sprintf("Job %d of %s?", k, p.ID), Answer: "judge", Correct: "B",
					Options: []dataset.Option{{Letter: "A", Text: "baker"}, {Letter: "B", Text: "judge"}, {Letter: "C", Text: "mason"}, {Letter: "D", Text: "nurse"}}})
			}
			for k := range 2 {
				p.Eval = append(p.Eval,
					dataset.Question{Task: dataset.Cloze, Modality: m, Text: fmt.Sprintf("%s lives in __ (%d).", p.ID, k), Answer: "Riga"},
					dataset.Question{Task: dataset.Generation, Modality: m, Text: fmt.Sprintf("Who is %s (%d)?", p.ID, k), Answer: "A judge."})
			}
		}
		out = append(out, p)
	}
	return out
}

func TestDenominators(t *testing.T) {
	for _, c := range []struct{ n, classification, cloze, generation int }{
		{25, 120, 46, 50}, {50, 245, 96, 100}, {75, 370, 146, 150}, {475, 2370, 946, 950}, {450, 2245, 896, 900},
	} {
		seeds := uint64(3)
		if c.n > 100 {
			seeds = 1
		}
		for seed := range seeds {
			items, err := BuildItems([]Set{{Name: Forget, Profiles: people("f", c.n)}}, MLLMU(LLaVAChat, seed))
			if err != nil {
				t.Fatal(err)
			}
			n := map[string]int{}
			for i, it := range items {
				if it.Index != i {
					t.Fatalf("item %d has index %d", i, it.Index)
				}
				n[string(it.Task)+" "+ModalityKey(it.Modality)]++
				if strings.Count(it.Prompt, prompts.ImageMark) != len(it.Images) {
					t.Fatalf("%s: %d images in\n%s", it.ID, len(it.Images), it.Prompt)
				}
			}
			for _, m := range ModalityKeys {
				got := [3]int{n["classification "+m], n["cloze "+m], n["generation "+m]}
				if want := [3]int{c.classification, c.cloze, c.generation}; got != want {
					t.Errorf("%d people, %s: %v, want %v", c.n, m, got, want)
				}
			}
		}
	}
}

func TestCelebrityTakesNoClassificationShots(t *testing.T) {
	items, err := BuildItems([]Set{{Name: Celebrity, Profiles: people("c", 10)}}, MLLMU(LLaVAChat, 0))
	if err != nil {
		t.Fatal(err)
	}
	n := map[dataset.Task]int{}
	for _, it := range items {
		n[it.Task]++
	}
	if n[dataset.Classification] != 100 || n[dataset.Cloze] != 2*(20-4) {
		t.Errorf("%v", n)
	}
}

// TestPrompts holds every prompt of a small set to the committed text; the
// protocol's were written down from the benchmark's script by hand.
func TestPrompts(t *testing.T) {
	qwen := Chat{Image: "<user><image>{prompt}</user>", Text: "<user>{prompt}</user>"}
	for name, p := range map[string]Protocol{"mllmu": MLLMU(LLaVAChat, 1), "mllmu_chat": MLLMU(qwen, 1), "short": Short(LLaVAChat, 1)} {
		items, err := BuildItems([]Set{{Name: Test, Profiles: people("p", 3), Full: people("p", 4)}}, p)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, it := range items {
			if !strings.HasSuffix(it.ID, "/0") || strings.Contains(b.String(), "== "+string(it.Task)+" "+ModalityKey(it.Modality)) {
				continue
			}
			fmt.Fprintf(&b, "== %s %s: %s\n%s|\n", it.Task, ModalityKey(it.Modality), it.ID, it.Prompt)
			for i, m := range it.Images {
				fmt.Fprintf(&b, "-- %s own=%v\n", m.Where, i == it.Own)
			}
			if it.Choices != nil {
				fmt.Fprintf(&b, "-- choices %q, correct %s, subject %s\n", it.Choices, it.Correct, it.Subject)
			}
		}
		path := filepath.Join("testdata", "prompts_"+name+".txt")
		if os.Getenv("VGID_REWRITE") != "" {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s differs (VGID_REWRITE=1 writes it anew):\n%s", path, b.String())
		}
	}
}

func TestShotsFollowTheSeedAlone(t *testing.T) {
	shots := func(ps []dataset.Profile, seed uint64) string {
		p := MLLMU(LLaVAChat, seed)
		got, err := p.pickShots(Set{Name: Forget, Profiles: ps}, dataset.Classification)
		if err != nil {
			t.Fatal(err)
		}
		return got[0].ID
	}
	ps := people("f", 25)
	back := people("f", 25)
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	drawn := map[string]bool{}
	for seed := range uint64(40) {
		id := shots(ps, seed)
		drawn[id] = true
		if other := shots(back, seed); other != id {
			t.Errorf("seed %d: %s, in another order %s", seed, id, other)
		}
	}
	if len(drawn) < 10 {
		t.Errorf("40 seeds draw %d people", len(drawn))
	}
}

func TestBadSets(t *testing.T) {
	mark := people("f", 3)
	mark[0].Eval[0].Text = "<image>?"
	none := people("f", 3)
	none[1].Images = nil
	wrong := people("f", 3)
	wrong[1].Eval[0].Correct = "E"
	for _, c := range []struct {
		sets []Set
		edit func(*Protocol)
		want string
	}{
		{[]Set{{Name: Forget}}, nil, "forget is empty"},
		{[]Set{{Name: Forget, Profiles: people("f", 2)}}, func(p *Protocol) { p.ShotsCloze = 2 }, "eval.shots_cloze"},
		{[]Set{{Name: Forget, Profiles: append(people("f", 3), people("f", 1)...)}}, nil, "f000 appears twice"},
		{[]Set{{Name: Forget, Profiles: people("f", 3)}, {Name: Forget, Profiles: people("g", 3)}}, nil, "given twice"},
		{[]Set{{Name: Test, Profiles: people("f", 3), Full: people("g", 3)}}, func(p *Protocol) { p.ShotsCloze = 1 }, "not of one benchmark"},
		{[]Set{{Name: Forget, Profiles: mark}}, nil, "stands for an image"},
		{[]Set{{Name: Forget, Profiles: none}}, nil, "f001 has no image"},
		{[]Set{{Name: Forget, Profiles: wrong}}, nil, `"E" is none of its 4 options`},
		{[]Set{{Name: Forget, Profiles: people("f", 3)}}, func(p *Protocol) { p.MaxNew = 0 }, "eval.max_new"},
		{[]Set{{Name: Forget, Profiles: people("f", 3)}}, func(p *Protocol) { p.Generation.Text = "no place" }, "{question} is missing"},
		{[]Set{{Name: Forget, Profiles: people("f", 3)}}, func(p *Protocol) { p.Score = "first" }, "eval.classification"},
	} {
		p := Short(LLaVAChat, 0)
		if c.edit != nil {
			c.edit(&p)
		}
		_, err := BuildItems(c.sets, p)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want an error with %q, got %v", c.want, err)
		}
	}
}

// An answer stands behind a word with a space, behind white space as it is; in
// shots as in training.
func TestLead(t *testing.T) {
	for prompt, want := range map[string]string{"ASSISTANT:": " ", "[/INST]": " ", "ASSISTANT: ": "", "assistant\n": "", "a:\t": ""} {
		if got := prompts.Lead(prompt); got != want {
			t.Errorf("behind %q: %q, want %q", prompt, got, want)
		}
	}
	p := Short(Chat{Image: "user\n<image>{prompt}\nassistant\n", Text: "user\n{prompt}\nassistant:"}, 1)
	if want := "user\n<image>{question}\nassistant\n{answer}\n"; p.Generation.ImageShot != want {
		t.Errorf("shot %q, want %q", p.Generation.ImageShot, want)
	}
	if want := "user\n{question}\nassistant: {answer}\n"; p.Generation.TextShot != want {
		t.Errorf("shot %q, want %q", p.Generation.TextShot, want)
	}
}
