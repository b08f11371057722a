package origin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vgid/model/hf"
)

// Source is a file that is read, before its fingerprint is known.
// Its Path is of this machine; only For and Name travel.
type Source struct {
	For, Name string // as in File
	Path      string
	ID        ID // as it was before it was read, where that is known
}

// purposes tell the files of a model folder by the beginnings of their names.
// The first that fits counts; they are for people, who are told "tokenizer.json
// (tokenizer) has changed".
var purposes = []struct{ prefix, purpose string }{
	{"config.", "config"}, {"generation_config.", "config"},
	{"tokenizer", "tokenizer"}, {"special_tokens_map.", "tokenizer"}, {"added_tokens.", "tokenizer"}, {"vocab.", "tokenizer"},
	{"preprocessor_config.", "processor"}, {"processor_config.", "processor"},
	{"chat_template", "chat template"},
}

// Model lists what can be read of a model folder: the weights in use, and every
// JSON file and chat template beside them, those of its folder of templates last. Their order is that of the names.
// Other files, as a README, change nothing that is computed and are left out.
func Model(dir string) ([]Source, error) {
	weights, err := hf.WeightFiles(dir)
	if err != nil {
		return nil, err
	}
	var out []Source
	for _, name := range weights {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue // who loads the weights says what is missing
		}
		out = append(out, Source{For: "weights", Name: name, Path: path})
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(dir, name)
		if ext := filepath.Ext(name); name[0] == '.' || hf.HoldsWeights(name) || ext != ".json" && ext != ".jinja" {
			continue
		}
		if info, err := os.Stat(path); err != nil { // follows links, as caches of models are made of them
			return nil, err
		} else if !info.Mode().IsRegular() {
			continue
		}
		s := Source{For: "model folder", Name: name, Path: path}
		for _, p := range purposes {
			if strings.HasPrefix(name, p.prefix) {
				s.For = p.purpose
				break
			}
		}
		out = append(out, s)
	}
	more, err := hf.Templates(dir)
	for _, n := range more {
		out = append(out, Source{For: "chat template", Name: filepath.ToSlash(n), Path: filepath.Join(dir, n)})
	}
	return out, err
}

// Below lists the files of root that are at or below a path of it, hidden ones left
// out, with names below root.
// What they are for is not said (For is empty).
func Below(root, path string) ([]Source, error) {
	var out []Source
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p != path && d.Name()[0] == '.' {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		out = append(out, Source{Name: filepath.ToSlash(name), Path: p})
		return nil
	})
	return out, err
}
