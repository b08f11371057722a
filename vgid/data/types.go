package data

import "math/rand/v2"

// Task is one of MLLMU-Bench's three kinds of question.
type Task string

// The tasks of MLLMU-Bench.
const (
	Classification Task = "classification" // four options, one letter
	Cloze          Task = "cloze"          // one blank
	Generation     Task = "generation"     // one sentence
)

// Modality says whether a question comes with the person's image.
type Modality string

// The modalities, spelled as MLLMU-Bench's Type column spells them.
const (
	ImageText Modality = "Image_Textual"
	Text      Modality = "Pure_Text"
)

// ImageSubject is how a question about an image names its subject.
const ImageSubject = "the person in the image"

// Image is one encoded picture, not yet decoded, and where it came from, so
// that a decoder can name the row of a corrupt one.
type Image struct {
	Bytes []byte // PNG or JPEG file contents
	Path  string // the path column; may be empty
	Where string // "file, row N, ID x", and which of several: no two share it
}

// Option is one choice of a classification question.
type Option struct {
	Letter string // "A" … "D"
	Text   string
}

// Question is one evaluation item.
type Question struct {
	Task     Task
	Modality Modality
	Text     string   // the question alone: no options, no prompt
	Answer   string   // ground truth; for Classification the correct option's text
	Options  []Option // Classification only, in letter order
	Correct  string   // Classification only: the correct letter
}

// QA is one training pair. The published files give Question and Answer only;
// such pairs read as Generation about the image.
type QA struct {
	Question string
	Answer   string
	Task     Task
	Modality Modality
	Subject  string // how the question names the person: ImageSubject or the name
}

// Profile is one person. Rows of the training layout that share an ID are
// views of the same person and are merged into one Profile.
type Profile struct {
	ID        string
	Name      string         // from the biography, else from the name question; may be empty
	Images    []Image        // at least one
	Biography map[string]any // evaluation layout; nil when absent
	Question  string         // the row's own question about the image; may be empty
	Answer    string
	Eval      []Question // evaluation layout
	Train     []QA       // training layout
}

// Draw says how often training picks each task and each modality.
// Weights need not sum to 1.
type Draw struct {
	Generation, Cloze, Classification float64
	TextOnly                          float64 // probability of a text-only item
}

// DefaultDraw is the quickstart's measured mix.
var DefaultDraw = Draw{Generation: .45, Cloze: .2, Classification: .35, TextOnly: .25}

// Pick draws one training pair: first the modality, then the task, then
// uniformly among the pairs of both. What the list does not hold is left out
// of the draw. It reports false only for an empty list.
func (d Draw) Pick(pairs []QA, r *rand.Rand) (QA, bool) {
	u, v, w := r.Float64(), r.Float64(), r.Uint64()
	if len(pairs) == 0 {
		return QA{}, false
	}
	modality := ImageText
	if u < d.TextOnly {
		modality = Text
	}
	if !anyPair(pairs, func(p QA) bool { return p.Modality == modality }) {
		modality = pairs[0].Modality
	}
	count := map[Task]int{}
	for _, p := range pairs {
		if p.Modality == modality {
			count[p.Task]++
		}
	}
	weights := [...]struct {
		task   Task
		weight float64
	}{{Generation, d.Generation}, {Cloze, d.Cloze}, {Classification, d.Classification}}
	var total float64
	for _, t := range weights {
		if count[t.task] > 0 {
			total += t.weight
		}
	}
	var task Task
	left := v * total
	for _, t := range weights {
		if count[t.task] == 0 || t.weight <= 0 {
			continue
		}
		task = t.task
		if left -= t.weight; left < 0 {
			break
		}
	}
	var of []int
	for i, p := range pairs {
		if p.Modality == modality && (task == "" || p.Task == task) {
			of = append(of, i)
		}
	}
	return pairs[of[w%uint64(len(of))]], true
}

func anyPair(pairs []QA, ok func(QA) bool) bool {
	for _, p := range pairs {
		if ok(p) {
			return true
		}
	}
	return false
}
