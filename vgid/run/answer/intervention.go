package answer

import (
	"fmt"
	"strings"

	"vgid/eval"
	"vgid/eval/prompts"
	"vgid/model/hf/imaging"
	"vgid/vgid/ask"
	"vgid/vgid/train"
	"vgid/vgid/train/noise"
)

// Intervention is one way to disturb the teacher of a method: what is put between it
// and the question.
type Intervention struct {
	Name               string
	Noise, Instruction bool // the halves that it has
}

// The last changes nothing: what the model says by itself, to compare with.
var interventions = []Intervention{
	{"noise + instruction", true, true},
	{"noise", true, false},
	{"instruction", false, true},
	{"none", false, false},
}

// Disturbance changes an item's prompt, which it returns, and its images, in place.
type Disturbance func(it *eval.Item, prompt string, images []imaging.Image) (string, error)

// Interventions lists what a method shows its teacher: each half that it has, both,
// and neither, to compare with.
func Interventions(n train.Needs) (out []Intervention) {
	for _, iv := range interventions {
		if (n.Noise || !iv.Noise) && (n.Instruction || !iv.Instruction) {
			out = append(out, iv)
		}
	}
	return out
}

// Disturb is the intervention as an Answerer makes it, with an instruction for the
// subject of each picture. n may be nil where there is no noise in it.
// Noise is drawn for step 0 and the item's index, the same at every look.
func (iv Intervention) Disturb(n *noise.Noise, instruction, subject string) Disturbance {
	return func(it *eval.Item, prompt string, images []imaging.Image) (string, error) {
		if iv.Noise && it.Own >= 0 {
			images[it.Own] = n.Apply(images[it.Own], 0, uint32(it.Index))
		}
		if !iv.Instruction {
			return prompt, nil
		}
		// The instruction goes before the question, as in training.
		u := strings.ReplaceAll(instruction, "{subject}", subject)
		at := strings.LastIndex(prompt, it.Asked)
		if at < 0 {
			return "", fmt.Errorf("question %q is not part of its prompt", ask.Clip(it.Asked))
		}
		line := strings.LastIndex(prompt[:at], "\n") + 1
		if i := strings.LastIndex(prompt[line:at], prompts.ImageMark); i >= 0 { // and behind the image
			line += i + len(prompts.ImageMark)
		}
		return prompt[:line] + u + " " + prompt[line:], nil
	}
}
