package answer

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
	"vgid/vgid/train"
	"vgid/vgid/vgidtest"
)

func TestMain(m *testing.M) { vgidtest.Main(m) }

// questions are the items of a small evaluation, and a small model of a family to
// answer them.
func questions(t *testing.T, family string) ([]eval.Item, eval.Protocol, *Answerer) {
	t.Helper()
	w := vgidtest.Shared(t, family)
	c, err := config.Load("", w.Settings(nil))
	if err != nil {
		t.Fatal(err)
	}
	b, err := formats.Open(w.Data)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := eval.ReadSets(b, eval.People{Sets: c.Eval.Sets, Forget: c.Data.Forget, Retain: "retain_80", Most: c.Data.EvalPeople})
	if err != nil {
		t.Fatal(err)
	}
	be := cpu.New(1)
	t.Cleanup(func() { be.Close() })
	dir := modeldir.Open(w.Model)
	t.Cleanup(func() { dir.Close() })
	m, err := model.LoadDir(t.Context(), be, dir, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	enc, err := train.NewEncoder(dir, m, c.Prompt)
	if err != nil {
		t.Fatal(err)
	}
	proto, err := Protocol(c.Eval, enc.Templates(), c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	items, err := Items(enc, sets, proto)
	if err != nil {
		t.Fatal(err)
	}
	return items, proto, &Answerer{Model: m, Encoder: enc, BatchTokens: c.Eval.BatchTokens}
}

// How many images are held at once changes no answer and the order of none.
func TestAnswersInRuns(t *testing.T) {
	ctx := t.Context()
	items, proto, a := questions(t, "llava")
	var choose []eval.Item
	for _, it := range items {
		if it.Task == dataset.Classification {
			choose = append(choose, it)
		}
	}
	said, err := a.Answer(ctx, items, proto.MaxNew)
	if err != nil {
		t.Fatal(err)
	}
	likely, err := a.ScoreOptions(ctx, choose)
	if err != nil {
		t.Fatal(err)
	}
	a.MostPixels = 1
	runs := 0
	if err := a.inRuns(items, func([]eval.Item, []question) error { runs++; return nil }); err != nil || runs < 3 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	if again, err := a.Answer(ctx, items, proto.MaxNew); err != nil || !reflect.DeepEqual(again, said) {
		t.Errorf("other answers, %v", err)
	}
	again, err := a.ScoreOptions(ctx, choose)
	if err != nil || len(again) != len(likely) {
		t.Fatalf("%d likelihoods, %v", len(again), err)
	}
	for i, scores := range likely { // rounded otherwise in other company
		if !slices.EqualFunc(again[i], scores, func(a, b float64) bool { return math.Abs(a-b) < 1e-4 }) {
			t.Errorf("item %d: likelihoods %v, before %v", i, again[i], scores)
		}
	}
}

// Black images stand for those of any tower to the value.
func TestUnseenImagesHaveTheSizeOfSeenOnes(t *testing.T) {
	for _, name := range []string{"llava", "qwen2_vl"} {
		items, _, a := questions(t, name)
		for i := range items {
			a.Unseen = false
			seen, err := a.question(&items[i])
			if err != nil {
				t.Fatal(err)
			}
			a.Unseen = true
			unseen, err := a.question(&items[i])
			if err != nil {
				t.Fatal(err)
			}
			for k, img := range seen.Images {
				if u := unseen.Images[k]; u.Grid != img.Grid || len(u.Pixels) != len(img.Pixels) {
					t.Fatalf("%s: %v of %d values, unseen %v of %d", name, img.Grid, len(img.Pixels), u.Grid, len(u.Pixels))
				}
			}
			if !reflect.DeepEqual(seen.IDs, unseen.IDs) {
				t.Fatalf("%s: other tokens", name)
			}
		}
	}
}
