package imaging

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/kit/hftest"

	"pgregory.net/rapid"
)

// stricter are folders that transformers takes and we refuse, by what is said.
var stricter = []string{"do_convert_rgb false", "use_square_size is not supported", "longest_edge is not supported", "size: array where an object should stand", "do not fix the picture's size"}

// Of folders whose files disagree the same file counts as in transformers
// (testdata/make_folders.py): its pixels, or a refusal where it refuses.
func TestFoldersAsReference(t *testing.T) {
	var rows []struct {
		Files         map[string]json.RawMessage
		Shape, Grid   []int
		Sha256, Error string
	}
	hftest.Golden(t, "images/folders.json", &rows)
	for i, r := range rows {
		dir := t.TempDir()
		for name, b := range r.Files {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var got Image
		p, err := LoadProcessor(dir)
		if err == nil {
			got, err = p.Process(drawn(83, 61))
		}
		files, _ := json.Marshal(r.Files)
		switch known := func(s string) bool { return err != nil && strings.Contains(err.Error(), s) }; {
		case r.Error != "" && err == nil:
			t.Errorf("%d %s: taken, the reference says %s", i, files, r.Error)
		case r.Error != "" || slices.ContainsFunc(stricter, known):
		case err != nil:
			t.Errorf("%d %s: %v", i, files, err)
		default:
			var raw []byte
			for _, v := range got.Pixels {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
			}
			grid := []int{got.Grid.T, got.Grid.H, got.Grid.W}
			if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != r.Sha256 || r.Grid != nil && !slices.Equal(grid, r.Grid) {
				t.Errorf("%d %s: other pixels than %v %v", i, files, r.Shape, r.Grid)
			}
		}
	}
}

// An image_processor in processor_config.json hides whatever the older file says.
func TestNestedProcessorHidesTheOther(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		older := rapid.SampledFrom([]string{`{`, `{"image_processor_type": "ViTImageProcessor"}`, `{"resample": 0}`, `[]`, ``, `{"image_mean": [0, 0, 0]}`}).Draw(r, "older")
		for name, text := range map[string]string{
			"processor_config.json":    `{"image_processor": {"image_processor_type": "CLIPImageProcessor", "size": 30, "crop_size": 20}}`,
			"preprocessor_config.json": older,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p, err := LoadProcessor(dir)
		if err != nil {
			r.Fatal(err)
		}
		if h, w := p.Size(); h != 20 || w != 20 {
			r.Fatalf("pictures of %d×%d", w, h)
		}
	})
}

func FuzzImageProcessor(f *testing.F) {
	f.Add(`{"image_processor_type": "CLIPImageProcessor", "size": 30, "crop_size": {"height": 3, "width": 4}}`, "llava")
	f.Add(`{"min_pixels": 784, "size": {"shortest_edge": 3, "longest_edge": null}}`, "qwen2_vl")
	f.Fuzz(func(t *testing.T, text, model string) {
		p, err := parseImageProcessor([]byte(text), model)
		if err == nil && p == nil {
			t.Error("neither a processor nor an error")
		}
	})
}
