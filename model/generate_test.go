package model

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"vgid/model/decoding"
	"vgid/model/hf/imaging"
)

func greedyByRecomputing(t *testing.T, m *Model, s Sequence, n int, eos int32, penalty float32) []int32 {
	t.Helper()
	var out []int32
	s.IDs = slices.Clone(s.IDs)
	vocab := m.Config.Text.VocabSize
	for range n {
		l := logits(t, m, []Sequence{s})
		row := l[len(l)-vocab:]
		best := int32(0)
		for i, v := range row {
			if said := slices.Contains(s.IDs, int32(i)); said && v < 0 {
				row[i] *= penalty
			} else if said {
				row[i] /= penalty
			}
			v = row[i]
			if v > row[best] {
				best = int32(i)
			}
		}
		if best == eos {
			break
		}
		out, s.IDs = append(out, best), append(s.IDs, best)
	}
	return out
}

func testPrompts(c *Config) []Sequence {
	ps := testSequences(c)
	for i := range 5 {
		ids := []int32{1}
		for j := range i + 1 {
			ids = append(ids, int32(3+(5*i+3*j)%9))
		}
		ps = append(ps, Sequence{IDs: ids, Sample: uint32(20 + i)})
	}
	return ps
}

func TestGenerationEqualsRecomputing(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	// An image token in an answer could not be fed back as a prompt.
	bias := make([]float32, m.Config.Text.HiddenSize)
	m.Backend().Upload(m.Head().Value.RowRange(m.Config.ImageTokenID, m.Config.ImageTokenID+1), bias)
	prompts := testPrompts(m.Config)
	const n = 7
	var plain [][]int32
	for _, c := range []struct {
		eos     int32
		penalty float32
	}{{-1, 1}, {4, 1}, {9, 1}, {-1, 1.3}, {-1, 0.7}} {
		eos := c.eos
		var want [][]int32
		for _, p := range prompts {
			want = append(want, greedyByRecomputing(t, m, p, n, eos, c.penalty))
		}
		if plain == nil {
			plain = want
		} else if c.penalty != 1 && slices.EqualFunc(plain, want, slices.Equal[[]int32]) {
			t.Errorf("penalty %g changes nothing", c.penalty)
		}
		for _, room := range []int{1, 45, 1000} { // one slot, two, all
			got, err := m.Generate(context.Background(), prompts, GenerateOptions{MaxNew: n, EOS: []int32{eos}, Decoding: decoding.Settings{RepetitionPenalty: c.penalty}, MaxBatchTokens: room})
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("end %d, penalty %g, room %d, prompt %d: %v, recomputing gives %v", eos, c.penalty, room, i, got[i], want[i])
				}
			}
		}
	}
}

func TestSampledAnswersDoNotDependOnCompany(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	prompts := testPrompts(m.Config)
	o := GenerateOptions{MaxNew: 6, Temperature: 1.5, TopP: 0.95, TopK: 9, Seed: 5}
	all, err := m.Generate(context.Background(), prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range prompts {
		one, err := m.Generate(context.Background(), []Sequence{p}, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(one[0], all[i]) {
			t.Errorf("prompt %d: alone %v, in company %v", i, one[0], all[i])
		}
	}
	o.Seed = 6
	other, err := m.Generate(context.Background(), prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	if slices.EqualFunc(all, other, slices.Equal[[]int32]) {
		t.Error("another seed gives the same answers")
	}
}

func TestSamplerFollowsTheDistribution(t *testing.T) {
	logits := []float32{0, float32(math.Log(3)), float32(math.Log(2)), -40, float32(math.Log(4))}
	for _, tt := range []struct {
		o    GenerateOptions
		want [5]float64
	}{
		{GenerateOptions{Temperature: 1}, [5]float64{.1, .3, .2, 0, .4}},
		{GenerateOptions{Temperature: 1, TopK: 2}, [5]float64{0, 3. / 7, 0, 0, 4. / 7}},
		{GenerateOptions{Temperature: 1, TopP: 0.69}, [5]float64{0, 3. / 7, 0, 0, 4. / 7}},
		{GenerateOptions{Temperature: 1, TopP: 0.71}, [5]float64{0, 3. / 9, 2. / 9, 0, 4. / 9}},
		{GenerateOptions{Temperature: 0.5}, [5]float64{1. / 30, 9. / 30, 4. / 30, 0, 16. / 30}},
	} {
		var s sampler
		var got [5]float64
		const n = 20000
		for i := range n {
			got[s.draw(logits, &tt.o, uint32(i), 3)] += 1. / n
		}
		for i := range got {
			if math.Abs(got[i]-tt.want[i]) > 0.015 {
				t.Errorf("%+v: frequencies %v, want %v", tt.o, got, tt.want)
				break
			}
		}
	}
}

func TestScoresAreLogLikelihoods(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	prompts := testSequences(m.Config)
	continuations := [][]int32{{3, 4}, {5, 6, 7}}
	got, err := m.ScoreContinuations(context.Background(), prompts, continuations)
	if err != nil {
		t.Fatal(err)
	}
	vocab := m.Config.Text.VocabSize
	for i, c := range continuations {
		s := prompts[i]
		s.IDs = slices.Concat(s.IDs, c)
		l := logits(t, m, []Sequence{s})
		want := 0.0
		for j, id := range c {
			row := l[(len(s.IDs)-len(c)+j-1)*vocab:][:vocab]
			sum := 0.0
			for _, v := range row {
				sum += math.Exp(float64(v))
			}
			want += math.Log(sum) - float64(row[id])
		}
		if math.Abs(got[i]-want) > 1e-5 {
			t.Errorf("continuation %d scores %g, want %g", i, got[i], want)
		}
	}
	if _, err := m.ScoreContinuations(context.Background(), prompts, [][]int32{{1}, {}}); err == nil {
		t.Error("an empty continuation was scored")
	}
}

func TestSequencesThatDoNotFitAreRefused(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	img := int32(m.Config.ImageTokenID)
	for _, tt := range []struct {
		s    Sequence
		want string
	}{
		{Sequence{}, "no tokens"},
		{Sequence{IDs: make([]int32, 65)}, "max_position_embeddings 64"},
		{Sequence{IDs: []int32{1, 13}}, "id 13"},
		{Sequence{IDs: []int32{1, -1}}, "id -1"},
		{Sequence{IDs: []int32{1, img}}, "1 image tokens"},
		{Sequence{IDs: []int32{1}, Images: []imaging.Image{testImage(m.Config, 0)}}, "0 image tokens in the text, but 1 images of 4"},
		{Sequence{IDs: []int32{img, img, img, img}, Images: []imaging.Image{{Pixels: []float32{1, 2}}}}, "image 0 has 2 values"},
	} {
		_, err := m.Pack([]Sequence{{IDs: []int32{1}}, tt.s})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "sequence 1") {
			t.Errorf("error %v, want it to say %q", err, tt.want)
		}
	}
	_, err := m.Generate(context.Background(), []Sequence{{IDs: make([]int32, 60)}}, GenerateOptions{MaxNew: 5})
	if err == nil || !strings.Contains(err.Error(), "max_position_embeddings") {
		t.Errorf("generation past the context: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Generate(ctx, []Sequence{{IDs: []int32{1}}}, GenerateOptions{MaxNew: 5}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled generation: %v", err)
	}
}
