package formats

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/mllmu"
)

// A format as its file has it: one JSON file, people.json, of set names with people.
func init() {
	Register(Format{Name: "people.json", Find: func(dir string) (dataset.Folder, error) {
		f := jsonFolder{dir: dir}
		b, err := os.ReadFile(f.path())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &dataset.Unlike{Reason: "no people.json"}
		}
		if err == nil {
			err = json.Unmarshal(b, &f.sets)
		}
		return f, err
	}})
}

type jsonFolder struct {
	dir  string
	sets map[string][]dataset.Profile
}

func (f jsonFolder) path() string         { return filepath.Join(f.dir, "people.json") }
func (f jsonFolder) Dir() string          { return f.dir }
func (f jsonFolder) Sets() []string       { return slices.Sorted(maps.Keys(f.sets)) }
func (f jsonFolder) Roles() dataset.Roles { return dataset.Roles{Unseen: "seen anew"} }

func (f jsonFolder) Read(set string, keep func(string) bool, note func(id, path string)) ([]dataset.Profile, error) {
	note("", f.path())
	return slices.DeleteFunc(slices.Clone(f.sets[set]), func(p dataset.Profile) bool { return !keep(p.ID) }), nil
}

const twoPeople = `{
	"gone": [{"ID": "1", "Name": "Ada", "Eval": [{"Task": "generation", "Modality": "Pure_Text", "Text": "Who?", "Answer": "Ada."}]}],
	"kept": [{"ID": "2", "Name": "Bo", "Train": [{"Question": "Who?", "Answer": "Bo."}]}],
	"seen anew": [{"ID": "1", "Name": "Ada", "Eval": []}]}`

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A format that is registered in one file is opened, read, told apart and asked
// about as the others are.
func TestAFormatIsOneFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "people.json", twoPeople)
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := eval.ReadSets(b, eval.People{Sets: []string{eval.Forget, eval.Test}, Forget: "gone", Retain: "kept"})
	if err != nil || len(sets) != 2 || sets[0].Profiles[0].Eval[0].Answer != "Ada." {
		t.Fatalf("%+v, %v", sets, err)
	}
	if people, err := b.Training("kept"); err != nil || people[0].Train[0].Answer != "Bo." {
		t.Errorf("%+v, %v", people, err)
	}
	for want, read := range map[string]func() ([]dataset.Profile, error){
		"has no people that are kept from training":     b.Outside,
		"set gone (" + dir + "/people.json): no column": func() ([]dataset.Profile, error) { return b.Training("gone") },
	} {
		if _, err := read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What no format knows is refused with what each of them misses.
func TestWhatAFolderIsInstead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "notes.txt", "")
	want := "data folder " + dir + ": no parquet files, neither <set>/*.parquet nor data/<set>-00000-of-00001.parquet; " +
		"run vgid data build, or give another folder; it holds notes.txt"
	if _, err := Open(dir); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "; or no people.json") {
		t.Errorf("%v, want %s", err, want)
	}
	write(t, dir, "people.json", "{")
	if _, err := Open(dir); err == nil || !strings.HasPrefix(err.Error(), "data folder "+dir+": unexpected end of JSON") {
		t.Errorf("of a format and unusable: %v", err)
	}
	write(t, dir, "people.json", twoPeople)
	person := dataset.Profile{ID: "1", Train: []dataset.QA{{Question: "q", Answer: "a"}}, Images: []dataset.Image{{Bytes: []byte("x")}}}
	if err := mllmu.WriteTraining(dir, "gone", []dataset.Profile{person}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "it can be read as MLLMU-Bench (parquet) and as people.json") {
		t.Errorf("of two formats: %v", err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	defer func() {
		if said := recover(); said == nil {
			t.Error("a name was taken twice")
		}
	}()
	Register(Format{Name: "people.json", Find: registered[0].Find})
}
