package mllmu

import (
	"fmt"
	"sort"
	"strings"

	"vgid/eval/dataset"
)

// decodeEval reads the three task columns of a row. The order of its questions is
// the order that they are asked in: choices, sentences, blanks.
// The classification column is a struct of one list for each modality; the other two
// are lists whose entries name their modality in Type.
func decodeEval(rec map[string]any, where string) ([]dataset.Question, error) {
	out := []dataset.Question{} // not nil: the row has the columns, even if nothing is in them
	tasks, ok := rec["Classification_Task"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: column Classification_Task is %s, want a struct", where, describeValue(rec["Classification_Task"]))
	}
	for _, m := range []struct {
		field    string
		modality dataset.Modality
	}{{"Image_Textual_Questions", dataset.ImageText}, {"Pure_Text_Questions", dataset.Text}} {
		list, ok := tasks[m.field].([]any)
		if !ok && tasks[m.field] != nil {
			return nil, fmt.Errorf("%s: Classification_Task.%s is %s, want a list", where, m.field, describeValue(tasks[m.field]))
		}
		for i, v := range list {
			q, err := decodeChoice(v)
			if err != nil {
				return nil, fmt.Errorf("%s: Classification_Task.%s entry %d: %w", where, m.field, i, err)
			}
			q.Modality = m.modality
			out = append(out, q)
		}
	}
	for _, t := range []struct {
		column string
		task   dataset.Task
	}{{"Generation_Task", dataset.Generation}, {"Mask_Task", dataset.Cloze}} {
		list, ok := rec[t.column].([]any)
		if !ok && rec[t.column] != nil {
			return nil, fmt.Errorf("%s: column %s is %s, want a list", where, t.column, describeValue(rec[t.column]))
		}
		for i, v := range list {
			q, err := decodeSentence(v)
			if err != nil {
				return nil, fmt.Errorf("%s: %s entry %d%w", where, t.column, i, err)
			}
			q.Task = t.task
			out = append(out, q)
		}
	}
	return out, nil
}

// decodeSentence reads a question that is answered in words. Its error goes on
// behind the number of the entry.
func decodeSentence(v any) (dataset.Question, error) {
	m, _ := v.(map[string]any)
	question, ok1 := m["Question"].(string)
	answer, ok2 := m["Ground_Truth"].(string)
	kind, _ := m["Type"].(string)
	modality := dataset.Modality(kind)
	fail := func(format string, args ...any) (dataset.Question, error) {
		return dataset.Question{}, fmt.Errorf(format, args...)
	}
	switch {
	case !ok1 || !ok2:
		return fail(" has no Question or no Ground_Truth")
	case blank(question) || blank(answer): // every response holds an empty text
		return fail(" has an empty Question or Ground_Truth, which no response can be compared with; take it out")
	case modality != dataset.ImageText && modality != dataset.Text:
		return fail(": Type %q, want %s or %s", kind, dataset.ImageText, dataset.Text)
	}
	return dataset.Question{Modality: modality, Text: question, Answer: answer}, nil
}

// decodeChoice reads a question with its options, which come in the order of their
// letters: a struct's fields have none.
// Answer becomes the text of the correct option, so that every question has its answer
// in words.
func decodeChoice(v any) (dataset.Question, error) {
	m, _ := v.(map[string]any)
	text, ok := m["Question"].(string)
	if !ok || blank(text) {
		return dataset.Question{}, fmt.Errorf("no Question")
	}
	correct, _ := m["Correct_Answer"].(string)
	q := dataset.Question{Task: dataset.Classification, Text: text, Correct: strings.ToUpper(strings.TrimSpace(correct))}
	options, _ := m["Options"].(map[string]any)
	for letter, t := range options {
		if s, ok := t.(string); ok && !blank(s) { // an empty one would be the likeliest of all
			q.Options = append(q.Options, dataset.Option{Letter: letter, Text: s})
		}
	}
	sort.Slice(q.Options, func(i, j int) bool { return q.Options[i].Letter < q.Options[j].Letter })
	for _, o := range q.Options {
		if o.Letter == q.Correct {
			q.Answer = o.Text
			return q, nil
		}
	}
	return dataset.Question{}, fmt.Errorf("Correct_Answer %q is none of the %d options", correct, len(q.Options))
}
