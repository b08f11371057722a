// Package stepbench measures training steps of the quickstart model, and of
// the same model in PyTorch beside it where there is a Python that has one.
package stepbench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/hf/imaging"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
	"vgid/model/optim"
	"vgid/model/tape"
	"vgid/vgid/quickstart"
)

// Options say what is measured.
type Options struct {
	Threads []int // each is measured
	Steps   int   // of a round
	Rounds  int   // of both programs in turn
	PyTorch
	// Open makes the device to measure; nil: the CPU, with each number of threads.
	Open func() (backend.Backend, error)
	// Samples of a step; 0: 32.
	Samples int
}

// Row is the result for one number of threads. The batch is full fine-tuning
// of 32 samples: forward, backward, clipping, AdamW, in float32.
type Row struct {
	Threads         int     `json:"threads"`
	Tokens          int     `json:"tokens_per_step"` // real tokens, no padding
	StepMS          float64 `json:"step_ms"`         // median over rounds of the round's median
	TokensPerS      float64 `json:"tokens_per_s"`
	TorchStepMS     float64 `json:"torch_step_ms,omitempty"`
	TorchTokensPerS float64 `json:"torch_tokens_per_s,omitempty"`
	Ratio           float64 `json:"ratio,omitempty"` // of tokens/s; above 1 vgid is faster
}

// shape is the batch, as bench_step.py reads it.
type shape struct {
	Lengths []int  `json:"lengths"`
	Images  []bool `json:"images"`
	Answers []int  `json:"answers"`
}

// batch has the lengths of quickstart fine-tuning: 25 % of the samples without
// an image, questions of 14 to 34 tokens, answers of 2 to 12.
// The lengths are a fixed pattern and not drawn, so that PyTorch can be given the same
// and results of different days compare.
func batch(n, imageTokens int) shape {
	var s shape
	for i := range n {
		q, a := 14+(i*7)%21, 2+(i*5)%11
		image := i%4 != 0
		if image {
			q += imageTokens
		}
		s.Lengths = append(s.Lengths, q+a)
		s.Images = append(s.Images, image)
		s.Answers = append(s.Answers, a)
	}
	return s
}

// Run measures every number of threads.
func Run(ctx context.Context, o Options) (Rows, error) {
	var rows Rows
	for _, n := range o.Threads {
		r, err := run(ctx, n, o)
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func run(ctx context.Context, threads int, o Options) (Row, error) {
	open := o.Open
	if open == nil {
		open = func() (backend.Backend, error) { return cpu.New(threads), nil }
	}
	be, err := open()
	if err != nil {
		return Row{}, err
	}
	defer be.Close()
	t, err := newTraining(be, cmp.Or(o.Samples, defaultSamples))
	if err != nil {
		return Row{}, err
	}
	defer t.close()
	row := Row{Threads: threads, Tokens: t.tokens}
	ours := &bench.Program[float64]{Measure: func(ctx context.Context, _ int) (float64, error) { return round(ctx, o.Steps, t.train) }}
	theirs := &bench.Program[float64]{Measure: func(ctx context.Context, _ int) (float64, error) { return torch(ctx, t, threads, o) }}
	programs := []*bench.Program[float64]{ours}
	if o.Python != "" {
		programs = append(programs, theirs)
	}
	if err := bench.InTurn(ctx, o.Rounds, programs...); err != nil {
		return row, err
	}
	ms := func(ms float64) float64 { return ms }
	row.StepMS = ours.Median(ms)
	row.TokensPerS = float64(row.Tokens) / row.StepMS * 1000
	if o.Python != "" {
		row.TorchStepMS = theirs.Median(ms)
		row.TorchTokensPerS = float64(row.Tokens) / row.TorchStepMS * 1000
		row.Ratio = row.TokensPerS / row.TorchTokensPerS
	}
	return row, nil
}

// training is a model in training.
// What belongs together: rows[i] is the row of the packed batch that predicts targets[i],
// with weight weights[i], and losses[i] is its cross-entropy in nats after a step.
// tokens is the length of the packed batch.
type training struct {
	be      backend.Backend
	m       *model.Model
	opt     *optim.Optimizer
	tape    *tape.Tape
	shape   shape
	seqs    []model.Sequence
	rows    []int32
	targets []int32
	weights []float32
	losses  []float32
	tokens  int
	step    uint32
}

// A batch of the quickstart's fine-tuning.
const defaultSamples = 32

// Curve trains on a device, which stays the caller's, and gives the loss of each
// step. Eight samples make a step.
// The data are the same in every step, so that the loss falls and a device that computes
// wrong leaves the curve; a step's loss is the weighted mean in nats, summed in float64.
func Curve(ctx context.Context, be backend.Backend, steps int) ([]float64, error) {
	b, err := newTraining(be, 8)
	if err != nil {
		return nil, err
	}
	defer b.close()
	var curve []float64
	for range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := b.train(); err != nil {
			return nil, err
		}
		loss := 0.0
		for i, l := range b.losses {
			loss += float64(b.weights[i]) * float64(l)
		}
		curve = append(curve, loss)
	}
	return curve, nil
}

func newTraining(be backend.Backend, samples int) (*training, error) {
	cfg, err := quickstart.Config()
	if err != nil {
		return nil, err
	}
	b := &training{be: be}
	if b.m, err = model.New(b.be, cfg, 1); err != nil {
		return nil, err
	}
	if _, err := b.m.Trainable("*"); err != nil {
		b.m.Close()
		return nil, err
	}
	if b.opt, err = optim.New(b.m.Set, optim.Config{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: 0.02, ClipNorm: 1}); err != nil {
		b.m.Close()
		return nil, err
	}
	b.tape = tape.For(b.be)
	b.shape = batch(samples, cfg.ImageTokens(imaging.Grid{}))
	side := cfg.Vision.ImageSize
	for i, n := range b.shape.Lengths {
		s := model.Sequence{Sample: uint32(i)}
		if b.shape.Images[i] {
			for range cfg.ImageTokens(imaging.Grid{}) {
				s.IDs = append(s.IDs, int32(cfg.ImageTokenID))
			}
			// Noise and not faces: the time does not depend on what is seen.
			px := make([]float32, 3*side*side)
			backend.FillRandom(px, backend.Normal, backend.Key{}, uint32(i))
			s.Images = []imaging.Image{{Pixels: px}}
		}
		for len(s.IDs) < n {
			s.IDs = append(s.IDs, int32(10+(i*131+len(s.IDs)*17)%(cfg.Text.VocabSize-10)))
		}
		for k := range b.shape.Answers[i] {
			// The targets are arbitrary, so that it does not matter which row has which.
			b.rows = append(b.rows, int32(b.tokens+n-b.shape.Answers[i]+k))
			b.targets = append(b.targets, int32((i*37+k*101)%cfg.Text.VocabSize))
		}
		b.tokens += n
		b.seqs = append(b.seqs, s)
	}
	for range b.rows {
		b.weights = append(b.weights, 1/float32(len(b.rows)))
	}
	b.losses = make([]float32, len(b.rows))
	return b, nil
}

func (b *training) close() {
	b.tape.Close()
	b.opt.Close()
	b.m.Close()
}

// round is the median time of a step, in milliseconds, after three to warm up.
func round(ctx context.Context, steps int, train func() error) (float64, error) {
	var ms []float64
	for i := range steps + 3 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := train(); err != nil {
			return 0, err
		}
		if i >= 3 {
			ms = append(ms, time.Since(begin).Seconds()*1000)
		}
	}
	return measure.Median(ms), nil
}

func (b *training) train() error {
	batch, err := b.m.Pack(b.seqs)
	if err != nil {
		return err
	}
	defer batch.Release()
	b.m.ZeroGrads()
	b.tape.Reset(tape.Options{Grad: true, Step: b.step})
	b.step++
	loss := b.m.CE(b.tape, b.m.Hidden(b.tape, batch), b.rows, b.targets, b.weights)
	if err := b.m.Backward(b.tape, func(int) {}); err != nil {
		return err
	}
	if err := b.opt.Step(1e-3); err != nil {
		return err
	}
	// This waits for the device: without it the time would be that of queueing.
	return loss.Download(b.losses)
}

// torch runs the same steps in PyTorch, in a process of its own.
// It pads its batches, as PyTorch's attention wants them, while tokens counts real ones
// for both.
func torch(ctx context.Context, b *training, threads int, o Options) (float64, error) {
	lengths, err := json.Marshal(b.shape)
	if err != nil {
		return 0, err
	}
	r, err := o.PyTorch.run(ctx, "bench_step.py", "--lengths", lengths, "--threads", strconv.Itoa(threads),
		"--vocab", strconv.Itoa(b.m.Config.Text.VocabSize), "--steps", strconv.Itoa(o.Steps), "--warmup", "3")
	return r.StepMS, err
}

// Rows are the results of all numbers of threads.
type Rows []Row

// Table prints rows for people.
func (rows Rows) Table(to io.Writer) error {
	t := bench.Table{Right: true}
	t.Rowf("threads\ttokens/step\tms/step\ttokens/s\ttorch ms/step\ttorch tokens/s\tratio")
	for _, r := range rows {
		other := "-\t-\t-"
		if r.Ratio > 0 {
			other = fmt.Sprintf("%.1f\t%.0f\t%.2f", r.TorchStepMS, r.TorchTokensPerS, r.Ratio)
		}
		t.Rowf("%d\t%d\t%.1f\t%.0f\t%s", r.Threads, r.Tokens, r.StepMS, r.TokensPerS, other)
	}
	return t.Write(to)
}
