package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vgid/model/kit/safefile"
)

// weightSuffixes end the names of files that hold weights, in any format.
var weightSuffixes = []string{".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".ckpt"}

// HoldsWeights reports whether a file of that name holds weights, or says where
// they are, in any format.
func HoldsWeights(name string) bool {
	return slices.ContainsFunc(weightSuffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// TemplateFolder is the folder in a model folder that holds chat templates beside
// the usual one.
const TemplateFolder = "additional_chat_templates"

// CopyAssets copies what belongs to a model folder besides weights, config.json
// and generation_config.json: tokenizer, processor, chat templates. Other folders
// and hidden files stay behind.
// config.json and generation_config.json are left to callers, who may have to change them.
func CopyAssets(to, from string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		n := f.Name()
		if f.IsDir() && n == TemplateFolder {
			if err := copyTemplates(to, from); err != nil {
				return err
			}
		}
		if f.IsDir() || HoldsWeights(n) || n[0] == '.' || n == "config.json" || n == "generation_config.json" {
			continue
		}
		if err := CopyFile(to, from, n); err != nil {
			return err
		}
	}
	return nil
}

// copyTemplates copies the folder of templates, if there is one.
func copyTemplates(to, from string) error {
	names, err := Templates(from)
	if err == nil && len(names) > 0 {
		err = os.MkdirAll(filepath.Join(to, TemplateFolder), 0o755)
	}
	for _, n := range names {
		if err == nil {
			err = CopyFile(to, from, n)
		}
	}
	return err
}

// Templates lists the chat templates of a model folder that lie in a folder of their
// own, by their paths below the model's.
// A folder without any is no error.
func Templates(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, TemplateFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".jinja" {
			out = append(out, filepath.Join(TemplateFolder, e.Name()))
		}
	}
	return out, err
}

// CopyFile copies a file of a folder, when it is there, to another folder.
func CopyFile(to, from, name string) error {
	f, err := os.Open(filepath.Join(from, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return safefile.Write(filepath.Join(to, name), func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// CopyConfig copies config.json. A dtype that is not empty takes the place of
// every torch_dtype and dtype of the file; the rest of it is kept.
func CopyConfig(to, from, dtype string) error {
	if dtype == "" {
		return CopyFile(to, from, "config.json")
	}
	path := filepath.Join(from, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // numbers are written as they were
	var all map[string]any
	if err := d.Decode(&all); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	found, changed := setDType(all, dtype)
	switch {
	case !found:
		all["torch_dtype"] = dtype
	case !changed: // as it was written, to the byte
		return CopyFile(to, from, "config.json")
	}
	return WriteJSON(filepath.Join(to, "config.json"), all)
}

// setDType replaces the dtypes of a config and the configs in it, and reports
// whether the outer one had any, and whether anything changed.
// A config of a part (text_config, vision_config) may name a type of its own, which is replaced
// as well.
func setDType(c map[string]any, dtype string) (found, changed bool) {
	for k, v := range c {
		switch v := v.(type) {
		case map[string]any:
			_, inside := setDType(v, dtype)
			changed = changed || inside
		case string:
			if k == "dtype" || k == "torch_dtype" {
				changed = changed || v != dtype
				c[k], found = dtype, true
			}
		}
	}
	return found, changed
}

// ReplaceFolder makes a folder by filling one beside it and renaming that, so
// that a crash leaves the old folder or the new one. One that exists is
// replaced if it is a model folder; anything else but an empty one is left
// alone with an error.
func ReplaceFolder(dir string, fill func(dir string) error) (err error) {
	if err := replaceable(dir); err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	// Beside it and not in the system's folder for such: a rename works within one file
	// system only.
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".part-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil { // MkdirTemp's are for their owner alone
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if err := syncDir(tmp); err != nil {
		return err
	}
	// Two renames, because none can replace a folder that holds files. Between them the
	// name is free for a moment; both folders are whole.
	old := tmp + ".old"
	switch err := os.Rename(dir, old); {
	case errors.Is(err, fs.ErrNotExist):
		old = ""
	case err != nil:
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	if old != "" {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(dir))
}

// replaceable refuses to replace what is no model: a mistyped path must not cost a
// folder of something else.
func replaceable(dir string) error {
	files, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(files) == 0:
		return nil
	}
	if slices.ContainsFunc(files, func(f fs.DirEntry) bool { return f.Name() == "config.json" || f.Name() == AdapterConfigName }) {
		return nil
	}
	return fmt.Errorf("%s: the folder exists and holds no model that could be replaced; choose another", dir)
}
