package ask

import (
	"context"
	"errors"
	"slices"
	"strings"

	"vgid/model"
)

// Question is a prompt of raw text with the files of its images.
type Question struct {
	Prompt string   `json:"prompt"`
	Images []string `json:"images"`
}

// questionBatch bounds the questions whose images are in memory at once.
// Pixels are what takes room: how many answers are generated at once is Generate's to say.
const questionBatch = 64

// Answers lets the model continue prompts, as o says; Greedy is what the folder
// asks for. An answer ends before the first of the stop strings. Beside an error
// are the first answers, as far as they are complete. Logits that are not finite
// are a model.NotFiniteError that counts all questions.
// Samples are numbered through all batches, so that what is drawn for a question does not
// depend on how many are in memory at once.
func (a *Asker) Answers(ctx context.Context, questions []Question, o model.GenerateOptions, stops []string) ([]string, error) {
	o.Stop = either(o.Stop, a.stopper(stops, true))
	var out []string
	for batch := range slices.Chunk(questions, questionBatch) {
		first := len(out)
		seqs := make([]model.Sequence, len(batch))
		for i, q := range batch {
			var err error
			if seqs[i], err = a.Sequence(q.Prompt, q.Images); err != nil {
				return out, err
			}
			seqs[i].Sample = uint32(first + i)
		}
		ended := make([]bool, len(batch))
		o.Ended = func(i int) { ended[i] = true }
		ids, err := a.Model.Generate(ctx, seqs, o)
		for i := range ids {
			// Only the answers before the first that did not end are complete and in order.
			if !ended[i] {
				break
			}
			out = append(out, cutAt(a.tok.Decode(ids[i], true), stops))
		}
		// Generate counts within its batch.
		var broken *model.NotFiniteError
		if errors.As(err, &broken) {
			err = &model.NotFiniteError{Prompt: first + broken.Prompt, Cause: broken.Cause}
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// stopper asks whether the text of an answer holds one of stops; without
// special tokens, where skip is set.
// It gives nil without stops, and the function is called with all ids so far.
func (r *Reader) stopper(stops []string, skip bool) func([]int32) bool {
	if len(stops) == 0 {
		return nil
	}
	longest := 0
	for _, s := range stops {
		longest = max(longest, len(s))
	}
	return func(ids []int32) bool {
		// A token is a byte at least, so the last ones hold any stop string
		// that the last one completes.
		text := r.tok.Decode(ids[max(0, len(ids)-longest-8):], skip)
		for _, s := range stops {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
}

// either asks both of two stoppers, each of which may be nil.
func either(a, b func([]int32) bool) func([]int32) bool {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	return func(ids []int32) bool { return a(ids) || b(ids) }
}

// cutAt is text before the first of stops.
// The earliest counts, whichever stop it is.
func cutAt(text string, stops []string) string {
	end := len(text)
	for _, s := range stops {
		if at := strings.Index(text, s); at >= 0 {
			end = min(end, at)
		}
	}
	return text[:end]
}
