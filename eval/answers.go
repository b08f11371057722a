package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"vgid/eval/dataset"
	"vgid/model/kit/plainjson"
	"vgid/model/kit/plaintext"
	"vgid/model/kit/safefile"
)

// Answer is one item with what the model said and how that was scored: a line
// of an answers file.
// Metrics are by key; one that says nothing of this answer is missing. Index and ID are
// the item's, by which the ranks' answers are put together.
type Answer struct {
	Index     int              `json:"index"`
	ID        string           `json:"id"`
	Set       string           `json:"set"`
	Person    string           `json:"person"`
	Task      dataset.Task     `json:"task"`
	Modality  dataset.Modality `json:"modality"`
	Question  string           `json:"question"`
	Reference string           `json:"reference"`
	Response  string           `json:"response"`
	// Options, Correct, Chosen ("" for none) and LogProbs are of classification.
	Options  []dataset.Option   `json:"options,omitempty"`
	Correct  string             `json:"correct,omitempty"`
	Chosen   string             `json:"chosen,omitempty"`
	LogProbs []float64          `json:"logprobs,omitempty"`
	Metrics  map[string]float64 `json:"metrics"`
}

// Scores holds means: set → modality (image_text, text) → metric.
type Scores map[string]map[string]map[string]float64

// Counts holds denominators: set → modality → task → questions asked.
// They are equal for all models of a run, or their means would be of different questions.
type Counts map[string]map[string]map[string]int

// Tally averages the answers of one model: every metric over the questions that
// have it, so that a metric of some tasks is not thinned out by the others.
func Tally(answers []Answer) (Scores, Counts, error) {
	scores, counts := Scores{}, Counts{}
	n := map[[3]string]int{}
	for _, a := range answers {
		m := ModalityKey(a.Modality)
		if scores[a.Set] == nil {
			scores[a.Set], counts[a.Set] = map[string]map[string]float64{}, map[string]map[string]int{}
		}
		if scores[a.Set][m] == nil {
			scores[a.Set][m], counts[a.Set][m] = map[string]float64{}, map[string]int{}
		}
		counts[a.Set][m][string(a.Task)]++
		for name, v := range a.Metrics {
			if !(v >= 0 && v <= 1) { // also NaN
				return nil, nil, fmt.Errorf("answer %s: metric %s is %v, outside 0 … 1", a.ID, name, v)
			}
			scores[a.Set][m][name] += v
			n[[3]string{a.Set, m, name}]++
		}
	}
	for k, count := range n {
		scores[k[0]][k[1]][k[2]] /= float64(count)
	}
	return scores, counts, nil
}

// WriteAnswers writes one JSON object a line, atomically.
func WriteAnswers(path string, answers []Answer) error {
	var b bytes.Buffer
	for i := range answers {
		line, err := json.Marshal(&answers[i])
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return safefile.WriteBytes(path, b.Bytes())
}

// ReadAnswers reads what WriteAnswers wrote.
// An error names the line; a file that is cut short is one.
func ReadAnswers(path string) ([]Answer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var answers []Answer
	err = plaintext.EachLine(f, func(n int, line []byte) error {
		var a Answer
		if err := plainjson.Unmarshal(line, &a); err != nil {
			return fmt.Errorf("%s:%d: %w; evaluate again", path, n, err)
		}
		answers = append(answers, a)
		return nil
	})
	return answers, err
}
