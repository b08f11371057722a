package folder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vgid/model"
	"vgid/model/adapter"
	"vgid/model/adapter/peft"
	"vgid/model/cpu"
	"vgid/model/dry"
	"vgid/model/hf/imaging"
	"vgid/model/hf/modeldir"
	"vgid/model/hf/tokenizer"
	"vgid/model/plan"
	"vgid/vgid/ask"
)

// InspectOptions say what work on a model is asked about.
type InspectOptions struct {
	Adapter string // folder; empty for one that would be made as LoRA says
	LoRA    model.LoRAConfig
	Full    bool // all weights would be trained, not an adapter
	DType   string
	// Batch, Tokens, Side and New are those of the steps that are estimated.
	Batch  int // sequences
	Tokens int // of a sequence; 0: those of an image and 128 more
	Side   int // of an image in pixels, for towers that take any size
	New    int // generated
	// Training is the method whose steps are estimated.
	Training plan.Training
	// Device is what the memory is estimated for, and how much it has and has
	// free; where Memory is 0 those of this machine count.
	Device       dry.Options
	Kind         string // of device, as the result names it: cpu or cuda
	Free, Memory int64
}

// Inspection is what a model folder holds and what work on it takes.
type Inspection struct {
	Folder string `json:"folder"`
	Family string `json:"family"`
	Text   string `json:"text"`
	Vision string `json:"vision"`

	// What the files hold: parameters by part of the model, bytes by element type, by file.
	Parts []model.PartSize `json:"parts"`
	Types []TypeSize       `json:"types"`
	Files []FileSize       `json:"files"`

	Tokenizer    string   `json:"tokenizer"` // empty where it cannot be used
	Images       string   `json:"images"`
	ChatTemplate bool     `json:"chat_template"`
	Problems     []string `json:"problems"`
	Notes        []string `json:"notes,omitempty"` // what files say twice, and differently

	Trained   string   `json:"trained"` // of what kind the list is
	Modules   []string `json:"modules"`
	Shortened string   `json:"-"` // the list as people read it

	Device string `json:"device"`      // cpu or cuda
	Free   int64  `json:"free_memory"` // of it, in bytes
	Memory int64  `json:"memory"`
	Batch  int    `json:"batch"`
	Tokens int    `json:"tokens"`
	New    int    `json:"new_tokens"`
	Steps  []Step `json:"steps"`
}

// TypeSize is how much of the files is of one element type.
type TypeSize struct {
	DType   string `json:"dtype"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

// FileSize is a weight file.
type FileSize struct {
	Name    string `json:"name"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

// Step is the memory of one step of work, and how much of it the device lacks: of
// what is allocated, on the CPU of what of it is written to.
// Missing is in bytes, 0 where the step fits.
type Step struct {
	plan.Need
	Missing int64 `json:"missing"`
}

// textBesideImage is how many tokens of text a sequence has besides its image
// where nothing is said.
const textBesideImage = 128

// Inspect looks at the headers of a model folder. What makes it unusable is an
// error, what only some commands need is listed as a problem.
//
// No weights are read. The order is that of what makes a folder unusable: config and
// names of tensors, files, then what would be trained, then memory.
func Inspect(ctx context.Context, d *modeldir.Dir, o InspectOptions) (*Inspection, error) {
	m, err := model.Layout(ctx, d)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	r := &Inspection{Folder: d.Path(), Parts: m.Sizes(), Problems: []string{}, Batch: o.Batch, New: o.New}
	r.describe(m.Config)
	if err := r.weights(d); err != nil {
		return nil, err
	}
	r.assets(d, m.Config)
	if err := r.trained(ctx, m, d, &o); err != nil {
		return nil, err
	}
	return r, r.plan(ctx, m.Config, d, o)
}

// describe words the architecture as config.json has it, the fields that people compare models
// by.
func (r *Inspection) describe(c *model.Config) {
	t, v := &c.Text, &c.Vision
	tied := ""
	if t.TieEmbeddings {
		tied = ", head tied to the embedding"
	}
	r.Family = c.Type
	r.Text = fmt.Sprintf("%d layers, width %d, MLP %d, %d heads of %d, %d of keys and values, %d tokens, %d positions%s",
		t.Layers, t.HiddenSize, t.IntermediateSize, t.Heads, t.HeadDim, t.KVHeads, t.VocabSize, t.MaxPositions, tied)
	r.Vision = fmt.Sprintf("%d layers, width %d, MLP %d, %d heads, patches of %d×%d", v.Layers, v.HiddenSize, v.IntermediateSize, v.Heads, v.PatchSize, v.PatchSize)
	if v.MergeSize > 0 {
		r.Vision += fmt.Sprintf(" merged %d×%d, images of any size", v.MergeSize, v.MergeSize)
	} else {
		r.Vision += fmt.Sprintf(", images of %d×%d, %d tokens each", v.ImageSize, v.ImageSize, c.SideTokens(0))
	}
}

// weights lists files and element types.
// The sizes of files are those on disk, headers included; those of types are the tensors'.
func (r *Inspection) weights(d *modeldir.Dir) error {
	files, err := d.Weights()
	if err != nil {
		return err
	}
	defer files.Close()
	types := map[string]*TypeSize{}
	for _, f := range files.Layout() {
		st, err := os.Stat(filepath.Join(d.Path(), f.File))
		if err != nil {
			return err
		}
		r.Files = append(r.Files, FileSize{f.File, len(f.Names), st.Size()})
		for _, n := range f.Names {
			info, _ := files.Info(n)
			t := types[info.DType]
			if t == nil {
				t = &TypeSize{DType: info.DType}
				types[info.DType] = t
			}
			t.Tensors++
			t.Bytes += info.Bytes()
		}
	}
	for _, k := range slices.Sorted(maps.Keys(types)) {
		r.Types = append(r.Types, *types[k])
	}
	return nil
}

// assets are the files beside the weights.
// What is wrong with them is a problem and no error: a folder without a tokenizer can be merged,
// for example.
func (r *Inspection) assets(d *modeldir.Dir, c *model.Config) {
	problem := func(err error) { r.Problems = append(r.Problems, strings.ReplaceAll(err.Error(), "\n", "; ")) }
	tok, terr := d.Tokenizer()
	if terr == nil {
		r.Tokenizer = fmt.Sprintf("%s, %d tokens", tok.Kind(), tok.Size())
	}
	proc, perr := d.Processor()
	switch p := proc.(type) {
	case *imaging.CLIPProcessor:
		h, w := p.Size()
		r.Images = fmt.Sprintf("CLIP, to %d×%d", w, h)
	case *imaging.QwenProcessor:
		r.Images = fmt.Sprintf("Qwen2-VL, patches of %d×%d merged %d×%d", p.Patch, p.Patch, p.Merge, p.Merge)
	}
	for _, err := range []error{terr, perr} {
		if err != nil {
			problem(err)
		}
	}
	if terr == nil && perr == nil { // whether they belong together
		rd, err := ask.OpenReader(d, c)
		if err != nil {
			problem(err)
		} else {
			r.Notes = append(r.Notes, rd.Notices()...)
		}
	}
	_, err := d.ChatTemplate()
	if r.ChatTemplate = err == nil; err != nil && !errors.Is(err, tokenizer.ErrNoChatTemplate) {
		problem(err)
	}
}

// trained lists what would be trained. An adapter that is given is checked
// against the model, and says what o.LoRA is.
func (r *Inspection) trained(ctx context.Context, m *model.Model, d *modeldir.Dir, o *InspectOptions) error {
	var err error
	switch {
	case o.Adapter != "":
		err = r.adapter(ctx, d, o)
	case o.Full:
		r.Trained = "all weights"
		r.Modules, err = m.Trainable("*")
	default:
		r.Trained = fmt.Sprintf("LoRA r=%d on %s", o.LoRA.R, strings.Join(o.LoRA.Targets, ", "))
		r.Modules, err = m.AddLoRA(o.LoRA)
	}
	r.Shortened = model.Abbreviate(r.Modules)
	return err
}

// adapter reads what an adapter's folder trains, as its own config says. The model's weights
// are loaded lazily, so that the adapter's shapes are checked and nothing large is read.
func (r *Inspection) adapter(ctx context.Context, d *modeldir.Dir, o *InspectOptions) error {
	be := cpu.New(1)
	defer be.Close()
	base, err := model.LoadDir(ctx, be, d, model.LoadOptions{Lazy: true})
	if err != nil {
		return err
	}
	defer base.Close()
	if r.Modules, err = base.LoadAdapter(o.Adapter, model.AdapterOptions{}); err != nil {
		return err
	}
	conf, files, err := peft.Read(o.Adapter)
	if err != nil {
		return err
	}
	o.LoRA = adapter.FromPEFT(&conf)
	r.Trained = fmt.Sprintf("the adapter %s, r=%d", o.Adapter, conf.R)
	return files.Close()
}

// plan estimates every kind of step, with half of textBesideImage as the answer. Where memory
// is taken when it is first written to, mapped weights do not count against what is free: they
// can be read again from their file.
func (r *Inspection) plan(ctx context.Context, c *model.Config, d *modeldir.Dir, o InspectOptions) error {
	r.Tokens = o.Tokens
	if r.Tokens == 0 {
		r.Tokens = min(c.SideTokens(o.Side)+textBesideImage, c.Text.MaxPositions-o.New)
	}
	needs, err := plan.Estimate(ctx, d, plan.Options{
		Load: model.LoadOptions{Weights: o.DType}, Device: o.Device, LoRA: o.LoRA,
		Batch: o.Batch, Tokens: r.Tokens, Answer: textBesideImage / 2, Images: 1, Side: o.Side, New: o.New, Training: o.Training,
	})
	if err != nil {
		return err
	}
	r.Device, r.Free, r.Memory = o.Kind, o.Free, o.Memory
	// A device that is elsewhere is described by its options alone.
	if r.Memory == 0 {
		if err := r.machine(); err != nil {
			return err
		}
	}
	for _, n := range needs {
		taken := n.Total
		if o.Device.OnDemand {
			taken = n.Written
		}
		r.Steps = append(r.Steps, Step{n, max(0, taken-r.Free)})
	}
	return nil
}

// machine reads this machine's memory.
// What is free is free for this process: a container's limit counts.
func (r *Inspection) machine() (err error) {
	be := cpu.New(1)
	defer be.Close()
	if r.Free, err = be.FreeBytes(); err == nil {
		r.Memory, err = cpu.TotalBytes()
	}
	return err
}
