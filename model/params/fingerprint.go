package params

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"vgid/model/hf"
)

// sampled is how many values of each weight a fingerprint reads.
// Reading all values would be a pass over the whole files; training changes the first ones as it
// does any others.
const sampled = 16

// Fingerprint tells a model from others of the same shapes: a hash of the
// names, the shapes and the first values of every weight without the adapter,
// rounded to bfloat16, so that it is the same for copies of any element type.
func (s *Set) Fingerprint() (string, error) {
	ws := slices.DeleteFunc(slices.Clone(s.Weights), func(w *Weight) bool { return w.Branch != 0 })
	slices.SortFunc(ws, func(a, b *Weight) int { return strings.Compare(a.Name, b.Name) })
	h := sha256.New()
	for _, w := range ws {
		fmt.Fprintln(h, w.Name, w.Shape)
		values := make([]float32, min(sampled, w.Value.Len()))
		if err := s.UntrainedRows(w, values, 0); err != nil {
			return "", err
		}
		var raw []byte
		for _, v := range values {
			raw = binary.LittleEndian.AppendUint16(raw, hf.F32ToBF16(v))
		}
		h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// UntrainedRows reads rows of the first dimension from one on, of the value
// without the adapter: from the device, or the files of a lazy model.
func (s *Set) UntrainedRows(w *Weight, dst []float32, row int) error {
	v := w.Untrained()
	if v.Buf == nil {
		return s.source.files.ReadRows(w.file, dst, row)
	}
	from := row * w.RowLen()
	return s.be.Download(dst, v.Reshape(1, v.Len()).ColRange(from, from+len(dst)))
}
