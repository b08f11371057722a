package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vgid/model/hf/tokenizer/internal/teststrings"
	"vgid/model/kit/hftest"
)

// The ids of 100,000 strings of every tokenizer are the reference library's.
func TestTokenizerDigests(t *testing.T) {
	hftest.SameUnicode(t)
	var golden map[string][]string
	hftest.Golden(t, "digests.json", &golden)
	const size = 10_000
	for _, name := range goldenTokenizers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := mustTokenizer(t, filepath.Join("testdata", name))
			file, err := os.ReadFile(filepath.Join("testdata", name, "tokenizer.json"))
			if err != nil {
				t.Fatal(err)
			}
			texts, err := teststrings.For(file)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(golden[name])
			if len(want) != 10 {
				t.Fatalf("digests.json has %d blocks of it, want 10", len(want))
			}
			if hftest.Race || testing.Short() {
				want = want[:1]
			}
			var row []byte
			for b := range want {
				h := sha256.New()
				for i := b * size; i < (b+1)*size; i++ {
					ids := tok.Encode(texts.String(i), true)
					row = binary.LittleEndian.AppendUint32(row[:0], uint32(len(ids)))
					for _, id := range ids {
						row = binary.LittleEndian.AppendUint32(row, uint32(id))
					}
					h.Write(row)
				}
				if got := hex.EncodeToString(h.Sum(nil)); got != want[b] {
					t.Errorf("strings %d to %d have other ids; testdata/compare_tokenizers.py shows them", b*size, (b+1)*size-1)
				}
			}
		})
	}
}
