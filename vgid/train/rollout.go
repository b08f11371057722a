package train

import (
	"context"
	"fmt"
	"strings"

	"vgid/model"
	"vgid/vgid/ask"
)

// rolloutTokens is how long an answer of the teacher's own is at most.
const rolloutTokens = 64

// rollout is the teacher's own greedy answer: forgetting without annotation.
func (o *distill) rollout(ctx context.Context, s Sample, instruction string, pixels []float32) (string, error) {
	s.Answer = ""
	v, err := o.Encoder.Encode(s, instruction, pixels)
	if err != nil {
		return "", err
	}
	v.Seq.IDs = v.Seq.IDs[:v.First+1]
	out, err := o.teacher.Generate(ctx, []model.Sequence{v.Seq}, o.Encoder.Greedy(rolloutTokens))
	if err != nil {
		return "", fmt.Errorf("the teacher's own answer to %q: %w", ask.Clip(s.Question), err)
	}
	return strings.TrimSpace(o.Encoder.Unmark(o.Encoder.Decode(out[0]))), nil
}
