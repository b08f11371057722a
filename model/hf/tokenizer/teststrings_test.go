package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vgid/model/hf/hftest"
)

// splitMix is SplitMix64, as testdata/teststrings.py has it.
type splitMix uint64

func newSplitMix(seed int) splitMix { return splitMix(uint64(seed)*0xd1342543de82ef95 + 1) }

func (s *splitMix) below(n int) int {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) >> 11 % uint64(n))
}

// loadPieces gives the lists of pieces of a tokenizer's strings.
func loadPieces(t *testing.T, name string) [][]string {
	var pieces [][]string
	hftest.Golden(t, "pieces.json", &pieces)
	var file tokenizerJSON
	hftest.Golden(t, name+"/tokenizer.json", &file)
	var added []string
	for _, a := range file.AddedTokens[:min(len(file.AddedTokens), 64)] {
		added = append(added, a.Content)
	}
	if added == nil {
		added = []string{"<none>"}
	}
	return append(pieces, added)
}

// testString is string i.
func testString(pieces [][]string, i int) string {
	var b strings.Builder
	r := newSplitMix(i)
	for range 1 + r.below(12) {
		switch kind := r.below(len(pieces) + 4); kind {
		default:
			b.WriteString(pieces[kind][r.below(len(pieces[kind]))])
		case len(pieces): // a run of one blank or sign
			sign := []rune(" \n\t.\u00a0-=_\u3000")[r.below(9)]
			b.WriteString(strings.Repeat(string(sign), 1+r.below(20)))
		case len(pieces) + 1: // a number
			top := 10
			for range r.below(12) {
				top *= 10
			}
			b.WriteString(strconv.Itoa(r.below(top)))
		case len(pieces) + 2: // a neighbourhood of a script
			base := r.below(0x3200)
			for range 1 + r.below(8) {
				b.WriteRune(rune(base + r.below(24)))
			}
		case len(pieces) + 3: // any code points
			for range 1 + r.below(4) {
				c := r.below(0x110000 - 0x800)
				if c >= 0xd800 {
					c += 0x800
				}
				b.WriteRune(rune(c))
			}
		}
		if r.below(3) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// The ids of 100,000 strings of every tokenizer are the reference library's.
func TestTokenizerDigests(t *testing.T) {
	sameUnicode(t)
	var golden map[string][]string
	hftest.Golden(t, "digests.json", &golden)
	const size = 10_000
	for _, name := range goldenTokenizers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := mustTokenizer(t, filepath.Join("testdata", name))
			pieces := loadPieces(t, name)
			want := slices.Clone(golden[name])
			if len(want) != 10 {
				t.Fatalf("digests.json has %d blocks of it, want 10", len(want))
			}
			if slow || testing.Short() {
				want = want[:1]
			}
			var row []byte
			for b := range want {
				h := sha256.New()
				for i := b * size; i < (b+1)*size; i++ {
					ids := tok.Encode(testString(pieces, i), true)
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
