package mllmu

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"vgid/eval/dataset"
	"vgid/model/kit/plaintext"
)

// taskColumns are the evaluation layout's question columns. Mask_Task holds
// the cloze questions.
var taskColumns = []string{"Classification_Task", "Generation_Task", "Mask_Task"}

// decodeProfile reads the columns of a row that its layouts have.
// The biography is optional in both layouts; of it the Name alone is looked at here.
// where begins the error lines: file, row and ID. The profile's ID is left to the
// caller, which has read it to ask whether the row is wanted.
func decodeProfile(rec map[string]any, where string, of layout, beside pictures, last *metadataCell) (dataset.Profile, error) {
	var p dataset.Profile
	var err error
	if !of.training && !of.evaluation {
		return p, fmt.Errorf("%s: columns metadata, %s are all empty; there is nothing to train on or to ask", where, strings.Join(taskColumns, ", "))
	}
	if p.Images, err = decodeImages(rec, where, beside); err != nil {
		return p, err
	}
	p.Question, _ = rec["question"].(string)
	p.Answer, _ = rec["answer"].(string)
	if s, ok := rec["biography"].(string); ok && s != "" {
		if err := json.Unmarshal([]byte(s), &p.Biography); err != nil {
			return p, fmt.Errorf("%s: column biography is not a JSON object (%w); repair the file", where, err)
		}
		p.Name, _ = p.Biography["Name"].(string)
	}
	if of.evaluation {
		if p.Eval, err = decodeEval(rec, where); err != nil {
			return p, err
		}
	}
	if of.training {
		err = decodeTraining(&p, rec, where, last)
	}
	return p, err
}

// decodeTraining reads the metadata column: the pairs, and whom they are about.
func decodeTraining(p *dataset.Profile, rec map[string]any, where string, last *metadataCell) error {
	s, ok := rec["metadata"].(string)
	if !ok {
		return fmt.Errorf("%s: column metadata is %s, want a JSON string", where, describeValue(rec["metadata"]))
	}
	if err := last.read(s); err != nil {
		return fmt.Errorf("%s: column metadata: %w", where, err)
	}
	p.Train = slices.Clone(last.pairs)
	if p.Name == "" {
		p.Name = last.name
	}
	// Where no pair asks for the name, those of our own files tell it: a pair without
	// an image has to name its subject.
	for _, q := range p.Train {
		if p.Name == "" && q.Modality == dataset.Text {
			p.Name = q.Subject
		}
	}
	for i := range p.Train {
		q := &p.Train[i]
		switch {
		case q.Subject != "":
		case q.Modality == dataset.Text:
			q.Subject = p.Name
		default:
			q.Subject = dataset.ImageSubject
		}
	}
	return nil
}

// metadataCell is a metadata cell, read. The rows of a person's views repeat it one after
// the other, each some kilobytes of JSON, so that a reader keeps the last one.
type metadataCell struct {
	text  string
	pairs []dataset.QA
	name  string // that they give, if they do
}

// read makes c the cell of a text, unless it is that already.
func (c *metadataCell) read(text string) error {
	if c.pairs != nil && c.text == text {
		return nil
	}
	pairs, err := ParseMetadata(text)
	if err != nil {
		return err
	}
	*c = metadataCell{text, pairs, FindName(pairs)}
	return nil
}

// metadataEntry is one element of the metadata list. Readers of the published
// layout use the first two keys and pass over the rest.
// Question and Answer are pointers, to tell one that is missing from one that is empty.
// Its field names are the keys of the file, written and read, so that they are part of
// the format.
type metadataEntry struct {
	Question *string
	Answer   *string
	Task     dataset.Task     `json:",omitempty"`
	Modality dataset.Modality `json:",omitempty"`
	Subject  string           `json:",omitempty"`
}

// ParseMetadata reads a metadata cell: a JSON list of objects with Question
// and Answer, and optionally our Task, Modality and Subject. Errors name the
// entry.
// An entry without a Task and a Modality, as the published ones are, is a generation
// question about the picture.
func ParseMetadata(s string) ([]dataset.QA, error) {
	if err := plaintext.CheckJSON([]byte(s)); err != nil {
		return nil, err
	}
	list, bad := readEntries(s)
	if len(list) == 0 && bad == nil {
		return nil, fmt.Errorf("an empty list; every person needs at least one Question and Answer")
	}
	out := make([]dataset.QA, len(list))
	for i, e := range list {
		if e.Question == nil || e.Answer == nil {
			return nil, fmt.Errorf("entry %d has no Question or no Answer; repair the file", i)
		}
		if blank(*e.Question) || blank(*e.Answer) {
			return nil, fmt.Errorf("entry %d has an empty Question or Answer; take it out", i)
		}
		q := dataset.QA{Question: *e.Question, Answer: *e.Answer, Task: e.Task, Modality: e.Modality, Subject: e.Subject}
		switch q.Task {
		case "":
			q.Task = dataset.Generation
		case dataset.Generation, dataset.Cloze, dataset.Classification:
		default:
			return nil, fmt.Errorf("entry %d: Task %q, want classification, cloze or generation", i, q.Task)
		}
		switch q.Modality {
		case "":
			q.Modality = dataset.ImageText
		case dataset.ImageText, dataset.Text:
		default:
			return nil, fmt.Errorf("entry %d: Modality %q, want %s or %s", i, q.Modality, dataset.ImageText, dataset.Text)
		}
		out[i] = q
	}
	if bad != nil {
		return nil, bad
	}
	return out, nil
}

// readEntries reads the list as a whole, and entry by entry where that fails: then it
// gives those before the one at fault, too.
func readEntries(s string) (list []metadataEntry, err error) {
	if err := json.Unmarshal([]byte(s), &list); err == nil {
		return list, nil
	}
	const form = `{"Question": TEXT, "Answer": TEXT}; repair the file`
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, fmt.Errorf("not a JSON list of %s", form)
	}
	list = nil
	for i, r := range raw {
		var e metadataEntry
		if err := json.Unmarshal(r, &e); err != nil {
			return list, fmt.Errorf("entry %d is not %s", i, form)
		}
		list = append(list, e)
	}
	return list, nil
}

// blank reports whether nothing but white space is in a text.
func blank(s string) bool { return strings.TrimSpace(s) == "" }

// describeValue words what a cell holds, for error lines.
// It names kind and size, not the content, which may be a whole picture.
func describeValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "empty"
	case string:
		if v == "" {
			return "an empty string"
		}
		return "a string"
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		return "a struct of " + strings.Join(keys, ", ")
	default:
		return fmt.Sprintf("%T", v)
	}
}
