package stepbench

import (
	"strings"

	"vgid/model"
	"vgid/model/family/llava"
	"vgid/model/hf/imaging"
)

// peaks are TFLOP/s of dense bfloat16 products with float32 sums, from NVIDIA's
// data sheets, by what the card's name contains; the first that fits counts.
var peaks = []struct {
	name   string
	tflops float64
}{
	{"H200 NVL", 835}, {"H200", 989}, {"H100 PCIe", 756}, {"H100 NVL", 835}, {"H100", 989},
	{"A100", 312}, {"L40S", 362}, {"L4", 121},
}

// peakTFLOPS is 0 for a card that is not known.
// A name counts only where it ends or a separator follows: L4 is no L40.
func peakTFLOPS(device string) float64 {
	for _, p := range peaks {
		if i := strings.Index(device, p.name); i >= 0 {
			rest := device[i+len(p.name):]
			if rest == "" || strings.ContainsRune(" -,)", rune(rest[0])) {
				return p.tflops
			}
		}
	}
	return 0
}

// flops are the floating-point operations that a step needs, two for each
// multiplication and addition, whatever a program does beyond them: forward,
// 2·tokens·(weights of linear layers) and the scores and sums of attention, half
// of them where it is causal; backward, the same again for the gradients of
// activations, attention twice, and the gradients of the adapter of that many
// trained values. Frozen weights have no gradient, a frozen tower no backward
// pass, rows without a loss no head. The vgid step adds the teacher's forward
// pass. Of the lowest layer the gradient of its input is counted though nobody
// needs it: under 1 % of LLaVA-1.5-7B.
//
// MFU is these operations, which any program needs, over what the card could do in the same time:
// recomputing costs time and does not count as work.
func flops(c *model.Config, batch, tokens, answer, adapter int, vgid bool) float64 {
	t, v := &c.Text, &c.Vision
	// Of each layer: queries and output, keys and values, gate, up and down projection.
	d, n := float64(t.HiddenSize), float64(batch*tokens)
	q, kv := float64(t.Heads*t.HeadDim), float64(t.KVHeads*t.HeadDim)
	linear := 2 * n * float64(t.Layers) * (2*d*q + 2*d*kv + 3*d*float64(t.IntermediateSize))
	// A row's scores and its weighted sum are 2·q·tokens each; the causal mask halves both.
	attention := 2 * float64(t.Layers) * q * n * float64(tokens)
	head := 2 * float64(batch*answer) * d * float64(t.VocabSize)

	// LLaVA takes the features of a layer below the last (vision_feature_layer); what lies
	// above it is not run.
	layers := v.Layers
	if own, ok := c.Family.(*llava.Config); ok {
		layers = own.Depth(c)
	}
	w, patches := float64(v.HiddenSize), float64((v.ImageSize/v.PatchSize)*(v.ImageSize/v.PatchSize))
	// The class token of CLIP's tower is one more.
	s := patches + 1
	tower := float64(layers)*(2*s*(4*w*w+2*w*float64(v.IntermediateSize))+4*s*s*w) + 2*patches*w*float64(v.Channels*v.PatchSize*v.PatchSize)
	projector := 2 * float64(c.ImageTokens(imaging.Grid{})) * (w*d + d*d)
	images := float64(batch) * (tower + projector)

	lora := 2 * n * float64(adapter)
	forward := linear + attention + head + images
	// Backward: gradients of activations, and the adapter's own, which are twice its forward.
	total := forward + lora + linear + 2*attention + head + 2*lora
	if vgid {
		total += forward
	}
	return total
}
