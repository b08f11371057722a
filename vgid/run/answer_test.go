package run

import (
	"context"
	"math"
	"reflect"
	"slices"
	"testing"

	"vgid/eval"
	"vgid/eval/dataset"
)

// questions are the items of the evaluation that a job is configured for, and the
// base model to answer them.
func questions(ctx context.Context, t *testing.T, j *Job) ([]eval.Item, eval.Protocol, *Answerer) {
	t.Helper()
	p, err := j.People(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := eval.ReadSets(p.Benchmark, eval.People{Sets: j.Config.Eval.Sets, Forget: j.Config.Data.Forget, Retain: p.RetainSplit, Most: j.Config.Data.EvalPeople})
	if err != nil {
		t.Fatal(err)
	}
	m, enc, err := j.open(ctx, j.Config.Model.Base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	proto, err := j.protocol(enc.Templates())
	if err != nil {
		t.Fatal(err)
	}
	items, err := eval.BuildItems(sets, proto)
	if err != nil {
		t.Fatal(err)
	}
	return items, proto, &Answerer{Model: m, Encoder: enc, BatchTokens: j.Config.Eval.BatchTokens}
}

// How many images are held at once changes no answer and the order of none.
func TestAnswersInRuns(t *testing.T) {
	onWorld(t, 1, small(t, nil), func(ctx context.Context, j *Job) error {
		items, proto, a := questions(ctx, t, j)
		var choose []eval.Item
		for _, it := range items {
			if it.Task == dataset.Classification {
				choose = append(choose, it)
			}
		}
		said, err := a.Answer(ctx, items, proto.MaxNew)
		if err != nil {
			return err
		}
		likely, err := a.ScoreOptions(ctx, choose)
		if err != nil {
			return err
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
		return nil
	})
}

// Black images stand for those of any tower to the value.
func TestUnseenImagesHaveTheSizeOfSeenOnes(t *testing.T) {
	for _, name := range []string{"llava", "qwen2_vl"} {
		j := family(t, name, nil)
		items, _, a := questions(t.Context(), t, j)
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
