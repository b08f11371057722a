package model

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/tape"
)

// greedyByRecomputing answers one prompt with whole forward passes.
func greedyByRecomputing(t *testing.T, m *Model, s Sequence, n int, eos int32) []int32 {
	t.Helper()
	var out []int32
	s.IDs = slices.Clone(s.IDs)
	vocab := m.Config.Text.VocabSize
	for range n {
		l := logits(t, m, []Sequence{s})
		row := l[len(l)-vocab:]
		best := int32(0)
		for i, v := range row {
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
	m.be.Upload(m.Head().Value.RowRange(m.Config.ImageTokenID, m.Config.ImageTokenID+1), bias)
	prompts := testPrompts(m.Config)
	const n = 7
	for _, eos := range []int32{-1, 4, 9} {
		var want [][]int32
		for _, p := range prompts {
			want = append(want, greedyByRecomputing(t, m, p, n, eos))
		}
		for _, room := range []int{1, 45, 1000} { // one slot, two, all
			got, err := m.Generate(context.Background(), prompts, GenerateOptions{MaxNew: n, EOS: []int32{eos}, MaxBatchTokens: room})
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("end %d, room %d, prompt %d: %v, recomputing gives %v", eos, room, i, got[i], want[i])
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

func TestPackedEqualsOneByOne(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	lora(t, m, 0.3, "q_proj", "fc1", "linear_2")
	seqs := testPrompts(m.Config)
	tp := tape.New(m.be, backend.F32)
	defer tp.Close()
	// In training, so that dropout is on: its masks follow the sample.
	hidden := func(seqs []Sequence) []float32 {
		tp.Reset(tape.Options{Grad: true, Seed: 1, Step: 2})
		b, err := m.Pack(seqs)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Release()
		h := tp.Value(m.Hidden(tp, b))
		v := make([]float32, h.Len())
		if err := m.be.Download(v, h); err != nil {
			t.Fatal(err)
		}
		return v
	}
	packed := hidden(seqs)
	for i := range seqs {
		one := hidden(seqs[i : i+1])
		if d := maxAbsDiff(one, packed[:len(one)]); d > 1e-6 {
			t.Errorf("sequence %d: %g apart", i, d)
		}
		packed = packed[len(one):]
	}
	tp.Reset(tape.Options{})
}

func TestMergedAdapterIsTheSameFunction(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	seqs := testSequences(m.Config)
	base := logits(t, m, seqs)
	lora(t, m, 0.5, "*_proj", "fc1", "linear_1")
	with := logits(t, m, seqs)
	if d := maxAbsDiff(base, with); d < 0.1 {
		t.Fatalf("the adapter changes little: %g", d)
	}
	m.SetAdapter(false)
	if off := logits(t, m, seqs); !slices.Equal(off, base) {
		t.Errorf("adapter off is not the base: %g", maxAbsDiff(off, base))
	}
	m.SetAdapter(true)
	clone, err := m.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer clone.Close()
	if err := m.MergeLoRA(); err != nil {
		t.Fatal(err)
	}
	if d := maxAbsDiff(with, logits(t, m, seqs)); d > 1e-5 {
		t.Errorf("merging changed logits by %g", d)
	}
	if c := logits(t, clone, seqs); !slices.Equal(c, base) {
		t.Errorf("the clone followed: %g", maxAbsDiff(c, base))
	}
}

func TestSharedImageFeatures(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	lora(t, m, 0, "language_model.*.q_proj")
	b, err := m.Pack(testSequences(m.Config))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	tp := tape.New(m.be, backend.F32)
	defer tp.Close()
	hidden := func(shared bool) []float32 {
		tp.Reset(tape.Options{})
		b.Features = backend.Tensor{}
		if shared {
			b.Features = tp.Value(m.ImageFeatures(tp, b))
		}
		h := tp.Value(m.Hidden(tp, b))
		v := make([]float32, h.Len())
		if err := m.be.Download(v, h); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if a, c := hidden(false), hidden(true); !slices.Equal(a, c) {
		t.Errorf("features computed before give other states: %g", maxAbsDiff(a, c))
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
		{Sequence{IDs: []int32{1}, Pixels: [][]float32{testPixels(m.Config, 0)}}, "0 image tokens in the text, but 1 images of 4"},
		{Sequence{IDs: []int32{img, img, img, img}, Pixels: [][]float32{{1, 2}}}, "image 0 has 2 values"},
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
	if _, err := m.Generate(ctx, []Sequence{{IDs: []int32{1}}}, GenerateOptions{MaxNew: 5}); err != context.Canceled {
		t.Errorf("cancelled generation: %v", err)
	}
}

func TestOptimizerContinuesBitIdentically(t *testing.T) {
	train := func(m *Model, o *Optimizer, s *step, steps int) {
		for range steps {
			s.backward(t)
			if err := o.Step(0.01); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := func() (*Model, *Optimizer, *step) {
		m := newTestModel(t, nil)
		lora(t, m, 0, "q_proj")
		if _, err := m.Trainable("norm", "lm_head", "k_proj"); err != nil {
			t.Fatal(err)
		}
		o, err := m.NewOptimizer(OptimizerConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: 0.1, ClipNorm: 1})
		if err != nil {
			t.Fatal(err)
		}
		return m, o, newStep(t, m)
	}
	m, o, s := start()
	train(m, o, s, 2)
	half, err := o.State()
	if err != nil {
		t.Fatal(err)
	}
	// The reference backend keeps float64: continue from what a file holds.
	if err := o.Restore(half); err != nil {
		t.Fatal(err)
	}
	train(m, o, s, 2)
	want, _ := o.State()

	m, o, s = start()
	if err := o.Restore(half); err != nil {
		t.Fatal(err)
	}
	train(m, o, s, 2)
	got, _ := o.State()
	if got.Step != 4 || !slices.Equal(got.Values, want.Values) || !slices.Equal(got.M, want.M) || !slices.Equal(got.V, want.V) {
		t.Error("a restored run ends elsewhere")
	}
	if err := o.Restore(TrainState{}); err == nil {
		t.Error("a state of another size was restored")
	}
	if _, err := m.Trainable("norm"); err != nil {
		t.Fatal(err)
	}
	if err := o.Step(1); err == nil {
		t.Error("an optimizer for other parameters made a step")
	}
}

func TestWeightDecaySparesNormsAndBiases(t *testing.T) {
	m := newTestModel(t, nil)
	defer m.Close()
	if _, err := m.Trainable("*"); err != nil {
		t.Fatal(err)
	}
	o, err := m.NewOptimizer(OptimizerConfig{Beta1: 0.9, Beta2: 0.9, Eps: 1, WeightDecay: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	before := map[string]float32{}
	first := func(w *weight) float32 {
		v := make([]float32, 1)
		if err := m.be.Download(v, w.Value.RowRange(0, 1).ColRange(0, 1)); err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	for _, w := range m.weights {
		before[w.Name] = first(w)
	}
	m.ZeroGrads()
	if err := o.Step(0.1); err != nil {
		t.Fatal(err)
	}
	for _, w := range m.weights {
		want := before[w.Name]
		matrix := w.Trainable && !strings.Contains(w.Name, "norm") && !strings.HasSuffix(w.Name, ".bias")
		if matrix {
			want *= 0.95
		}
		if d := first(w) - want; math.Abs(float64(d)) > 1e-6 {
			t.Errorf("%s: %g, want %g", w.Name, first(w), want)
		}
	}
}

func TestTrainingChoicesMoveWeightsUnharmed(t *testing.T) {
	patterns := []string{"*", "q_proj", "language_model.*", "norm", "v_proj.bias", "lm_head", "fc1"}
	rapid.Check(t, func(r *rapid.T) {
		m := newTestModel(t, nil)
		defer m.Close()
		want := logits(t, m, testSequences(m.Config))
		for range rapid.IntRange(1, 4).Draw(r, "moves") {
			switch rapid.IntRange(0, 3).Draw(r, "move") {
			case 0:
				if _, on := m.Adapter(); !on { // B is zero: the function stays
					if _, err := m.AddLoRA(LoRAConfig{R: 2, Alpha: 1, Targets: []string{"k_proj", "linear_1"}}); err != nil {
						r.Fatal(err)
					}
				}
			case 1:
				if _, on := m.Adapter(); on {
					if err := m.MergeLoRA(); err != nil {
						r.Fatal(err)
					}
				}
			default:
				if _, err := m.Trainable(rapid.SliceOfN(rapid.SampledFrom(patterns), 0, 2).Draw(r, "patterns")...); err != nil {
					r.Fatal(err)
				}
			}
		}
		if d := maxAbsDiff(want, logits(t, m, testSequences(m.Config))); d > 1e-6 {
			r.Fatalf("the model changed by %g", d)
		}
	})
}

func TestSchedule(t *testing.T) {
	for _, tt := range []struct {
		s    Schedule
		step int
		want float64
	}{
		{Schedule{"constant", 2, 4, 10, 0}, 0, 0.5},
		{Schedule{"constant", 2, 4, 10, 0}, 3, 2},
		{Schedule{"constant", 2, 4, 10, 0}, 99, 2},
		{Schedule{"linear", 2, 0, 10, 0}, 5, 1},
		{Schedule{"linear", 2, 0, 10, 0.5}, 10, 1},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 2, 2},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 7, 1.1},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 12, 0.2},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 50, 0.2},
	} {
		if err := tt.s.Validate(); err != nil {
			t.Error(err)
		}
		if got := tt.s.At(tt.step); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%+v at %d: %g, want %g", tt.s, tt.step, got, tt.want)
		}
	}
	for _, s := range []Schedule{{Kind: "step"}, {Kind: "linear", Peak: -1}, {Kind: "linear", Warmup: -1}, {Kind: "linear", Final: 2}} {
		if s.Validate() == nil {
			t.Errorf("%+v passes", s)
		}
	}
}

// TestStepAllocatesLittle runs a whole training step in steady state.
func TestStepAllocatesLittle(t *testing.T) {
	be := cpu.New(1)
	defer be.Close()
	m, err := New(be, tinyConfig(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.AddLoRA(LoRAConfig{R: 2, Alpha: 4, Targets: []string{"*_proj"}}); err != nil {
		t.Fatal(err)
	}
	o, err := m.NewOptimizer(OptimizerConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, ClipNorm: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	tp := tape.New(be, backend.F32)
	defer tp.Close()
	seqs := testSequences(m.Config)
	rows, targets, weights := []int32{3, 4, 5}, []int32{4, 5, 6}, []float32{1, 1, 1}
	n := testing.AllocsPerRun(20, func() {
		tp.Reset(tape.Options{Grad: true})
		b, err := m.Pack(seqs)
		if err != nil {
			t.Fatal(err)
		}
		m.ZeroGrads()
		m.CE(tp, m.Hidden(tp, b), rows, targets, weights)
		if err := m.Backward(tp, nil); err != nil {
			t.Fatal(err)
		}
		if err := o.Step(1e-3); err != nil {
			t.Fatal(err)
		}
		b.Release()
	})
	t.Logf("%g allocations a step", n)
	if n > 2 {
		t.Errorf("%g allocations a step in steady state", n)
	}
}
