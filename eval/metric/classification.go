package metric

import "vgid/eval/dataset"

// Classification is the key of the share of choices that are right, as the
// protocol reads them out of what was said (MLLMU-Bench, arXiv 2410.22108);
// ClassificationChance of what choosing blindly would get.
const (
	Classification       = "classification"
	ClassificationChance = "classification_chance"
)

func init() {
	choices := []dataset.Task{dataset.Classification}
	Register(Metric{
		Key: Classification, Tasks: choices, Order: 4,
		Judge:  func(r *Response) (float64, bool) { return share(r.Chosen == r.Correct), true },
		Table:  Column{Heading: "class.", At: 6},
		Spread: Column{Heading: "classification", At: 2},
	})
	// Options are not always four, so that chance is a mean as well.
	Register(Metric{
		Key: ClassificationChance, Tasks: choices, Order: 4, Given: true,
		Judge:  func(r *Response) (float64, bool) { return 1 / float64(len(r.Options)), len(r.Options) > 0 },
		Table:  Column{Heading: "chance", At: 8},
		Legend: "chance what blind choice would get",
	})
}
