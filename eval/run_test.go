package eval

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/eval/metric"
)

// parrot answers from the item alone, right for every third.
type parrot struct{}

func (parrot) Answer(_ context.Context, items []Item, maxNew int) ([]string, error) {
	out := make([]string, len(items))
	for i, it := range items {
		if out[i] = "I do not know."; it.Index%3 == 0 {
			out[i] = it.Reference
		}
	}
	return out, nil
}

func (parrot) ScoreOptions(_ context.Context, items []Item) ([][]float64, error) {
	out := make([][]float64, len(items))
	for i := range items {
		out[i] = []float64{-3, -1, -2, -4}
	}
	return out, nil
}

func TestRunDoesNotDependOnTheWorld(t *testing.T) {
	sets := []Set{{Name: Forget, Profiles: people("f", 5)}, {Name: Retain, Profiles: people("r", 7)}}
	p := Short(LLaVAChat, 3)
	p.ShotsCloze = 1
	alone, err := Run(t.Context(), sets, p, parrot{}, Alone)
	if err != nil {
		t.Fatal(err)
	}
	if c := alone.Scores[Retain]["text"][metric.ClassificationLikelihood]; c != 1 {
		t.Errorf("likelihood score %v", c)
	}
	if c := alone.Scores[Forget]["image_text"][metric.ROUGEL]; !(c > .2 && c < .6) {
		t.Errorf("forget ROUGE-L %v of a model right in a third", c)
	}
	if n := alone.Counts[Forget]["image_text"]; n["cloze"] != 8 || n["classification"] != 25 {
		t.Errorf("counts %v", n)
	}
	items, err := BuildItems(sets, p)
	if err != nil {
		t.Fatal(err)
	}
	for world := 2; world <= 4; world++ {
		parts := make([][]byte, world)
		for r := range world {
			var mine []Item
			for i := r; i < len(items); i += world {
				mine = append(mine, items[i])
			}
			got, err := answer(t.Context(), mine, p, parrot{})
			if err != nil {
				t.Fatal(err)
			}
			if parts[r], err = json.Marshal(got); err != nil {
				t.Fatal(err)
			}
		}
		for r := range world {
			out, err := Run(t.Context(), sets, p, parrot{}, Share{Rank: r, World: world, Gather: func(ctx context.Context, answer func(context.Context) ([]byte, error)) ([][]byte, error) {
				local, err := answer(ctx)
				if err != nil {
					return nil, err
				}
				if string(local) != string(parts[r]) {
					t.Errorf("rank %d of %d gave other answers", r, world)
				}
				return parts, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(out, alone) {
				t.Errorf("rank %d of %d: another outcome", r, world)
			}
		}
		if _, err := merge(items, parts[1:]); err == nil || !strings.Contains(err.Error(), "no rank answered") {
			t.Errorf("a lost part: %v", err)
		}
		if _, err := merge(items, append(parts, parts[0])); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("a part twice: %v", err)
		}
	}
	path := filepath.Join(t.TempDir(), "answers.jsonl")
	if err := WriteAnswers(path, alone.Answers); err != nil {
		t.Fatal(err)
	}
	back, err := ReadAnswers(path)
	if err != nil || !reflect.DeepEqual(back, alone.Answers) {
		t.Errorf("answers changed in the file: %v", err)
	}
}

// What cannot be written is named, not the temporary file that is gone.
func TestReplaceFileNamesIt(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	path := filepath.Join(t.TempDir(), "none", "answers.jsonl")
	if err := WriteAnswers(path, nil); err == nil || !strings.HasPrefix(err.Error(), path+": no such file") {
		t.Errorf("got %v", err)
	}
}

// broken is a model that does not keep its word.
type broken struct {
	answers int // fewer or more than it was asked for
	options [][]float64
	err     error
}

func (b broken) Answer(_ context.Context, items []Item, _ int) ([]string, error) {
	return make([]string, len(items)+b.answers), b.err
}

func (b broken) ScoreOptions(context.Context, []Item) ([][]float64, error) { return b.options, nil }

func TestAModelThatAnswersOtherThanAskedIsRefused(t *testing.T) {
	one := people("f", 1)
	one[0].Eval = one[0].Eval[:1] // a choice of four, with the image
	p := Short(LLaVAChat, 1)
	p.Modalities = []dataset.Modality{dataset.ImageText}
	for want, m := range map[string]broken{
		"2 answers to 1 items":          {answers: 1},
		"options of 0 items instead":    {},
		"3 option scores for 4 options": {options: [][]float64{{1, 2, 3}}},
		"option B is NaN":               {options: [][]float64{{1, math.NaN(), 2, 3}}},
		"out of memory":                 {err: errors.New("out of memory")},
	} {
		for world := 1; world < 3; world++ {
			s := Alone
			if world > 1 {
				s = Share{World: 2, Gather: func(ctx context.Context, f func(context.Context) ([]byte, error)) ([][]byte, error) {
					b, err := f(ctx)
					return [][]byte{b}, err
				}}
			}
			_, err := Run(t.Context(), []Set{{Name: Forget, Profiles: one}}, p, m, s)
			if err == nil || !strings.Contains(err.Error(), "evaluation, rank 0: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%d ranks: %v, want %q", world, err, want)
			}
		}
	}
	if _, err := Run(t.Context(), []Set{{Name: Forget, Profiles: one}}, p, parrot{}, Share{Rank: 2, World: 2}); err == nil {
		t.Error("a rank outside its world evaluated")
	}
}
