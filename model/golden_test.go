package model

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/hf"
	"vgid/model/hf/imaging"
	"vgid/model/optim"
	"vgid/model/params"
	"vgid/model/ref"
	"vgid/model/tape"
)

// The golden values are made by testdata/golden_llava.py and golden_qwen.py
// with transformers; golden_common.py says what a file holds.

type golden struct {
	file    *hf.Safetensors
	seqs    []Sequence
	vocab   int
	padded  int   // length of the padded rows
	first   []int // first row of each sequence that is not padding
	rows    []int32
	targets []int32
	weights []float32
}

func (g *golden) read(t testing.TB, name string) []float32 {
	t.Helper()
	info, ok := g.file.Info(name)
	if !ok {
		t.Fatalf("golden.safetensors has no %s", name)
	}
	v := make([]float32, info.Elements())
	if err := g.file.ReadF32(name, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (g *golden) ints(t testing.TB, name string) []int32 {
	t.Helper()
	raw, err := g.file.Raw(name)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]int32, len(raw)/4)
	for i := range v {
		v[i] = int32(raw[4*i]) | int32(raw[4*i+1])<<8 | int32(raw[4*i+2])<<16 | int32(raw[4*i+3])<<24
	}
	return v
}

// openGolden reads the inputs of a case.
func openGolden(t testing.TB, dir string, c *Config) *golden {
	t.Helper()
	f, err := hf.OpenSafetensors(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	g := &golden{file: f, vocab: c.Text.VocabSize}
	ids, mask, labels, images := g.ints(t, "input_ids"), g.ints(t, "attention_mask"), g.ints(t, "labels"), g.ints(t, "images")
	g.padded = len(ids) / len(images)
	row := 0
	for i := range images {
		from, to := i*g.padded, (i+1)*g.padded
		for mask[from] == 0 {
			from++
		}
		for mask[to-1] == 0 {
			to--
		}
		g.first = append(g.first, from)
		g.seqs = append(g.seqs, Sequence{IDs: ids[from:to], Sample: uint32(i)})
		for p := from + 1; p < to; p++ {
			if l := labels[p]; l >= 0 {
				g.rows, g.targets = append(g.rows, int32(row+p-1-from)), append(g.targets, l)
			}
		}
		row += to - from
	}
	g.addImages(t, images)
	for range g.rows {
		g.weights = append(g.weights, 1/float32(len(g.rows)))
	}
	return g
}

// addImages gives each sequence its share of pixel_values.
func (g *golden) addImages(t testing.TB, images []int32) {
	info, _ := g.file.Info("pixel_values")
	pixels, n := g.read(t, "pixel_values"), 0
	var grids []int32
	if _, ok := g.file.Info("image_grid_thw"); ok {
		grids = g.ints(t, "image_grid_thw")
	}
	width := len(pixels) / info.Shape[0]
	for i, count := range images {
		for range count {
			img, rows := imaging.Image{}, 1
			if grids != nil {
				img.Grid = imaging.Grid{T: int(grids[3*n]), H: int(grids[3*n+1]), W: int(grids[3*n+2])}
				rows = img.Grid.Patches()
			}
			img.Pixels, pixels = pixels[:rows*width], pixels[rows*width:]
			g.seqs[i].Images = append(g.seqs[i].Images, img)
			n++
		}
	}
	if len(pixels) != 0 {
		t.Fatalf("%d pixel values are left over", len(pixels))
	}
}

// logits runs the model without recording.
func logits(t testing.TB, m *Model, seqs []Sequence) []float32 {
	t.Helper()
	return viewLogits(t, m.View, seqs)
}

func viewLogits(t testing.TB, m View, seqs []Sequence) []float32 {
	t.Helper()
	be := m.Model().Backend()
	tp := tape.New(be, backend.F32)
	defer tp.Close()
	b, err := m.Pack(seqs)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	out := m.Logits(tp, tp.Value(m.Hidden(tp, b)))
	v := make([]float32, out.Len())
	if err := be.Download(v, out); err != nil {
		t.Fatal(err)
	}
	return v
}

// unpadded picks the rows of the sequences out of padded golden rows.
func (g *golden) unpadded(v []float32) []float32 {
	var out []float32
	for i, s := range g.seqs {
		at := g.first[i] * g.vocab
		out = append(out, v[at:at+len(s.IDs)*g.vocab]...)
	}
	return out
}

func maxAbsDiff(a, b []float32) float64 {
	d := 0.0
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// relative is the largest difference over the largest wanted element.
func relative(got, want []float32) float64 {
	size := 1e-30
	for _, v := range want {
		size = max(size, math.Abs(float64(v)))
	}
	return maxAbsDiff(got, want) / size
}

// step runs forward and backward over the golden batch and returns the loss.
func (g *golden) step(t testing.TB, m *Model, tp *tape.Tape) float64 {
	t.Helper()
	tp.Reset(tape.Options{Grad: true})
	b, err := m.Pack(g.seqs)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	m.ZeroGrads()
	loss := m.CE(tp, m.Hidden(tp, b), g.rows, g.targets, g.weights)
	if err := m.Backward(tp, nil); err != nil {
		t.Fatal(err)
	}
	rows := make([]float32, loss.Len())
	if err := loss.Download(rows); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range rows {
		sum += float64(v) / float64(len(rows))
	}
	return sum
}

func onBothBackends(t *testing.T, run func(t *testing.T, be backend.Backend)) {
	for _, open := range []func() backend.Backend{
		func() backend.Backend { return ref.New() },
		func() backend.Backend { return cpu.New(2) },
	} {
		be := open()
		name, _, _ := strings.Cut(be.Name(), "(")
		t.Run(name, func(t *testing.T) { run(t, be) })
		if err := be.Close(); err != nil {
			t.Error(err)
		}
	}
}

func goldenFolders(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) < 10 {
		t.Fatalf("golden folders: %v %v", dirs, err)
	}
	return dirs
}

// TestAgainstTransformers holds logits and gradients of every golden model
// against transformers. The relative error of a tensor is max|Δ| / max|ref|.
func TestAgainstTransformers(t *testing.T) {
	for _, dir := range goldenFolders(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			onBothBackends(t, func(t *testing.T, be backend.Backend) { againstTransformers(t, be, dir) })
		})
	}
}

func againstTransformers(t *testing.T, be backend.Backend, dir string) {
	t.Helper()
	m, err := Load(context.Background(), be, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	g := openGolden(t, dir, m.Config)
	d := relative(logits(t, m, g.seqs), g.unpadded(g.read(t, "logits")))
	if !(d <= 1e-4) {
		t.Errorf("relative error of the logits %g", d)
	}
	if _, err := m.Trainable("*"); err != nil {
		t.Fatal(err)
	}
	tp := tape.New(be, backend.F32)
	defer tp.Close()
	loss, want := g.step(t, m, tp), float64(g.read(t, "loss")[0])
	if math.Abs(loss-want) > 1e-5*want {
		t.Errorf("loss %g, want %g", loss, want)
	}
	worst := g.compareGrads(t, m)
	t.Logf("relative error of logits %.2g, loss %.7g vs %.7g, of the worst gradient %.2g", d, loss, want, worst)

	prompts := slices.Clone(g.seqs)
	out, err := m.Generate(context.Background(), prompts, GenerateOptions{MaxNew: 8})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Concat(out...), g.ints(t, "generated"); !slices.Equal(got, want) {
		t.Errorf("generated %v, want %v", got, want)
	}
}

// compareGrads compares every golden gradient and returns the worst error.
func (g *golden) compareGrads(t *testing.T, m *Model) float64 {
	t.Helper()
	byName := map[string]*params.Weight{}
	for _, w := range m.Weights {
		byName[w.Name] = w
	}
	worst, n := 0.0, 0
	for _, name := range g.file.Names() {
		own, ok := strings.CutPrefix(name, "grad.")
		if !ok {
			continue
		}
		w := byName[m.Config.Family.DiskName(own)]
		if w == nil || !w.Trainable {
			t.Errorf("%s is not trained here", own)
			continue
		}
		got, want := make([]float32, w.Grad.Len()), g.read(t, name)
		if err := m.Backend().Download(got, w.Grad); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "k_proj.bias") && largest(want) < 1e-6 {
			// Without rotary positions softmax does not see a shift of all
			// keys: both are rounding noise around zero.
			if largest(got) > 1e-6 {
				t.Errorf("%s: %g, want about zero", name, largest(got))
			}
			n++
			continue
		}
		e := relative(got, want)
		if !(e <= 1e-3) {
			t.Errorf("%s: relative error %g", name, e)
		}
		worst = max(worst, e)
		n++
	}
	trained := 0
	for _, w := range m.Weights {
		if w.Trainable {
			trained++
		}
	}
	if n != trained {
		t.Errorf("%d golden gradients for %d trained weights", n, trained)
	}
	return worst
}

func largest(v []float32) float64 { return maxAbsDiff(v, make([]float32, len(v))) }

func TestAdapterTrainsAsInPEFT(t *testing.T) {
	n := 0
	for _, dir := range goldenFolders(t) {
		if _, err := os.Stat(filepath.Join(dir, "adapter")); err != nil {
			continue
		}
		n++
		t.Run(filepath.Base(dir), func(t *testing.T) {
			onBothBackends(t, func(t *testing.T, be backend.Backend) { adapterTrains(t, be, dir) })
		})
	}
	if n < 3 {
		t.Errorf("only %d golden adapters", n)
	}
}

func adapterTrains(t *testing.T, be backend.Backend, dir string) {
	m, err := Load(context.Background(), be, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.LoadAdapter(filepath.Join(dir, "adapter"), AdapterOptions{}); err != nil {
		t.Fatal(err)
	}
	g := openGolden(t, dir, m.Config)
	o, err := optim.New(m.Set, optim.Config{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: 0.02, ClipNorm: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	tp := tape.New(be, backend.F32)
	defer tp.Close()
	worst := 0.0
	curve := g.read(t, "curve")
	for i, want := range curve {
		got := g.step(t, m, tp)
		worst = max(worst, math.Abs(got-float64(want))/float64(want))
		if err := o.Step(1e-2); err != nil {
			t.Fatal(err)
		}
		if worst > 1e-3 {
			t.Fatalf("step %d: loss %g, PEFT %g", i, got, want)
		}
	}
	want := g.unpadded(g.read(t, "adapter.logits"))
	d := maxAbsDiff(logits(t, m, g.seqs), want)
	if !(d <= 1e-2) {
		t.Errorf("logits after training differ by %g", d)
	}
	if err := m.MergeLoRA(); err != nil {
		t.Fatal(err)
	}
	merged := maxAbsDiff(logits(t, m, g.seqs), want)
	if !(merged <= 1e-2) {
		t.Errorf("logits after merging differ by %g", merged)
	}
	t.Logf("loss %.4g to %.4g, worst relative error %.2g, logits %.2g, merged %.2g", curve[0], curve[len(curve)-1], worst, d, merged)
}
