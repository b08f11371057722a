package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"vgid/model/kit/hftest"
)

// bpeModel is what a trainer decides of tokenizer.json.
type bpeModel struct {
	Vocab  map[string]int32
	Merges [][2]string
}

func readModel(t *testing.T, dir string) bpeModel {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var j tokenizerJSON
	var m bpeModel
	if err := json.Unmarshal(b, &j); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(j.Model, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func goldenCorpus(t *testing.T) []string {
	var texts []string
	hftest.Golden(t, "gpt2/corpus.json.gz", &texts)
	return texts
}

// The reference trainer learns the same vocabulary and merges from the corpus.
func TestTrainEqualsReference(t *testing.T) {
	dir := t.TempDir()
	if err := TrainBPE(dir, slices.Values(goldenCorpus(t)), TrainOptions{VocabSize: 420}); err != nil {
		t.Fatal(err)
	}
	got, want := readModel(t, dir), readModel(t, "testdata/gpt2")
	if !reflect.DeepEqual(got.Vocab, want.Vocab) || !reflect.DeepEqual(got.Merges, want.Merges) {
		t.Errorf("vocabulary or merges differ from the reference trainer's: %d and %d merges", len(got.Merges), len(want.Merges))
	}
}

func TestTrainKeepWords(t *testing.T) {
	texts := goldenCorpus(t)
	keep := []string{"Zanzibar", "Aardvark", "ananananan", "émigré", "Zanz", "1984", "the", "bananarama"}
	o := TrainOptions{VocabSize: 380, KeepWords: keep, AddBOS: true}
	one, two := t.TempDir(), t.TempDir()
	if err := TrainBPE(one, slices.Values(texts), o); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(texts)
	if err := TrainBPE(two, slices.Values(texts), o); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"tokenizer.json", "tokenizer_config.json"} {
		a, errA := os.ReadFile(filepath.Join(one, f))
		b, errB := os.ReadFile(filepath.Join(two, f))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s depends on more than word counts (%v, %v)", f, errA, errB)
		}
	}
	tok := mustTokenizer(t, one)
	for _, w := range keep {
		if ids := tok.Encode(" "+w, false); len(ids) != 1 {
			t.Errorf("%q becomes %v, want one token", " "+w, ids)
		}
	}
	if n := tok.Size(); n > 380 || n < 375 {
		t.Errorf("Size %d, want at most and close to 380", n)
	}
	ids := tok.Encode("a <image> b", true)
	if ids[0] != 1 || !slices.Contains(ids, 4) {
		t.Errorf("ids %v lack <s> in front or <image>", ids)
	}
	if got := tok.Decode(ids, true); got != "a  b" {
		t.Errorf("decoded %q", got)
	}
}

func TestTrainRefusals(t *testing.T) {
	for _, c := range []struct {
		o    TrainOptions
		want string
	}{
		{TrainOptions{VocabSize: 100}, "VocabSize is 100, must be 261"},
		{TrainOptions{VocabSize: 300, KeepWords: []string{"two words"}}, `"two words" is not one word`},
		{TrainOptions{VocabSize: 300, KeepWords: []string{""}}, `"" is not one word`},
		{TrainOptions{VocabSize: 262, KeepWords: []string{"abcdefgh"}}, "too small"},
		{TrainOptions{VocabSize: 300, Special: []string{"<a>", "<a>"}}, "given twice"},
		{TrainOptions{VocabSize: 300, Special: []string{"<a>"}, AddBOS: true}, "AddBOS"},
	} {
		hftest.WantError(t, TrainBPE(t.TempDir(), slices.Values([]string{"a b"}), c.o), c.want)
	}
}
