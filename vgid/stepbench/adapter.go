package stepbench

import (
	"context"
	"embed"
	"fmt"
	"io"
	"strconv"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/kit/measure/bench"
	"vgid/model/optim"
	"vgid/model/tape"
	"vgid/vgid/quickstart"
)

// Config files of released architectures without their weights: what a step costs does
// not depend on what the weights are.
//
//go:embed shapes
var shapes embed.FS

// AdapterOptions say which adapter's training is measured.
type AdapterOptions struct {
	Shape         string // llava-7b, tiny or quickstart
	VGID          bool   // teacher and student, divergence; else the student's cross-entropy
	Batch, Tokens int    // sequences of a step and tokens of each, its image's included
	// Steps of a round are timed after three that warm up; rounds give the row its median.
	Steps, Rounds int
	// Open makes the device; RunAdapter closes it.
	Open    func() (backend.Backend, error)
	PyTorch // its interpreter has transformers and peft, too
}

// AdapterRow is the result. A step is forward, backward, clipping and AdamW of
// an adapter of rank 16 on all linear layers of the decoder; the last eighth of
// every sequence has a loss.
// Fields of PyTorch are left out where it was not asked.
type AdapterRow struct {
	Shape      string  `json:"shape"`
	Step       string  `json:"step"`
	Device     string  `json:"device"`
	Tokens     int     `json:"tokens_per_step"` // of the student
	StepMS     float64 `json:"step_ms"`         // median over rounds of the round's median
	TokensPerS float64 `json:"tokens_per_s"`
	// Counted for the shape and the batch (flops), so that both programs are held against
	// the same work.
	TFLOP    float64           `json:"tflop_per_step"`
	MFU      float64           `json:"mfu,omitempty"` // of the card's dense bfloat16 peak; 0: not known
	Peak     backend.MemoryUse `json:"-"`             // when most was held
	PeakText string            `json:"peak_memory,omitempty"`

	TorchStepMS     float64 `json:"torch_step_ms,omitempty"`
	TorchTokensPerS float64 `json:"torch_tokens_per_s,omitempty"`
	TorchMFU        float64 `json:"torch_mfu,omitempty"`
	TorchPeakBytes  int64   `json:"torch_peak_bytes,omitempty"`
	TorchAutocast   bool    `json:"torch_autocast,omitempty"` // what was faster of the two
	Ratio           float64 `json:"ratio,omitempty"`          // of tokens/s; above 1 vgid is faster
}

// Fixed, so that rows of different machines compare: PEFT is given the same.
const rank, alpha = 16, 32

// decoderLayers are all of its linear layers, for vgid and PEFT alike.
const decoderLayers = `.*language_model.*_proj`

// answer is how many tokens of a sequence have a loss.
// The head is computed for these rows alone, in PyTorch as here.
func (o *AdapterOptions) answer() int { return max(1, o.Tokens/8) }

// Shape is a model's architecture by its name, and its config.json but for the
// quickstart's.
func Shape(name string) (*model.Config, []byte, error) {
	if name == "quickstart" {
		c, err := quickstart.Config()
		return c, nil, err
	}
	raw, err := shapes.ReadFile("shapes/" + name + ".json")
	if err != nil {
		return nil, nil, fmt.Errorf("shape %q: must be llava-7b, tiny or quickstart", name)
	}
	c, err := family.ParseConfig(raw)
	return c, raw, err
}

// NoPeerError is the refusal to compare a shape that PyTorch's script cannot make.
type NoPeerError struct{ Shape string }

func (e *NoPeerError) Error() string {
	return "shape " + e.Shape + " has no counterpart in PyTorch for a step of an adapter; take llava-7b or tiny"
}

// RunAdapter measures vgid and then, on the device it has left, PyTorch.
// One after the other and not in turn, because a card holds one of the two.
func RunAdapter(ctx context.Context, o AdapterOptions) (AdapterRow, error) {
	row := AdapterRow{Shape: o.Shape, Step: "train", Tokens: o.Batch * o.Tokens}
	if o.VGID {
		row.Step = "vgid"
	}
	c, raw, err := Shape(o.Shape)
	if err != nil {
		return row, err
	}
	// bench_adapter.py makes its model from a config.json, which the quickstart has none of.
	if o.Python != "" && raw == nil {
		return row, &NoPeerError{o.Shape}
	}
	if err := o.ours(ctx, c, &row); err != nil {
		return row, err
	}
	peak := peakTFLOPS(row.Device)
	row.TokensPerS = float64(row.Tokens) / row.StepMS * 1000
	if peak > 0 {
		row.MFU = row.TFLOP / (row.StepMS / 1000) / peak
	}
	if o.Python == "" {
		return row, nil
	}
	if err := o.theirs(ctx, raw, &row); err != nil {
		return row, err
	}
	row.TorchTokensPerS = float64(row.Tokens) / row.TorchStepMS * 1000
	row.Ratio = row.TokensPerS / row.TorchTokensPerS
	if peak > 0 {
		row.TorchMFU = row.TFLOP / (row.TorchStepMS / 1000) / peak
	}
	return row, nil
}

// ours measures vgid. The device is closed before PyTorch begins: both would not fit a card side
// by side.
func (o *AdapterOptions) ours(ctx context.Context, c *model.Config, row *AdapterRow) error {
	be, err := o.Open()
	if err != nil {
		return err
	}
	defer be.Close()
	row.Device = be.Name()
	// Frozen weights are kept in the type that the device computes in, as a user would.
	weights := model.LoadOptions{Weights: "float32"}
	if be.Traits().Activations == backend.BF16 {
		weights.Weights = "bfloat16"
	}
	m, err := model.Random(be, c, 1, weights)
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.AddLoRA(model.LoRAConfig{R: rank, Alpha: alpha, Targets: []string{"re:" + decoderLayers}, Seed: 1}); err != nil {
		return err
	}
	// Betas and epsilon are PyTorch's defaults; nothing decays, as bench_adapter.py has it.
	opt, err := optim.New(m.Set, optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, ClipNorm: 1})
	if err != nil {
		return err
	}
	defer opt.Close()
	s := adapterStep{m: m, opt: opt, vgid: o.VGID, student: tape.For(be), teacher: tape.For(be)}
	defer s.student.Close()
	defer s.teacher.Close()
	if err := s.data(o); err != nil {
		return err
	}
	_, trained := m.NumParameters()
	row.TFLOP = flops(c, o.Batch, o.Tokens, o.answer(), trained, o.VGID) / 1e12
	program := &bench.Program[float64]{Measure: func(ctx context.Context, _ int) (float64, error) { return round(ctx, o.Steps, s.train) }}
	if err := bench.InTurn(ctx, o.Rounds, program); err != nil {
		return err
	}
	row.StepMS = program.Median(func(ms float64) float64 { return ms })
	if be.Traits().Accounts {
		row.Peak = be.Peak()
		row.PeakText = fmt.Sprintf("%v: %v", backend.Bytes(row.Peak.Total()), row.Peak)
	}
	return nil
}

// adapterStep is a model in training.
// Its data are made once and are the same in every step: what they are has no influence on the
// time.
//
// rows, targets, weights and losses are as long as each other, one for each token with a
// loss; the weights sum to 1, so that the loss is a mean.
type adapterStep struct {
	m                *model.Model
	opt              *optim.Optimizer
	vgid             bool
	student, teacher *tape.Tape
	seqs             []model.Sequence
	rows, targets    []int32
	weights, losses  []float32
	step             uint32
}

// data makes blank pictures and arbitrary targets. The last tokens of a sequence have the loss,
// where answers are.
func (s *adapterStep) data(o *AdapterOptions) error {
	seq, err := s.m.Config.Blank(o.Tokens, 1, 0)
	if err != nil {
		return err
	}
	for i := range o.Batch {
		seq.Sample = uint32(i)
		s.seqs = append(s.seqs, seq)
		for k := range o.answer() {
			// The row before a token predicts it.
			s.rows = append(s.rows, int32((i+1)*o.Tokens-o.answer()+k-1))
			s.targets = append(s.targets, int32((i*37+k*101)%s.m.Config.Text.VocabSize))
		}
	}
	for range s.rows {
		s.weights = append(s.weights, 1/float32(len(s.rows)))
	}
	s.losses = make([]float32, len(s.rows))
	return nil
}

// train takes a step, and waits for its losses.
// In the order of a trainer's step: pack, the teacher's pass without a record, the student's with
// one, backward, update.
func (s *adapterStep) train() error {
	m := s.m
	b, err := m.Pack(s.seqs)
	if err != nil {
		return err
	}
	defer b.Release()
	// Reset in both kinds of step, so that they differ only in the passes.
	s.teacher.Reset(tape.Options{})
	var hidden backend.Tensor
	if s.vgid {
		base := m.Base()
		// The teacher's rows are kept and the rest of its pass is given back before the
		// student's begins, so that the two are never in memory together.
		mark := s.teacher.Mark()
		hidden = s.teacher.Value(s.teacher.Release(mark, base.Rows(s.teacher, base.Hidden(s.teacher, b), s.rows)))
	}
	m.ZeroGrads()
	s.student.Reset(tape.Options{Grad: true, Step: s.step})
	s.step++
	var loss model.LossHandle
	if h := m.Hidden(s.student, b); s.vgid {
		loss = m.KL(s.student, h, s.rows, hidden, s.weights, model.KLOptions{Teacher: m.Base()})
	} else {
		loss = m.CE(s.student, h, s.rows, s.targets, s.weights)
	}
	if err := m.Backward(s.student, nil); err != nil {
		return err
	}
	if err := s.opt.Step(1e-4); err != nil {
		return err
	}
	// This waits for the device: without it the time would be that of queueing.
	return loss.Download(s.losses)
}

// theirs runs the same steps in PyTorch, in a process of its own.
// It takes the steps of all rounds at once, since its model is made anew at every start.
func (o *AdapterOptions) theirs(ctx context.Context, config []byte, row *AdapterRow) error {
	r, err := o.PyTorch.run(ctx, "bench_adapter.py", "--config", config, "--step", row.Step, "--device", "cuda",
		"--batch", strconv.Itoa(o.Batch), "--tokens", strconv.Itoa(o.Tokens), "--answer", strconv.Itoa(o.answer()),
		"--rank", strconv.Itoa(rank), "--alpha", strconv.Itoa(alpha), "--targets", decoderLayers,
		"--steps", strconv.Itoa(o.Steps*o.Rounds), "--warmup", "3")
	if err != nil {
		return err
	}
	row.TorchStepMS, row.TorchPeakBytes, row.TorchAutocast = r.StepMS, r.PeakBytes, r.Autocast
	return nil
}

// Table prints the row for people.
func (r AdapterRow) Table(to io.Writer) error {
	mfu := func(v float64) string {
		if v == 0 {
			return "unknown"
		}
		return fmt.Sprintf("%.1f %%", 100*v)
	}
	peak := "unknown"
	if r.PeakText != "" {
		peak = r.PeakText
	}
	var t bench.Table
	t.Titlef("%s, %s step of a rank-%d adapter on %s, %.4g TFLOP\n", r.Shape, r.Step, rank, r.Device, r.TFLOP)
	t.Rowf("program\ttokens/step\tms/step\ttokens/s\tMFU\tpeak memory")
	t.Rowf("vgid\t%d\t%.1f\t%.0f\t%s\t%s", r.Tokens, r.StepMS, r.TokensPerS, mfu(r.MFU), peak)
	if r.Ratio > 0 {
		peak = "unknown"
		if r.TorchPeakBytes > 0 {
			peak = backend.Bytes(r.TorchPeakBytes).String()
		}
		program := "transformers + PEFT"
		if r.TorchAutocast {
			program += ", autocast"
		}
		t.Rowf("%s\t%d\t%.1f\t%.0f\t%s\t%s", program, r.Tokens, r.TorchStepMS, r.TorchTokensPerS, mfu(r.TorchMFU), peak)
		t.Rowf("ratio of tokens/s\t\t\t%.2f", r.Ratio)
	}
	return t.Write(to)
}
