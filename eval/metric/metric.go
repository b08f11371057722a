package metric

import (
	"cmp"
	"slices"

	"vgid/eval/dataset"
)

// Response is what a model said to a question, as metrics see it.
// Reference and Text are compared as they came: what a metric leaves out, as white space,
// it leaves out itself.
type Response struct {
	Task      dataset.Task
	Reference string // the ground truth; of classification the correct option's text
	Text      string // what the model said, as it came

	// Of classification alone:
	Options  []dataset.Option
	Correct  string    // the correct letter
	Chosen   string    // the letter that the protocol reads out of Text; "" for none
	LogProbs []float64 // of each option as the continuation of the prompt; nil when they were not asked for
}

// Value is a score in [0, 1] and the parts it was made of, by name.
type Value struct {
	Score float64
	Parts []Part // in the order they are printed, the same ones for every pair; nil for a metric that has none
}

// Part is a named part of a value, itself in [0, 1].
type Part struct {
	Name  string
	Value float64
}

// Column is where a table shows a metric: from left to right by At. Without a
// heading the table does without it.
type Column struct {
	Heading string
	At      int
}

// Metric is a number about single responses, and all that is known of it:
// answers files, means, tables and `vgid score` ask here. One of Compare and
// Judge is given.
type Metric struct {
	Key   string         // as files spell it
	Tasks []dataset.Task // whose responses have it
	Order int            // in lists; metrics of one Order by their keys

	// Compare scores a response against its reference by the two texts alone, so
	// that it can be asked of any pair of texts.
	Compare func(reference, response string) Value
	// Judge scores a response by all that is known of it; false where it says
	// nothing.
	Judge func(*Response) (score float64, ok bool)

	Table  Column // of the table of a run's results
	Spread Column // of the table over several runs
	Legend string // says of the heading what it means: half a sentence, "chance what …"
	// Given marks a number that the questions have and not the model: tables show
	// no differences between models.
	Given bool

	// Notice gives a line on references that the metric cannot work with, "" when
	// there is nothing to say.
	Notice func(references []string) string
}

// score is the metric of a response; false where it says nothing.
// A metric that does not speak of the response's task says nothing.
func (m *Metric) score(r *Response) (float64, bool) {
	switch {
	case !slices.Contains(m.Tasks, r.Task):
		return 0, false
	case m.Compare != nil:
		return m.Compare(r.Reference, r.Text).Score, true
	}
	return m.Judge(r)
}

// registered holds every metric by Order and key. It changes while packages are
// initialised and never after, so nothing guards it.
var registered []*Metric

// Register makes a metric known to everything that shows numbers. It is called
// by the init function of the metric's file; a metric that could not be shown is
// a programmer's error, and panics.
func Register(m Metric) {
	switch {
	case m.Key == "" || len(m.Tasks) == 0:
		panic("metric: one without a key or a task is registered")
	case (m.Compare == nil) == (m.Judge == nil):
		panic("metric: " + m.Key + " must have one of Compare and Judge")
	case Find(m.Key) != nil:
		panic("metric: " + m.Key + " is registered twice")
	}
	registered = append(registered, &m)
	slices.SortFunc(registered, func(a, b *Metric) int {
		return cmp.Or(a.Order-b.Order, cmp.Compare(a.Key, b.Key))
	})
}

// All lists the metrics by Order and key.
func All() []*Metric { return slices.Clone(registered) }

// Find is the metric of a key, nil if there is none.
func Find(key string) *Metric {
	if i := slices.IndexFunc(registered, func(m *Metric) bool { return m.Key == key }); i >= 0 {
		return registered[i]
	}
	return nil
}

// Columns lists the metrics that a table shows, from left to right.
func Columns(of func(*Metric) Column) []*Metric {
	shown := slices.DeleteFunc(All(), func(m *Metric) bool { return of(m).Heading == "" })
	slices.SortStableFunc(shown, func(a, b *Metric) int { return of(a).At - of(b).At })
	return shown
}

// Scores are all metrics of a response, by key.
func Scores(r *Response) map[string]float64 {
	scores := map[string]float64{}
	for _, m := range registered {
		if v, ok := m.score(r); ok {
			scores[m.Key] = v
		}
	}
	return scores
}

// Notices are what metrics have to say about references, one line each.
func Notices(task dataset.Task, references []string) []string {
	var out []string
	for _, m := range registered {
		if m.Notice == nil || !slices.Contains(m.Tasks, task) {
			continue
		}
		if n := m.Notice(references); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// share is 1 for a right answer: its mean is the share of right ones.
func share(right bool) float64 {
	if right {
		return 1
	}
	return 0
}
