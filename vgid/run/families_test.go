package run

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/collective"
	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
	"vgid/model/hf/tokenizer"
	"vgid/vgid/ask"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/rundir"
	"vgid/vgid/train"
	"vgid/vgid/vgidtest"
)

// family is a job on a small model of a family, in the world that the tests share.
func family(t *testing.T, modelType string, over map[string]string) *Job {
	t.Helper()
	return jobOn(t, vgidtest.Shared(t, modelType), over, opened(t, modelType))
}

// worldOf is a world of a family for one test, which may write to it.
func worldOf(t *testing.T, modelType string) vgidtest.World {
	t.Helper()
	w, err := vgidtest.MakeFamily(t.TempDir(), modelType)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// jobOn is a job in a world.
func jobOn(t *testing.T, w vgidtest.World, over map[string]string, open inputs.Opened) *Job {
	t.Helper()
	set := map[string]string{
		"out": t.TempDir(), "unlearn.steps": "3", "unlearn.lora.targets": "self_attn.q_proj,self_attn.v_proj,mlp.down_proj",
	}
	maps.Copy(set, over)
	c, err := config.Load("", w.Settings(set))
	if err != nil {
		t.Fatal(err)
	}
	be := cpu.New(1)
	t.Cleanup(func() { be.Close() })
	j := New(Options{Config: c, Comm: collective.Solo(), Backend: be, Show: monitor.NewProgress(nil), Metrics: monitor.NewMetrics(0, 1, nil), Opened: open})
	t.Cleanup(func() { j.Close() })
	return j
}

// unlearn runs the stage on the job's base model.
func unlearn(t *testing.T, j *Job) rundir.Stage {
	t.Helper()
	p, err := j.People(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := j.Unlearn(t.Context(), "unlearned", j.Config.Model.Base, p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answered are the logits of a question with an image.
func answered(t *testing.T, j *Job, dir, adapter string) *ask.Pass {
	t.Helper()
	a, err := ask.Open(context.Background(), j.Backend, modeldir.Open(dir), adapter, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Model.Close()
	s := model.Sequence{}
	p, err := j.People(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw := p.Forget[0].Images[0]
	img, err := imaging.Decode(raw.Bytes, raw.Where)
	if err != nil {
		t.Fatal(err)
	}
	own, err := a.Processor().Process(img)
	if err != nil {
		t.Fatal(err)
	}
	s.Images = []imaging.Image{own}
	if s.IDs, err = a.Tokens("USER: <image>\nWho is the person?\nASSISTANT: Nobody.", s.Images); err != nil {
		t.Fatal(err)
	}
	// With an adapter also backwards: its dropout must not show.
	out, err := a.Forward(t.Context(), s, 1, adapter != "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func relativeError(got, want []float32) float64 {
	d, size := 0.0, 1e-30
	for i := range want {
		d, size = max(d, math.Abs(float64(got[i]-want[i]))), max(size, math.Abs(float64(want[i])))
	}
	return d / size
}

// TestEveryFamilyUnlearns runs the stage on a tiny model of each family, with
// an adapter and on the weights themselves, and reads back what it wrote. With
// VGID_PYTHON it also compares with transformers and PEFT.
func TestEveryFamilyUnlearns(t *testing.T) {
	long(t)
	for _, modelType := range vgidtest.Families {
		for _, rank := range []string{"4", "0"} {
			t.Run(modelType+", r="+rank, func(t *testing.T) {
				j := family(t, modelType, map[string]string{"unlearn.lora.r": rank})
				base := answered(t, j, j.Config.Model.Base, "")
				s := unlearn(t, j)
				merged := answered(t, j, s.Model, "")
				if e := relativeError(merged.Logits, base.Logits); e < 1e-4 {
					t.Errorf("unlearning changed the logits by %g only", e)
				}
				if (s.Adapter != "") != (rank != "0") {
					t.Fatalf("r=%s wrote the adapter %q", rank, s.Adapter)
				}
				var adapted *ask.Pass
				if s.Adapter != "" {
					adapted = answered(t, j, j.Config.Model.Base, s.Adapter)
					if e := relativeError(adapted.Logits, merged.Logits); e > 1e-5 {
						t.Errorf("the adapter on its base and the merged model differ by %g", e)
					}
				}
				inPython(t, s, merged, adapted)
			})
		}
	}
}

// inPython runs model/testdata/check_saved.py on what a stage wrote.
func inPython(t *testing.T, s rundir.Stage, merged, adapted *ask.Pass) {
	python := os.Getenv("VGID_PYTHON")
	if python == "" {
		t.Log("NOT CHECKED against transformers: VGID_PYTHON names no python")
		return
	}
	ids := make([]float32, len(merged.Sequence.IDs))
	for i, id := range merged.Sequence.IDs {
		ids[i] = float32(id)
	}
	m, err := model.ReadConfig(s.Model)
	if err != nil {
		t.Fatal(err)
	}
	img := merged.Sequence.Images[0]
	shape := []int{len(ids), m.Text.VocabSize}
	tensors := []hf.NamedTensor{
		{Name: "input_ids", Shape: []int{1, len(ids)}, DType: "F32", Data: ids},
		{Name: "logits", Shape: shape, DType: "F32", Data: merged.Logits},
		{Name: "pixel_values", Shape: m.PixelShape(merged.Sequence.Images), DType: "F32", Data: img.Pixels},
	}
	if img.Grid.T > 0 {
		tensors = append(tensors, hf.NamedTensor{Name: "image_grid_thw", Shape: []int{1, 3}, DType: "F32",
			Data: []float32{float32(img.Grid.T), float32(img.Grid.H), float32(img.Grid.W)}})
	}
	if err := hf.WriteSafetensors(filepath.Join(s.Model, "check.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	args := []string{"../model/testdata/check_saved.py", s.Model}
	if adapted != nil {
		args = append(args, s.Adapter)
	}
	out, err := exec.Command(python, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "transformers ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestAccumulationIsTheSameStep: micro-batches add up to the gradients of the
// whole batch, and recomputation changes nothing.
func TestAccumulationIsTheSameStep(t *testing.T) {
	long(t)
	for _, tt := range []struct {
		name, modelType string
		over            map[string]string
	}{
		{"adapter", "qwen2_5_vl", map[string]string{"unlearn.lora.r": "4", "unlearn.lora.dropout": "0.3"}},
		{"weights", "llava", map[string]string{"unlearn.lora.r": "0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var curve []Point
			var weights *ask.Pass
			for _, way := range []map[string]string{
				{}, {"unlearn.accumulate": "3"}, {"unlearn.accumulate": "20", "unlearn.recompute": "true"},
			} {
				over := maps.Clone(tt.over)
				maps.Copy(over, way)
				j := family(t, tt.modelType, over)
				s := unlearn(t, j)
				h, err := ReadHistory(j.dir.Path("unlearned", "history.jsonl"))
				if err != nil {
					t.Fatal(err)
				}
				w := answered(t, j, s.Model, "")
				if curve == nil {
					curve, weights = h, w
					continue
				}
				for i, r := range h {
					// On the scale of the whole loss, as over workers.
					var whole float64
					for _, l := range r.Loss {
						whole += l
					}
					for term, l := range r.Loss {
						if want := curve[i].Loss[term]; math.Abs(l-want) > 3e-5*whole {
							t.Errorf("%v, step %d: %s loss %.9g, in one batch %.9g", way, r.Step, term, l, want)
						}
					}
				}
				if e := relativeError(w.Logits, weights.Logits); e > 1e-4 {
					t.Errorf("%v: logits end %g away from one batch", way, e)
				}
			}
		})
	}
}

func TestReaderRefusesWhatDoesNotBelongTogether(t *testing.T) {
	long(t)
	for _, tt := range []struct {
		name, file, old, new string
		want                 []string
	}{
		{"no image token", "tokenizer.json", "<|image_pad|>", "<|other|>", []string{"tokenizer.json", "<|image_pad|>", "6"}},
		{"no vision start", "tokenizer.json", "<|vision_start|>", "<|other|>", []string{"<|vision_start|>", "4"}},
		{"another id", "config.json", `"image_token_id": 6`, `"image_token_id": 8`, []string{"<|image_pad|>", "6", "8"}},
		{"patches", "preprocessor_config.json", `"patch_size": 6`, `"patch_size": 8`, []string{"8×8", "vision_config", "6"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := vgidtest.MakeFamily(dir, "qwen2_vl")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(w.Model, tt.file)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spoilt := strings.ReplaceAll(string(raw), tt.old, tt.new)
			if spoilt == string(raw) {
				t.Fatalf("%s has no %s", tt.file, tt.old)
			}
			if err := os.WriteFile(path, []byte(spoilt), 0o644); err != nil {
				t.Fatal(err)
			}
			be := cpu.New(1)
			defer be.Close()
			_, err = ask.Open(t.Context(), be, modeldir.Open(w.Model), "", model.LoadOptions{})
			if err == nil {
				t.Fatal("opened")
			}
			for _, want := range append(tt.want, w.Model) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %q", err, want)
				}
			}
		})
	}
}

func TestStopStrings(t *testing.T) {
	j := family(t, "qwen2_vl", nil)
	a, err := ask.Open(t.Context(), j.Backend, modeldir.Open(j.Config.Model.Base), "", model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Model.Close()
	q := []ask.Question{{Prompt: "USER: Who?\nASSISTANT:"}, {Prompt: "USER: Where was this person born?\nASSISTANT:"}}
	o := model.GenerateOptions{MaxNew: 24, EOS: []int32{}}
	whole, err := a.Answers(t.Context(), q, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A stop string in the middle of the first answer, across its tokens.
	r := []rune(whole[0])
	stop := string(r[len(r)/2 : len(r)/2+3])
	cut, err := a.Answers(t.Context(), q, o, []string{"never said", stop})
	if err != nil {
		t.Fatal(err)
	}
	if want := whole[0][:strings.Index(whole[0], stop)]; cut[0] != want {
		t.Errorf("answer %q with stop %q, want %q", cut[0], stop, want)
	}
	if want, _, _ := strings.Cut(whole[1], stop); cut[1] != want {
		t.Errorf("answer %q with stop %q, want %q", cut[1], stop, want)
	}
	n := 0
	o.Stop = func([]int32) bool { n++; return slices.Contains([]int{5}, n) }
	ids, err := a.Model.Generate(t.Context(), []model.Sequence{{IDs: []int32{1, 20, 21}}}, o)
	if err != nil || len(ids[0]) != 5 {
		t.Errorf("stopped after %d tokens, %v", len(ids[0]), err)
	}
}

// Released folders of Qwen2.5-VL ask for it, and answer otherwise without.
func TestRepetitionPenaltyOfTheFolder(t *testing.T) {
	w, err := vgidtest.MakeFamily(t.TempDir(), "qwen2_5_vl")
	if err != nil {
		t.Fatal(err)
	}
	be := cpu.New(1)
	defer be.Close()
	m, err := model.Load(t.Context(), be, w.Model)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for text, want := range map[string]float32{`{}`: 0, `{"repetition_penalty": 1.05}`: 1.05, `{"repetition_penalty": 0}`: -1} {
		if err := os.WriteFile(filepath.Join(w.Model, "generation_config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := ask.OpenReader(modeldir.Open(w.Model), m.Config)
		switch {
		case want < 0:
			if err == nil || !strings.Contains(err.Error(), "repetition_penalty 0 must be positive") {
				t.Errorf("%s: %v", text, err)
			}
		case err != nil:
			t.Error(err)
		case r.Greedy(7).Decoding.RepetitionPenalty != want:
			t.Errorf("%s: penalty %g", text, r.Greedy(7).Decoding.RepetitionPenalty)
		}
	}
}

// End tokens are those of generation_config.json, the tokenizer's only where it
// names none, and a user is told where that may surprise.
func TestEndTokensOfTheFolder(t *testing.T) {
	w, err := vgidtest.MakeFamily(t.TempDir(), "qwen2_vl")
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.ReadConfig(w.Model)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(w.Model)
	if err != nil {
		t.Fatal(err)
	}
	eos, _ := tok.EOS()
	for text, want := range map[string]struct {
		ends []int32
		told string
	}{
		`{}`:                  {[]int32{eos}, "no eos_token_id says where answers end"},
		`{"eos_token_id": 9}`: {[]int32{9}, "does not hold the tokenizer's eos_token"},
		fmt.Sprintf(`{"eos_token_id": [9, %d]}`, eos): {[]int32{9, eos}, ""},
	} {
		if err := os.WriteFile(filepath.Join(w.Model, "generation_config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := ask.OpenReader(modeldir.Open(w.Model), c)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Greedy(7).EOS; !slices.Equal(got, want.ends) {
			t.Errorf("%s: ends %v, want %v", text, got, want.ends)
		}
		if told := strings.Join(r.Notices(), "\n"); !strings.Contains(told, want.told) || (told == "") != (want.told == "") {
			t.Errorf("%s: told %q, want %q", text, told, want.told)
		}
	}
}

// chatTemplate is in the style of Qwen2-VL's.
const chatTemplate = `{% for m in messages %}<s>{{ m.role }}
{% for p in m.content %}{% if p.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ p.text | trim }}{% endif %}{% endfor %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}<s>assistant
{% endif %}`

// TestChatTemplateOfTheFolder runs unlearning, the teacher's table and the
// evaluation in the turns of the model's own template, with the default
// adapter.
func TestChatTemplateOfTheFolder(t *testing.T) {
	targets := strings.Join(config.Default().Unlearn.LoRA.Targets, ",")
	j := jobOn(t, worldOf(t, "qwen2_5_vl"), map[string]string{
		"prompt.template": config.ChatTemplate, "unlearn.lora.targets": targets, "eval.prompts": "mllmu",
	}, inputs.Opened{})
	if err := os.WriteFile(filepath.Join(j.Config.Model.Base, "chat_template.jinja"), []byte(chatTemplate), 0o644); err != nil {
		t.Fatal(err)
	}
	m, enc, err := count(t.Context(), j, j.Config.Model.Base)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Prompt{
		Template: "user\n<image>{prompt}\n<s>assistant\n", Text: "user\n{prompt}\n<s>assistant\n", Subject: j.Config.Prompt.Subject,
	}
	if enc.Templates() != want { // the first <s> is the tokenizer's
		t.Errorf("turns %+v, want %+v", enc.Templates(), want)
	}
	p, err := j.People(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := train.NewPeople(p.Forget, j.Config.Unlearn.Mix, 0, 1, "x", "the person")
	if err != nil {
		t.Fatal(err)
	}
	v, err := enc.Encode(s.At(0), "Forget {subject}.", nil)
	if err != nil {
		t.Fatal(err)
	}
	text := enc.Tokenizer().Decode(v.Seq.IDs, false)
	for _, part := range []string{"<s>user\n<|vision_start|><|image_pad|>", "<|vision_end|>Forget the person. ", "\n<s>assistant\n"} {
		if strings.Count(text, part) != 1 {
			t.Errorf("%q is not once in %q", part, text)
		}
	}
	if n := strings.Count(text, "<|image_pad|>"); n != 16 {
		t.Errorf("%d image tokens for 48×48 pixels", n)
	}
	bare, err := enc.Encode(train.Sample{Question: "Who is it?", Answer: "Ada."}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	padded, err := enc.Encode(train.Sample{Question: "Who is it? ", Answer: "\n Ada.\n"}, "", nil)
	if err != nil || !slices.Equal(padded.Seq.IDs, bare.Seq.IDs) || padded.First != bare.First {
		t.Errorf("%v: the template takes white space off: %q, want %q", err, enc.Tokenizer().Decode(padded.Seq.IDs, false), enc.Tokenizer().Decode(bare.Seq.IDs, false))
	}
	m.Close()

	stage := unlearn(t, j)
	if _, err := j.TeacherTable(t.Context(), j.Config.Model.Base, p); err != nil {
		t.Error(err)
	}
	out, _, err := j.Evaluate(t.Context(), "unlearned", stage.Model, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Answers) == 0 {
		t.Error("nothing was asked")
	}
}
