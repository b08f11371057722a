package subword

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Scanning and the heap are two ways to the same merges.
func TestMergeScanEqualsHeap(t *testing.T) {
	b, err := os.ReadFile("../../testdata/gpt2/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Model json.RawMessage }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	model, _, err := New(file.Model, true)
	if err != nil {
		t.Fatal(err)
	}
	m := model.(*BPE)
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aenrstioł ")), 1, maxScan/2, maxScan).Draw(r, "word")
		w := &Work{ids: m.byteSymbols(nil, text)}
		scan := m.mergeScan(slices.Clone(w.ids))
		if heap := m.mergeHeap(w); !slices.Equal(scan, heap) {
			r.Fatalf("%q: scan %v, heap %v", text, scan, heap)
		}
	})
}
