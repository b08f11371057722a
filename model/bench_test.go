package model

import (
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/family/llava"
	"vgid/model/hf/imaging"
	"vgid/model/nn"
	"vgid/model/optim"
	"vgid/model/tape"
)

// quickstartConfig is the 1.6 M parameter model of the quickstart.
func quickstartConfig() *Config {
	return &Config{
		Type: "llava",
		Text: nn.TextConfig{
			VocabSize: 400, HiddenSize: 128, IntermediateSize: 352, Layers: 4, Heads: 4, KVHeads: 4, HeadDim: 32,
			MaxPositions: 256, RMSNormEps: 1e-5, RoPE: nn.RoPE{Theta: 1e4, Type: "default"},
		},
		Vision: nn.VisionConfig{
			HiddenSize: 128, IntermediateSize: 512, Layers: 3, Heads: 4, ImageSize: 48, PatchSize: 12, Channels: 3,
			Act: "quick_gelu",
		},
		Family: &llava.Config{
			ProjectorAct: "gelu", ProjectorBias: true, FeatureLayers: []int{-1}, FeatureSelect: "default", LayerNormEps: 1e-5, ProjectionDim: 128,
		},
		ImageTokenID: 399,
		PadTokenID:   -1, BOSTokenID: -1, DType: "float32",
	}
}

// BenchmarkStep is a training step of 32 sequences of 46 tokens, 16 of them an
// image.
func BenchmarkStep(b *testing.B) {
	for _, kind := range []string{"full", "adapter"} {
		b.Run(kind, func(b *testing.B) {
			be := cpu.New(2)
			defer be.Close()
			m, err := New(be, quickstartConfig(), 1)
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			if kind == "full" {
				_, err = m.Trainable("*")
			} else {
				_, err = m.AddLoRA(LoRAConfig{R: 16, Alpha: 32, Targets: []string{"language_model.*_proj"}})
			}
			if err != nil {
				b.Fatal(err)
			}
			o, err := optim.New(m.Set, optim.Config{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, ClipNorm: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			var seqs []Sequence
			var rows, targets []int32
			var weights []float32
			for i := range 32 {
				ids := make([]int32, 46)
				for p := range ids {
					if ids[p] = int32((7*i + 3*p) % 390); p >= 2 && p < 18 {
						ids[p] = 399
					}
				}
				seqs = append(seqs, Sequence{IDs: ids, Images: []imaging.Image{testImage(m.Config, i)}, Sample: uint32(i)})
				for p := 34; p < 45; p++ {
					rows, targets, weights = append(rows, int32(46*i+p)), append(targets, ids[p+1]), append(weights, 1./352)
				}
			}
			tp := tape.New(be, backend.F32)
			defer tp.Close()
			for b.Loop() {
				tp.Reset(tape.Options{Grad: true})
				batch, err := m.Pack(seqs)
				if err != nil {
					b.Fatal(err)
				}
				m.ZeroGrads()
				m.CE(tp, m.Hidden(tp, batch), rows, targets, weights)
				if err := m.Backward(tp, nil); err != nil {
					b.Fatal(err)
				}
				if err := o.Step(1e-3); err != nil {
					b.Fatal(err)
				}
				if _, err := o.GradNorm(); err != nil {
					b.Fatal(err)
				}
				batch.Release()
			}
			b.ReportMetric(float64(32*46*b.N)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64(tp.PeakBytes())/(1<<20), "MiB-activations")
		})
	}
}
