// Package modeldir opens a Hugging Face model folder as a whole: config, weights,
// tokenizer, image processor, chat template and generation config, each when it is
// first asked for, and once. Whoever works on a folder takes a Dir instead of a
// path, so that no part is read and parsed again for every question about it.
//
// What a Dir gives is what lies in the folder now: before a part is given again,
// the files are looked at (not read), and after a change of any of them every part
// is read anew. So a fingerprint of the folder's files that is taken at any time
// is one of what is read after it, as if nothing were kept.
package modeldir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"vgid/model/hf"
	"vgid/model/hf/imaging"
	"vgid/model/hf/tokenizer"
	"vgid/model/kit/fileid"
)

// Dir is a model folder. Its methods may be called from several goroutines. What
// they return is shared and must not be changed. Each error names the file at
// fault, and is that of reading the part on its own.
type Dir struct {
	path string

	mu         sync.Mutex
	seen       string // state of the files that the parts were read from
	config     part[[]byte]
	weights    part[*hf.Weights]
	tokenizer  part[*tokenizer.Tokenizer]
	processor  part[imaging.Processor]
	template   part[*tokenizer.ChatTemplate]
	generation part[hf.GenerationConfig]
}

// Open gives the folder at path. Nothing is read yet: what is wrong with the
// folder is the error of the part that it is wrong with. Close it after use.
func Open(path string) *Dir { return &Dir{path: path} }

// Path is where the folder is, as given to Open.
func (d *Dir) Path() string { return d.path }

// part is what is read of a folder, or why it could not be.
type part[T any] struct {
	read  bool
	value T
	err   error
}

// get gives a part of d.
func get[T any](d *Dir, p *part[T], read func(dir string) (T, error)) (T, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return held(d, p, read)
}

// held is get for one who holds d.mu. It reads the part where it is not known or
// may be another now.
func held[T any](d *Dir, p *part[T], read func(dir string) (T, error)) (T, error) {
	// The state is taken before the files are read: one that changes meanwhile
	// differs from it when it is compared next.
	if now := state(d.path); now != d.seen {
		if err := d.forget(); err != nil {
			var none T
			return none, err
		}
		d.seen = now
	}
	if !p.read {
		p.value, p.err = read(d.path)
		p.read = true
	}
	return p.value, p.err
}

// forget drops all parts.
func (d *Dir) forget() error {
	var err error
	if d.weights.value != nil {
		err = d.weights.value.Close()
	}
	d.config, d.weights, d.tokenizer = part[[]byte]{}, part[*hf.Weights]{}, part[*tokenizer.Tokenizer]{}
	d.processor, d.template, d.generation = part[imaging.Processor]{}, part[*tokenizer.ChatTemplate]{}, part[hf.GenerationConfig]{}
	return err
}

// Close lets go of the weights. Those that Weights gave stay open until their own
// Close.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = ""
	return d.forget()
}

// Config is config.json as it is written. A folder without it is refused with
// what else it holds.
func (d *Dir) Config() ([]byte, error) {
	return get(d, &d.config, func(dir string) ([]byte, error) {
		b, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil, hf.NoConfig(dir)
		}
		return b, err
	})
}

// Weights are the tensors of the folder (hf.OpenWeights). Each caller closes what
// it was given; the files are unmapped when nobody holds them.
func (d *Dir) Weights() (*hf.Weights, error) {
	d.mu.Lock()
	defer d.mu.Unlock() // or another might drop them before they are shared
	w, err := held(d, &d.weights, hf.OpenWeights)
	if err != nil {
		return nil, err
	}
	return w.Share(), nil
}

// Tokenizer is that of tokenizer.Load.
func (d *Dir) Tokenizer() (*tokenizer.Tokenizer, error) {
	return get(d, &d.tokenizer, tokenizer.Load)
}

// Processor is that of imaging.LoadProcessor.
func (d *Dir) Processor() (imaging.Processor, error) {
	return get(d, &d.processor, imaging.LoadProcessor)
}

// ChatTemplate is that of tokenizer.LoadChatTemplate.
func (d *Dir) ChatTemplate() (*tokenizer.ChatTemplate, error) {
	return get(d, &d.template, tokenizer.LoadChatTemplate)
}

// Generation says how answers are generated (hf.ReadGenerationConfig).
func (d *Dir) Generation() (hf.GenerationConfig, error) {
	return get(d, &d.generation, hf.ReadGenerationConfig)
}

// state tells the files of a folder as they are now from those that were: names,
// sizes, times and, where the system has them, the marks of their inodes. What
// cannot be looked at is part of the state; who reads it says what is wrong.
func state(dir string) string {
	var b strings.Builder
	for _, below := range []string{"", hf.TemplateFolder} {
		entries, err := os.ReadDir(filepath.Join(dir, below))
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", below, err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue // no part of a model, as by hf.CopyAssets
			}
			info, err := os.Stat(filepath.Join(dir, below, e.Name())) // where links lead: caches are made of them
			if err != nil {
				fmt.Fprintf(&b, "%s/%s: %v\n", below, e.Name(), err)
				continue
			}
			if info.IsDir() {
				fmt.Fprintf(&b, "%s/%s: a folder\n", below, e.Name())
				continue
			}
			fmt.Fprintf(&b, "%s/%s: %d %d %s\n", below, e.Name(), info.Size(), info.ModTime().UnixNano(), fileid.Of(info))
		}
	}
	return b.String()
}
