package eval

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"vgid/eval/dataset"
	"vgid/eval/mllmu"
)

// counted counts how often each set of a folder is read.
type counted struct {
	dataset.Folder
	reads map[string]int
}

func (c counted) Read(set string, keep func(id string) bool, note func(id, path string)) ([]dataset.Profile, error) {
	c.reads[set]++
	return c.Folder.Read(set, keep, note)
}

// benchmark writes ten people, p000 of whom is in forget_10, and two outsiders.
func benchmark(t *testing.T) counted {
	t.Helper()
	dir := t.TempDir()
	all := people("p", 10)
	for i := range all {
		for k := range all[i].Images {
			all[i].Images[k].Bytes = []byte(all[i].Images[k].Where)
		}
		all[i].Train = []dataset.QA{{Question: "q", Answer: "a"}}
	}
	outside := people("o", 2)
	for i := range outside {
		outside[i].Images[0].Bytes = []byte("x")
	}
	for set, p := range map[string][]dataset.Profile{"forget_10": all[:1], "retain_90": all[1:], mllmu.TrainSet: all} {
		if err := mllmu.WriteTraining(dir, set, p); err != nil {
			t.Fatal(err)
		}
	}
	for set, p := range map[string][]dataset.Profile{mllmu.FullSet: all, mllmu.TestSet: all, mllmu.RetainSet: outside} {
		if err := mllmu.WriteEvaluation(dir, set, p, set == mllmu.TestSet); err != nil {
			t.Fatal(err)
		}
	}
	f, err := mllmu.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	return counted{f, map[string]int{}}
}

// What a run does with a benchmark, in its order: it trains, and evaluates three
// models and the teacher. Each set is read once.
func TestARunReadsEachSetOnce(t *testing.T) {
	folder := benchmark(t)
	b := dataset.New(folder)
	all := People{Sets: []string{Forget, Test, Retain, Celebrity}, Forget: "forget_10", Retain: "retain_90"}
	if _, err := b.Training(all.Forget, all.Retain); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Training(all.Retain, all.Forget); err != nil {
		t.Fatal(err)
	}
	for _, who := range []People{all, all, {Sets: []string{Forget}, Forget: "forget_10"}, all} {
		sets, err := ReadSets(b, who)
		if err != nil {
			t.Fatal(err)
		}
		anew, err := ReadSets(dataset.New(folder.Folder), who)
		if err != nil || !reflect.DeepEqual(sets, anew) {
			t.Fatalf("%v: kept\n%+v\nanew\n%+v", err, sets, anew)
		}
	}
	want := []string{"Full_Set", "Retain_Set", "Test_Set", "forget_10", "retain_90"}
	if got := slices.Sorted(maps.Keys(folder.reads)); !slices.Equal(got, want) {
		t.Errorf("%v were read", got)
	}
	for set, n := range folder.reads {
		if n != 1 {
			t.Errorf("%s was read %d times", set, n)
		}
	}
}

func TestReadSets(t *testing.T) {
	b := dataset.New(benchmark(t))
	sets, err := ReadSets(b, People{Sets: []string{Retain, Test, Celebrity}, Forget: "forget_10", Retain: "retain_90", Most: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sets {
		line := s.Name
		for _, p := range s.Profiles {
			line += fmt.Sprintf(" %s with %d pictures", p.ID, len(p.Images))
		}
		for _, p := range s.Full {
			line += fmt.Sprintf(", fully %s with %d", p.ID, len(p.Images))
		}
		got = append(got, line)
	}
	want := []string{"retain p001 with 1 pictures", "test p000 with 3 pictures, fully p000 with 1", "celebrity o001 with 1 pictures"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := ReadSets(b, People{Sets: []string{Forget}, Forget: "forget_20"}); err == nil {
		t.Error("a set that is not there was read")
	}
}
