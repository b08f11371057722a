package mllmu

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"vgid/eval/dataset"
	"vgid/model/plaintext"
)

// taskColumns are the evaluation layout's question columns.
var taskColumns = []string{"Classification_Task", "Generation_Task", "Mask_Task"}

// collector turns the rows of one set's files into profiles.
type collector struct {
	keep     func(id string) bool // asked about every row
	profiles []dataset.Profile
	at       map[string]int // ID → index in profiles
	rows     int
	note     func(id, path string) // told of every file before it is read
}

func (c *collector) read(path string) error {
	var training, evaluation bool
	check := func(columns []string) error {
		has := func(n string) bool { return slices.Contains(columns, n) }
		lack := func(n string) error {
			return fmt.Errorf("%s: column %s is missing; it holds %s", path, n, strings.Join(columns, ", "))
		}
		training = has("metadata")
		for _, t := range taskColumns {
			evaluation = evaluation || has(t)
		}
		switch {
		case !has("ID"):
			return lack("ID")
		case !has("image") && !has("images"):
			return lack("image")
		case !training && !evaluation:
			return lack("metadata (training) or Classification_Task (evaluation)")
		}
		if evaluation {
			for _, t := range taskColumns {
				if !has(t) {
					return lack(t)
				}
			}
		}
		return nil
	}
	c.note("", path)
	return readRows(path, check, func(n int, rec map[string]any) error {
		c.rows++
		where := fmt.Sprintf("%s, row %d", path, n)
		id, ok := rec["ID"].(string)
		if !ok || id == "" {
			return fmt.Errorf("%s: column ID is %s, want a non-empty string", where, describeValue(rec["ID"]))
		}
		if !c.keep(id) {
			return nil
		}
		where += ", ID " + id
		beside := pictures{path, func(picture string) { c.note(id, picture) }}
		dropNull(rec) // a column that is null here is none: sets that were put together have all columns of both
		p, err := decodeProfile(rec, where, training && (!evaluation || rec["metadata"] != nil), evaluation && (!training || asksAnything(rec)), beside)
		if err != nil {
			return err
		}
		p.ID = id
		i, seen := c.at[id]
		if !seen {
			c.at[id] = len(c.profiles)
			c.profiles = append(c.profiles, p)
			return nil
		}
		if p.Eval != nil || c.profiles[i].Eval != nil {
			return fmt.Errorf("%s: the ID was used by an earlier row; an evaluation set has one row a person", where)
		}
		old := &c.profiles[i]
		old.Images = append(old.Images, p.Images...)
		for _, q := range p.Train {
			if !slices.Contains(old.Train, q) {
				old.Train = append(old.Train, q)
			}
		}
		return nil
	})
}

// dropNull takes out of a row the columns that say nothing in it.
func dropNull(rec map[string]any) {
	for name, v := range rec {
		if saysNothing(v) {
			delete(rec, name)
		}
	}
}

// saysNothing reports whether a value is null, or a struct or a list of nothing else.
func saysNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, f := range v {
			if !saysNothing(f) {
				return false
			}
		}
		return true
	case []any: // an empty list says that there is none of its kind
		return len(v) > 0 && !slices.ContainsFunc(v, func(e any) bool { return !saysNothing(e) })
	}
	return false
}

func asksAnything(rec map[string]any) bool {
	return slices.ContainsFunc(taskColumns, func(t string) bool { return rec[t] != nil })
}

func decodeProfile(rec map[string]any, where string, training, evaluation bool, beside pictures) (dataset.Profile, error) {
	var p dataset.Profile
	var err error
	if !training && !evaluation {
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
	if evaluation {
		if p.Eval, err = decodeEval(rec, where); err != nil {
			return p, err
		}
	}
	if training {
		s, ok := rec["metadata"].(string)
		if !ok {
			return p, fmt.Errorf("%s: column metadata is %s, want a JSON string", where, describeValue(rec["metadata"]))
		}
		if p.Train, err = ParseMetadata(s); err != nil {
			return p, fmt.Errorf("%s: column metadata: %w", where, err)
		}
		if p.Name == "" {
			p.Name = FindName(p.Train)
		}
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
	}
	return p, nil
}

// metadataEntry is one element of the metadata list. Readers of the published
// layout use the first two keys and pass over the rest.
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
func ParseMetadata(s string) ([]dataset.QA, error) {
	if err := plaintext.CheckJSON([]byte(s)); err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, fmt.Errorf("not a JSON list of {\"Question\": TEXT, \"Answer\": TEXT}; repair the file")
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("an empty list; every person needs at least one Question and Answer")
	}
	out := make([]dataset.QA, len(raw))
	for i, r := range raw {
		var e metadataEntry
		if err := json.Unmarshal(r, &e); err != nil {
			return nil, fmt.Errorf("entry %d is not {\"Question\": TEXT, \"Answer\": TEXT}; repair the file", i)
		}
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
	return out, nil
}

func decodeEval(rec map[string]any, where string) ([]dataset.Question, error) {
	out := []dataset.Question{}
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
			m, _ := v.(map[string]any)
			question, ok1 := m["Question"].(string)
			answer, ok2 := m["Ground_Truth"].(string)
			kind, _ := m["Type"].(string)
			modality := dataset.Modality(kind)
			switch {
			case !ok1 || !ok2:
				return nil, fmt.Errorf("%s: %s entry %d has no Question or no Ground_Truth", where, t.column, i)
			case blank(question) || blank(answer): // every response holds an empty text
				return nil, fmt.Errorf("%s: %s entry %d has an empty Question or Ground_Truth, which no response can be compared with; take it out", where, t.column, i)
			case modality != dataset.ImageText && modality != dataset.Text:
				return nil, fmt.Errorf("%s: %s entry %d: Type %q, want %s or %s", where, t.column, i, kind, dataset.ImageText, dataset.Text)
			}
			out = append(out, dataset.Question{Task: t.task, Modality: modality, Text: question, Answer: answer})
		}
	}
	return out, nil
}

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

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// describeValue words what a cell holds, for error lines.
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
