package model

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vgid/model/cpu"
	"vgid/model/hf"
)

// generationRow is an answer of transformers (testdata/golden_generation.py).
type generationRow struct {
	Model, File string
	Fields      map[string]any
	Prompt      []int32
	Sequence    *int
	Answer      []int32
	Error       string
	Otherwise   *json.RawMessage // transformers does what is refused here
}

// folder holds the row's fields where the row has them.
func (r *generationRow) folder(t *testing.T) string {
	t.Helper()
	dir, config := t.TempDir(), map[string]any{}
	b, err := os.ReadFile(filepath.Join("testdata/golden", r.Model, "config.json"))
	if err == nil {
		err = json.Unmarshal(b, &config)
	}
	if err != nil {
		t.Fatal(err)
	}
	into := config
	switch r.File {
	case "generation_config.json":
		if err := hf.WriteJSON(filepath.Join(dir, r.File), r.Fields); err != nil {
			t.Fatal(err)
		}
		into = nil
	case "text_config":
		into = config["text_config"].(map[string]any)
	}
	for name, v := range r.Fields {
		if into != nil {
			into[name] = v
		}
	}
	if err := hf.WriteJSON(filepath.Join(dir, "config.json"), config); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestGenerationConfigAsReference: settings of the folder change greedy answers
// as in transformers, or are refused where it does what is not implemented.
func TestGenerationConfigAsReference(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: answers under hundreds of generation settings")
	}
	b, err := os.ReadFile("testdata/generation.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []generationRow
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	be := cpu.New(1)
	defer be.Close()
	models, goldens := map[string]*Model{}, map[string]*golden{}
	for i := range rows {
		r := &rows[i]
		c, err := hf.ReadGenerationConfig(r.folder(t))
		m := models[r.Model]
		if m == nil {
			dir := filepath.Join("testdata/golden", r.Model)
			var err error
			if m, err = Load(context.Background(), be, dir); err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			models[r.Model], goldens[r.Model] = m, openGolden(t, dir, m.Config)
		}
		s := Sequence{IDs: r.Prompt}
		if r.Sequence != nil {
			s = goldens[r.Model].seqs[*r.Sequence]
		}
		var got [][]int32
		if err == nil {
			got, err = m.Generate(context.Background(), []Sequence{s}, GenerateOptions{MaxNew: 12, EOS: c.EOS, Decoding: c.Decoding()})
		}
		refused := r.Error != "" || r.Otherwise != nil
		switch want := withoutEnd(r.Answer, c.EOS); {
		case refused && err == nil:
			t.Errorf("%s %v: %v, want a refusal (%s)", r.File, r.Fields, got, r.Error)
		case refused:
		case err != nil:
			t.Errorf("%s %v: %v", r.File, r.Fields, err)
		case !slices.Equal(got[0], want):
			t.Errorf("%s, prompt %v, %s %v:\n got %v\nwant %v", r.Model, s.IDs, r.File, r.Fields, got[0], want)
		}
	}
}

func withoutEnd(ids, ends []int32) []int32 {
	if n := len(ids); n > 0 && slices.Contains(ends, ids[n-1]) {
		return ids[:n-1]
	}
	return ids
}
