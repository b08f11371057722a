package nn

import (
	"fmt"
	"math"
)

// RoPE holds the rotary embedding's base and its scaling.
type RoPE struct {
	Theta float64
	// Type is "default", "linear", "dynamic" or "llama3"; the other fields
	// belong to the last three. "dynamic" changes the angles of sequences
	// longer than max_position_embeddings only, which are refused.
	Type                          string
	Factor                        float64
	LowFreqFactor, HighFreqFactor float64
	OriginalMaxPositions          int
	// Sections are the rotated pairs that follow a token's place in time, down
	// and across (M-RoPE of Qwen2-VL); zero without.
	Sections [3]int
}

// Validate checks the fields against the dimensions of a head. Errors begin with
// the field's name in config.json.
func (r RoPE) Validate(headDim int) error {
	switch r.Type {
	case "default":
	case "linear", "dynamic":
		if r.Factor <= 0 {
			return fmt.Errorf("rope_scaling.factor must be positive, not %g", r.Factor)
		}
	case "llama3":
		if r.Factor <= 0 || r.LowFreqFactor <= 0 || r.HighFreqFactor <= r.LowFreqFactor || r.OriginalMaxPositions <= 0 {
			return fmt.Errorf("rope_scaling of type llama3 needs factor, low_freq_factor < high_freq_factor and original_max_position_embeddings, all positive")
		}
	default:
		return fmt.Errorf("rope_scaling.rope_type %q is not implemented; known: default, mrope, linear, dynamic, llama3", r.Type)
	}
	if r.Theta <= 1 {
		return fmt.Errorf("rope_theta must be above 1, not %g", r.Theta)
	}
	if s := r.Sections; s != [3]int{} && (s[0] < 0 || s[1] < 0 || s[2] < 0 || s[0]+s[1]+s[2] != headDim/2) {
		return fmt.Errorf("rope_scaling.mrope_section %v must sum to half of head_dim %d", s, headDim)
	}
	return nil
}

// inverseFrequencies are the angles per position of the dim/2 rotated pairs.
func (r RoPE) inverseFrequencies(dim int) []float64 {
	inv := make([]float64, dim/2)
	for i := range inv {
		f := math.Pow(r.Theta, -float64(2*i)/float64(dim))
		switch r.Type {
		case "linear":
			f /= r.Factor
		case "llama3":
			f = r.llama3(f)
		}
		inv[i] = f
	}
	return inv
}

// llama3 slows the frequencies whose wavelength is long against the original
// context, leaves the short ones, and interpolates between.
func (r RoPE) llama3(f float64) float64 {
	wavelength := 2 * math.Pi / f
	original := float64(r.OriginalMaxPositions)
	low, high := original/r.LowFreqFactor, original/r.HighFreqFactor
	switch {
	case wavelength < high:
		return f
	case wavelength > low:
		return f / r.Factor
	}
	s := (original/wavelength - r.LowFreqFactor) / (r.HighFreqFactor - r.LowFreqFactor)
	return (1-s)*f/r.Factor + s*f
}

// Position is where a token stands for the rotary embedding: in time, down and
// across. In text the three are the same.
type Position [3]int32

// RoPETable holds cosines and sines of the positions met so far, [positions,
// Pairs].
type RoPETable struct {
	rope RoPE
	dim  int
	// inv is nil until the first Grow: a table is declared from config.json before
	// the weights have shown that its head_dim is true, and a damaged one can ask
	// for gigabytes of angles.
	inv      []float64
	Cos, Sin []float32
}

// NewRoPETable declares the table of heads of that many dimensions, as yet
// without positions.
func NewRoPETable(r RoPE, dim int) RoPETable { return RoPETable{rope: r, dim: dim} }

// Pairs is the number of rotated pairs: half of the dimensions.
func (r *RoPETable) Pairs() int { return r.dim / 2 }

// Grow makes the table hold the positions below a number. The angles are taken
// in float64 and rounded once, at the end.
func (r *RoPETable) Grow(positions int) {
	if r.inv == nil {
		r.inv = r.rope.inverseFrequencies(r.dim)
	}
	for pos := len(r.Cos) / len(r.inv); pos < positions; pos++ {
		for _, f := range r.inv {
			s, c := math.Sincos(float64(pos) * f)
			r.Cos, r.Sin = append(r.Cos, float32(c)), append(r.Sin, float32(s))
		}
	}
}

// Row appends what one of the tables holds for a token at p: the pairs of each
// section follow their own axis.
func (r *RoPETable) Row(dst, table []float32, p Position, sections [3]int) []float32 {
	n := len(r.inv)
	if sections == ([3]int{}) {
		return append(dst, table[int(p[0])*n:(int(p[0])+1)*n]...)
	}
	at := 0
	for axis, pairs := range sections {
		from := int(p[axis])*n + at
		dst = append(dst, table[from:from+pairs]...)
		at += pairs
	}
	return dst
}
