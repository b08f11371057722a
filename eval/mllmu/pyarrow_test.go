package mllmu

import (
	"reflect"
	"strings"
	"testing"

	"vgid/eval/dataset"
)

// The files under testdata/mllmu are pyarrow's (testdata/mllmu.py): two names
// for list elements, two folder arrangements, two test files, an empty and a
// missing list.
func TestReadPyarrow(t *testing.T) {
	for _, dir := range []string{"testdata/mllmu/item", "testdata/mllmu/element"} {
		b, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		full, err := b.Set(FullSet)
		if err != nil {
			t.Fatal(err)
		}
		if len(full) != 2 || full[1].ID != "002" || full[1].Name != "Name 2" || string(full[1].Images[0].Bytes) != "\x02\x03" || full[1].Images[0].Path != "2.png" {
			t.Fatalf("%s: %+v", dir, full)
		}
		options := []dataset.Option{{Letter: "A", Text: "pilot"}, {Letter: "B", Text: "baker"}, {Letter: "C", Text: "miner"}, {Letter: "D", Text: "nurse"}}
		choice := dataset.Question{Task: dataset.Classification, Modality: dataset.ImageText, Text: "Job of 2?", Answer: "baker", Options: options, Correct: "B"}
		want := []dataset.Question{choice, choice,
			{Task: dataset.Generation, Modality: dataset.ImageText, Text: "question 2", Answer: "truth 2"},
			{Task: dataset.Generation, Modality: dataset.Text, Text: "question 2", Answer: "truth 2"},
			{Task: dataset.Cloze, Modality: dataset.Text, Text: "question 2", Answer: "truth 2"}}
		if !reflect.DeepEqual(full[1].Eval, want) {
			t.Errorf("%s: questions %+v, want %+v", dir, full[1].Eval, want)
		}
		if len(full[0].Eval) != 3 {
			t.Errorf("%s: %d questions of row 0, want 3", dir, len(full[0].Eval))
		}
	}
	b, err := open("testdata/mllmu/item")
	if err != nil {
		t.Fatal(err)
	}
	test, err := b.Set(TestSet)
	if err != nil {
		t.Fatal(err)
	}
	if len(test) != 2 || len(test[1].Images) != 2 || string(test[1].Images[1].Bytes) != "\x0c\x0d" {
		t.Errorf("Test_Set %+v", test)
	}
	if b, err = open("testdata/mllmu/element"); err != nil {
		t.Fatal(err)
	}
	// forget_5 is the evaluation file here: its pairs come from ft_Data.
	train, err := b.Training("forget_5")
	if err != nil {
		t.Fatal(err)
	}
	pair := dataset.QA{
		Question: "What is the name of this person?", Answer: "The person's name is Name 2.",
		Task: dataset.Generation, Modality: dataset.ImageText, Subject: dataset.ImageSubject,
	}
	if len(train) != 1 || train[0].Name != "Name 2" || !reflect.DeepEqual(train[0].Train, []dataset.QA{pair}) {
		t.Errorf("training pairs %+v", train)
	}
}

// A set of pyarrow's without rows has a row group without pages.
func TestReadPyarrowWithoutRows(t *testing.T) {
	b, err := open("testdata/mllmu/empty")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Training("forget_5"); err == nil || !strings.Contains(err.Error(), "forget_5") || !strings.Contains(err.Error(), "holds no rows") {
		t.Errorf("an empty set: %v", err)
	}
}
