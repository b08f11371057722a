package people

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/eval/mllmu"
)

func small(dir string) BuildConfig {
	return BuildConfig{Out: dir, Seed: 7, People: 10, ForgetPercents: []int{10, 20}, Views: 2, TestViews: 2, Celebrities: 3, ImageSize: 24}
}

func TestBuildRoundTrip(t *testing.T) {
	dir := t.TempDir()
	cfg := small(dir)
	sum, err := Build(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := formats.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Full_Set", "Retain_Set", "Test_Set", "forget_10", "forget_20", "ft_Data", "retain_80", "retain_90"}
	if got := b.Sets(); !reflect.DeepEqual(got, want) {
		t.Fatalf("sets %v, want %v", got, want)
	}
	celebrities, err := Celebrities(BaseCelebrities)
	if err != nil {
		t.Fatal(err)
	}
	people, err := People(10, 7, "fictitious", "", celebrities)
	if err != nil {
		t.Fatal(err)
	}
	full, err := b.Set(mllmu.FullSet)
	if err != nil {
		t.Fatal(err)
	}
	train, err := b.Set(mllmu.TrainSet)
	if err != nil {
		t.Fatal(err)
	}
	test, err := b.Set(mllmu.TestSet)
	if err != nil {
		t.Fatal(err)
	}
	if len(full) != 10 || len(train) != 10 || len(test) != 10 {
		t.Fatalf("people %d %d %d, want 10", len(full), len(train), len(test))
	}
	byTask := func(qs []dataset.Question) map[dataset.Task][]dataset.Question {
		m := map[dataset.Task][]dataset.Question{}
		for _, q := range qs {
			m[q.Task] = append(m[q.Task], q)
		}
		return m
	}
	for i, p := range people {
		if full[i].ID != p.ID || full[i].Name != p.Name() || train[i].Name != p.Name() {
			t.Fatalf("row %d is %s %s, want %s %s", i, full[i].ID, full[i].Name, p.ID, p.Name())
		}
		if got, want := byTask(full[i].Eval), byTask(p.EvalQuestions(7)); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: questions came back as %v, want %v", p.ID, got, want)
		}
		if got, want := train[i].Train, p.TrainPairs(7, OptionStyle); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: pairs came back as %v, want %v", p.ID, got, want)
		}
		if len(full[i].Images) != 1 || len(train[i].Images) != 2 || len(test[i].Images) != 2 {
			t.Fatalf("%s: %d, %d, %d images, want 1, 2, 2", p.ID, len(full[i].Images), len(train[i].Images), len(test[i].Images))
		}
		if !reflect.DeepEqual(full[i].Images[0].Bytes, train[i].Images[0].Bytes) {
			t.Fatalf("%s: Full_Set's image is not a training view", p.ID)
		}
		for _, u := range test[i].Images {
			for _, s := range train[i].Images {
				if reflect.DeepEqual(u.Bytes, s.Bytes) {
					t.Fatalf("%s: a test view is a training view", p.ID)
				}
			}
		}
		if !strings.Contains(train[i].Images[1].Where, "ft_Data") || !strings.HasSuffix(train[i].Images[1].Where, "ID "+p.ID) {
			t.Fatalf("image says it is from %q", train[i].Images[1].Where)
		}
	}
	forget, err := b.IDs("forget_20")
	if err != nil {
		t.Fatal(err)
	}
	retain, err := b.IDs("retain_80")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, id := range append(forget, retain...) {
		seen[id] = true
	}
	if len(forget) != 2 || len(retain) != 8 || len(seen) != 10 {
		t.Fatalf("forget %v and retain %v do not part the 10 people", forget, retain)
	}
	ev, err := b.Evaluation("forget_20")
	if err != nil {
		t.Fatal(err)
	}
	un, err := b.Unseen("forget_20")
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range forget {
		if ev[i].ID != id || un[i].ID != id || len(ev[i].Eval) != 28 || len(un[i].Images) != 2 {
			t.Fatalf("forget row %d: evaluation %s (%d questions), unseen %s", i, ev[i].ID, len(ev[i].Eval), un[i].ID)
		}
	}
	if len(sum.Sets) != 8 {
		t.Fatalf("summary %+v", sum.Sets)
	}
}

func TestBuildDeterministic(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for i, dir := range []string{a, b} {
		cfg := small(dir)
		cfg.Workers = 1 + 3*i
		if _, err := Build(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(a, "*", "*"))
	if err != nil || len(files) != 8 {
		t.Fatal(files, err)
	}
	for _, f := range append(files, filepath.Join(a, BuildFile)) {
		rel, _ := filepath.Rel(a, f)
		x, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, rel))
		if err != nil {
			t.Fatal(err)
		}
		if string(x) != string(y) {
			t.Errorf("%s differs between two builds of one configuration", rel)
		}
	}
}
