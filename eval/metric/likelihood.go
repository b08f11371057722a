package metric

import "vgid/eval/dataset"

// ClassificationLikelihood is the key of the share of choices whose right option
// is the likeliest continuation of the prompt: what a model knows that cannot
// answer in the form that it is asked for.
const ClassificationLikelihood = "classification_likelihood"

func init() {
	Register(Metric{
		Key: ClassificationLikelihood, Tasks: []dataset.Task{dataset.Classification}, Order: 4,
		Judge: func(r *Response) (float64, bool) {
			return share(Likeliest(r.LogProbs, r.Options) == r.Correct), r.LogProbs != nil
		},
		Table:  Column{Heading: "likelih.", At: 7},
		Spread: Column{Heading: "by likelihood", At: 3},
		Legend: "likelih. how often the right option is the likeliest",
	})
}

// Likeliest is the letter of the option with the largest log-probability, the
// first of equals, or "" when there are no numbers for these options.
func Likeliest(logProbs []float64, options []dataset.Option) string {
	if len(logProbs) == 0 || len(logProbs) != len(options) {
		return ""
	}
	best := 0
	for i, p := range logProbs {
		if p > logProbs[best] {
			best = i
		}
	}
	return options[best].Letter
}
