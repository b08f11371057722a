package ask

import (
	"context"
	"errors"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf"
	"vgid/model/hf/modeldir"
	"vgid/vgid/vgidtest"
)

// asker is a small model with random weights and a picture file.
func asker(t *testing.T) (a *Asker, picture string) {
	t.Helper()
	w, err := vgidtest.Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	be := cpu.New(1)
	if a, err = Open(t.Context(), be, modeldir.Open(w.Model), "", model.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Model.Close()
		be.Close()
	})
	picture = filepath.Join(t.TempDir(), "p.png")
	f, err := os.Create(picture)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewRGBA(image.Rect(0, 0, 30, 20))
	for i := range img.Pix {
		img.Pix[i] = uint8(i*7 | 1)
	}
	if err := errors.Join(png.Encode(f, img), f.Close()); err != nil {
		t.Fatal(err)
	}
	return a, picture
}

// One model serves all of what follows, as making it takes most of the time.
func TestSmallModel(t *testing.T) {
	a, picture := asker(t)
	if _, err := a.Model.Trainable("*"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Asker, string)
	}{
		{"a pass and its gradients", testForward},
		{"the file of a pass", testWrittenPass},
		{"lines that are looked at", testCheckLines},
		{"folders that are none", testOpenRefuses},
		{"passes that cannot be taken", testForwardRefuses}, // which breaks the model
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, a, picture) })
	}
}

// meanLoss is the cross-entropy of a pass's labels, from its logits alone: label i is
// predicted by row i-1.
func meanLoss(p *Pass, vocab int) float64 {
	sum, n := 0.0, 0
	for i, label := range p.Labels {
		if label < 0 {
			continue
		}
		row := p.Logits[(i-1)*vocab : i*vocab]
		z := 0.0
		for _, v := range row {
			z += math.Exp(float64(v))
		}
		sum, n = sum+math.Log(z)-float64(row[label]), n+1
	}
	return sum / float64(n)
}

// The loss is that of the logits and labels beside it, and the gradients are its
// derivative: along them it rises by the square of their length.
func testForward(t *testing.T, a *Asker, picture string) {
	s, first, err := a.Answered("USER: <image>\nWho?\nASSISTANT:", " Somebody.", []string{picture})
	if err != nil {
		t.Fatal(err)
	}
	vocab := a.Config().Text.VocabSize
	p, err := a.Forward(t.Context(), s, first, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, label := range p.Labels {
		if want := s.IDs[i]; i < first && label != -100 || i >= first && label != want {
			t.Errorf("label %d is %d; the answer begins at %d, the token is %d", i, label, first, want)
		}
	}
	if want := meanLoss(p, vocab); math.Abs(p.Loss-want) > 1e-5*want {
		t.Errorf("the loss is %g, that of the logits %g", p.Loss, want)
	}
	plain, err := a.Forward(t.Context(), s, first, false)
	if err != nil || !slices.Equal(plain.Logits, p.Logits) || plain.Grads != nil {
		t.Errorf("without gradients: %d of them, the same logits: %v, %v", len(plain.Grads), slices.Equal(plain.Logits, p.Logits), err)
	}

	square, grads := 0.0, map[string][]float32{}
	for _, g := range p.Grads {
		grads[g.Name] = g.Data
		for _, v := range g.Data {
			square += float64(v) * float64(v)
		}
	}
	moved := func(by float64) float64 {
		for _, w := range a.Model.Weights {
			v, g := make([]float32, w.Value.Len()), grads["grad."+w.Name]
			if g == nil {
				continue
			}
			if err := a.Model.Backend().Download(v, w.Value); err != nil {
				t.Fatal(err)
			}
			for i := range v {
				v[i] += float32(by * float64(g[i]))
			}
			a.Model.Backend().Upload(w.Value, v)
		}
		q, err := a.Forward(t.Context(), s, first, false)
		if err != nil {
			t.Fatal(err)
		}
		return meanLoss(q, vocab)
	}
	const h = 1e-3
	up := moved(h)
	down := moved(-2 * h)
	moved(h)
	if got := (up - down) / (2 * h); math.Abs(got-square) > .02*square {
		t.Errorf("along the gradient the loss rises by %g, want %g", got, square)
	}
}

// The file of a pass has the tensors of transformers' names, types and shapes.
func testWrittenPass(t *testing.T, a *Asker, picture string) {
	for _, images := range [][]string{nil, {picture}} {
		s, first, err := a.Answered(strings.Repeat("<image>", len(images))+"Who?", " I.", images)
		if err != nil {
			t.Fatal(err)
		}
		p, err := a.Forward(t.Context(), s, first, true)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "pass.safetensors")
		if err := p.Write(path, a.Config()); err != nil {
			t.Fatal(err)
		}
		f, err := hf.OpenSafetensors(path)
		if err != nil {
			t.Fatal(err)
		}
		n, side := len(s.IDs), a.Config().Vision.ImageSize
		for _, c := range []struct {
			name, dtype string
			shape       []int
		}{
			{"input_ids", "I64", []int{1, n}}, {"labels", "I64", []int{1, n}}, {"loss", "F32", []int{1}},
			{"logits", "F32", []int{n, a.Config().Text.VocabSize}}, {"pixel_values", "F32", []int{1, 3, side, side}},
		} {
			info, ok := f.Info(c.name)
			if want := c.name != "pixel_values" || images != nil; ok != want {
				t.Errorf("%d images: %s is there: %v", len(images), c.name, ok)
			} else if ok && (info.DType != c.dtype || !slices.Equal(info.Shape, c.shape)) {
				t.Errorf("%s is %s %v, want %s %v", c.name, info.DType, info.Shape, c.dtype, c.shape)
			}
		}
		logits := make([]float32, len(p.Logits))
		if err := f.ReadF32("logits", logits); err != nil || !slices.Equal(logits, p.Logits) {
			t.Errorf("logits read are those written: %v, %v", slices.Equal(logits, p.Logits), err)
		}
		for _, g := range p.Grads {
			if info, ok := f.Info(g.Name); !ok || !slices.Equal(info.Shape, g.Shape) {
				t.Errorf("%s is %v, want %v", g.Name, info.Shape, g.Shape)
			}
		}
		if len(p.Grads) == 0 {
			t.Error("no gradients")
		}
		f.Close()
	}
}

// What a pass cannot be taken of is an error: a prompt without a row that predicts
// anything, and weights that are not numbers.
func testForwardRefuses(t *testing.T, a *Asker, _ string) {
	if _, err := a.Forward(t.Context(), model.Sequence{IDs: []int32{1}}, 0, false); err == nil || !strings.Contains(err.Error(), "the prompt is one token") {
		t.Errorf("one token: %v", err)
	}
	s, err := a.Sequence("Who is it?", nil)
	if err != nil {
		t.Fatal(err)
	}
	head := a.Model.Weights[len(a.Model.Weights)-1]
	a.Model.Backend().Fill(head.Value, float32(math.NaN()))
	var broken *model.NotFiniteError
	if _, err := a.Forward(t.Context(), s, 0, false); !errors.As(err, &broken) || !strings.Contains(err.Error(), head.Name) {
		t.Errorf("a head of NaN: %v, which should name %s", err, head.Name)
	}
}

// Every line is looked at before the first answer: its pictures, its marks and its length.
func testCheckLines(t *testing.T, a *Asker, picture string) {
	most := a.Config().Text.MaxPositions
	text := filepath.Join(t.TempDir(), "text.png")
	if err := os.WriteFile(text, []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	questions := []struct {
		q    Question
		want string
	}{
		{Question{"<image>Who?", []string{picture}}, ""},
		{Question{"<image><image>Who?", []string{picture, picture}}, ""},
		{Question{"<image>Who?", []string{picture + ".gone"}}, "no such file"},
		{Question{"<image>Who?", []string{text}}, text},
		{Question{"Who?", []string{picture}}, "of 1 images only 0 have a mark"},
		{Question{strings.Repeat("Who? ", most), nil}, "max_position_embeddings"},
	}
	var lines []Line
	for _, q := range questions {
		lines = append(lines, Line{Question: q.q, Where: "in, line 1"})
	}
	before := errors.New("read badly")
	lines = append(lines, Line{Question: Question{Prompt: "<image>"}, Err: before})
	if err := a.Check(t.Context(), lines, 5); err != nil {
		t.Fatal(err)
	}
	for i, q := range questions {
		err := lines[i].Err
		if q.want == "" && err != nil || q.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "in, line 1: ") || !strings.Contains(err.Error(), q.want)) {
			t.Errorf("%.30s: %v, want %q", q.q.Prompt, err, q.want)
		}
	}
	if got := lines[len(questions)].Err; got.Error() != before.Error() {
		t.Errorf("a line with an error has another: %v", got)
	}
	// The longest answer that fits is one that fills the positions.
	ids, err := a.Tokens("Who?", nil)
	if err != nil {
		t.Fatal(err)
	}
	for room, fits := range map[int]bool{most - len(ids): true, most - len(ids) + 1: false} {
		one := []Line{{Question: Question{Prompt: "Who?"}}}
		if err := a.Check(t.Context(), one, room); err != nil || (one[0].Err == nil) != fits {
			t.Errorf("%d tokens of an answer behind %d of %d: %v, %v", room, len(ids), most, one[0].Err, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Check(ctx, lines, 5); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

// A folder that is no model, or no adapter, is named by the file that it lacks.
func testOpenRefuses(t *testing.T, a *Asker, _ string) {
	be := cpu.New(1)
	defer be.Close()
	if _, err := Open(t.Context(), be, modeldir.Open(t.TempDir()), "", model.LoadOptions{}); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Open(t.Context(), be, modeldir.Open(a.dir), t.TempDir(), model.LoadOptions{}); err == nil || !strings.Contains(err.Error(), "adapter_config.json") {
		t.Errorf("an adapter that is none: %v", err)
	}
}
