package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vgid/model/hf/tokenizer/internal/subword"
	"vgid/model/kit/plainjson"
)

// folder is what the small files of a model's folder say about its tokenizer.
// They are read at once and together: what one file says may be overruled by another.
type folder struct {
	dir     string
	config  object // tokenizer_config.json
	special object // special_tokens_map.json
	added   object // added_tokens.json
	model   struct {
		Type  string `json:"model_type"`
		Class string `json:"tokenizer_class"`
	} // config.json
}

// readFolder reads the small files of a folder; any of them may be missing.
func readFolder(dir string) (*folder, error) {
	return parseFolder(dir, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) })
}

// parseFolder reads the files that read knows.
// read gives the content of a file by its name; fs.ErrNotExist is no failure.
func parseFolder(dir string, read func(name string) ([]byte, error)) (*folder, error) {
	f := &folder{dir: dir}
	for _, file := range []struct {
		name string
		into any
	}{{"tokenizer_config.json", &f.config}, {"special_tokens_map.json", &f.special}, {"added_tokens.json", &f.added}, {"config.json", &f.model}} {
		b, err := read(file.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = plainjson.Unmarshal(b, file.into)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, file.name), err)
		}
	}
	return f, nil
}

// checkVersions refuses folders that keep other files for newer releases.
// transformers would take the file of the newest version that is not above its own.
func (f *folder) checkVersions() error {
	var files []string
	if raw := f.config.fields["fast_tokenizer_files"]; !plainjson.IsNull(raw) {
		if err := plainjson.Unmarshal(raw, &files); err != nil {
			return fmt.Errorf("tokenizer_config.json: fast_tokenizer_files: %w", err)
		}
	}
	for _, name := range files {
		if name != "tokenizer.json" {
			return fmt.Errorf("tokenizer_config.json: fast_tokenizer_files names %s for newer releases, which is not implemented: give that file the name tokenizer.json and take the field out", name)
		}
	}
	return nil
}

// cleansUp reports whether decoding drops blanks before punctuation, which
// transformers does not do for BPE unless it is forced to.
func (f *folder) cleansUp(m subword.Model) bool {
	isBPE := m.Kind() == subword.KindBPE || m.Kind() == subword.KindFallback
	asked, _ := f.config.truth("clean_up_tokenization_spaces")
	forced, _ := f.config.truth("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")
	return asked && (forced || !isBPE)
}

// cleanUp is clean_up_tokenization of transformers.
// It is not the WordPiece decoder's list, which has one more and looks at single tokens.
func cleanUp(s string) string {
	for _, r := range [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}
