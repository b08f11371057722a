// Package quickstart holds the small vision-language model of `make run`: its
// architecture, its tokenizer's recipe, and its trained weights, which `make
// base` reproduces.
package quickstart

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/hf/tokenizer"
	"vgid/model/kit/safefile"
	"vgid/vgid/people"
)

// References to the shipped model, as model.base takes them.
const (
	Builtin = "builtin:quickstart" // trained
	Init    = "init:quickstart"    // random weights
)

//go:embed init/config.json
var initConfig []byte

//go:embed all:base
var base embed.FS

// Find tells references to built-in models from others: it gives the name of the
// model's folder, which is empty for others, and how to write it. A reference of
// the same form to no such model is an error.
func Find(ref string) (folder string, write func(be backend.Backend, dir string, seed uint64) error, err error) {
	switch {
	case ref == Builtin:
		return "base", func(_ backend.Backend, dir string, _ uint64) error { return Extract(dir) }, nil
	case ref == Init:
		return "init", Create, nil
	case strings.HasPrefix(ref, "builtin:"), strings.HasPrefix(ref, "init:"):
		return "", nil, fmt.Errorf("model %q: the only built-in models are %s and %s", ref, Builtin, Init)
	}
	return "", nil, nil
}

// Extract writes the trained model's folder to dir.
func Extract(dir string) error {
	if _, err := fs.Stat(base, "base/model.safetensors"); err != nil {
		return fmt.Errorf("%s: this build carries no trained model; run make base, then build again", Builtin)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	sub, err := fs.Sub(base, "base")
	if err != nil {
		return err
	}
	return fs.WalkDir(sub, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(sub, path)
		if err != nil {
			return err
		}
		return safefile.WriteBytes(filepath.Join(dir, path), raw)
	})
}

// The tokenizer is byte-level BPE: every word of the fictitious world is one
// token, so that sequences stay short, and the rest of the vocabulary comes
// from general English, so that real profile texts can be read too.
const corpusTexts = 4000

// Create writes a model folder with the quickstart's architecture, a freshly
// trained tokenizer and random weights.
func Create(be backend.Backend, dir string, seed uint64) error {
	return CreateFrom(be, dir, Recipe{Config: initConfig, Texts: corpusTexts, Seed: seed})
}

// Recipe is what a model folder is made of.
// Seed draws the texts and the weights, so that the same recipe gives the same folder.
type Recipe struct {
	Config    []byte   // config.json
	Texts     int      // to train the tokenizer on
	Special   []string // the tokenizer's special tokens; nil: the quickstart's
	Processor []byte   // preprocessor_config.json; nil: the quickstart's
	Seed      uint64   // of texts and weights
}

// CreateFrom is Create for another recipe.
func CreateFrom(be backend.Backend, dir string, r Recipe) error {
	cfg, err := family.ParseConfig(r.Config)
	if err != nil {
		return err
	}
	if r.Special == nil {
		r.Special = tokenizer.DefaultSpecial()
	}
	corpus, err := people.Corpus(r.Seed, r.Texts)
	if err != nil {
		return err
	}
	for i, text := range corpus { // the marks of a turn are tokens, too
		corpus[i] = "USER: <image>\n" + text + "\nASSISTANT:"
	}
	if err := tokenizer.TrainBPE(dir, slices.Values(corpus), tokenizer.TrainOptions{
		VocabSize: cfg.Text.VocabSize,
		MinCount:  1, // every word of the general English part earns its tokens
		Special:   r.Special,
		KeepWords: people.Vocabulary(),
		AddBOS:    true,
	}); err != nil {
		return err
	}
	if r.Processor == nil {
		proc := imaging.NewCLIP(cfg.Vision.ImageSize)
		proc.Mean, proc.Std = [3]float32{0.5, 0.5, 0.5}, [3]float32{0.27, 0.27, 0.27}
		err = proc.Write(dir)
	} else {
		err = safefile.WriteBytes(filepath.Join(dir, "preprocessor_config.json"), r.Processor)
	}
	if err != nil {
		return err
	}
	m, err := model.New(be, cfg, r.Seed)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Save(dir, model.SaveOptions{})
}

// Config is the quickstart model's architecture.
func Config() (*model.Config, error) { return family.ParseConfig(initConfig) }
