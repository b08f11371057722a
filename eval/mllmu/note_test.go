package mllmu

import (
	"path/filepath"
	"slices"
	"testing"

	"vgid/eval/dataset"
	"vgid/model/kit/hftest"

	"github.com/parquet-go/parquet-go"
)

// Every file that a set needs is told, with those of the set that completes it.
func TestNoting(t *testing.T) {
	dir := t.TempDir()
	person := dataset.Profile{
		ID: "1", Images: []dataset.Image{{Bytes: []byte("x")}},
		Train: []dataset.QA{{Question: "q", Answer: "a"}}, Eval: []dataset.Question{{Task: dataset.Cloze, Modality: dataset.Text, Text: "q", Answer: "a"}},
	}
	one := []dataset.Profile{person}
	for _, set := range []string{TrainSet, "forget_25"} {
		if err := WriteTraining(dir, set, one); err != nil {
			t.Fatal(err)
		}
	}
	for _, set := range []string{FullSet, TestSet, RetainSet} {
		if err := WriteEvaluation(dir, set, one, set == TestSet); err != nil {
			t.Fatal(err)
		}
	}
	b, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const file = "train-00000-of-00001.parquet"
	for _, tc := range []struct {
		name string
		read func(*dataset.Benchmark) error
		want []string // sets
	}{
		{"training", func(b *dataset.Benchmark) error { _, err := b.Training("forget_25"); return err }, []string{"forget_25"}},
		{"evaluation of a training file", func(b *dataset.Benchmark) error { _, err := b.Evaluation("forget_25"); return err }, []string{"forget_25", FullSet}},
		{"other views", func(b *dataset.Benchmark) error { _, err := b.Unseen("forget_25"); return err }, []string{"forget_25", TestSet}},
		{"IDs", func(b *dataset.Benchmark) error { _, err := b.IDs(RetainSet); return err }, []string{RetainSet}},
	} {
		var got []string
		if err := tc.read(b.Noting(func(set, path string) {
			if path != filepath.Join(dir, set, file) {
				t.Errorf("%s: set %s is read from %s", tc.name, set, path)
			}
			got = append(got, set)
		})); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s reads %v, want %v", tc.name, got, tc.want)
		}
	}
}

// A picture that lies beside the file is read, so it is told.
func TestNotingPicturesBesideTheFile(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "x")
	picture := hftest.WriteFile(t, filepath.Join(dir, "imgs", "1.png"), "one")
	if err := parquet.WriteFile(filepath.Join(dir, "a.parquet"), []trainRow{{Image: imageCell{Path: "imgs/1.png"}, ID: "7", Metadata: twoWords}}); err != nil {
		t.Fatal(err)
	}
	b, err := open(top)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := b.Noting(func(_, path string) { got = append(got, path) }).Set("x"); err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(dir, "a.parquet"), picture}; !slices.Equal(got, want) {
		t.Errorf("reads %v, want %v", got, want)
	}
}
