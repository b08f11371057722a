// Package dataset says what a benchmark holds: people, their pictures, and the
// questions about them, whatever files they come from.
package dataset

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
