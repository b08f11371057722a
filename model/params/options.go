package params

import (
	"cmp"
	"fmt"
	"slices"

	"vgid/model/backend"
)

// LoadOptions say how weights are kept.
type LoadOptions struct {
	// Weights is the element type in which matrices are kept while they are
	// not trained: "float32", "bfloat16", or "auto", also "": bfloat16 where the
	// files hold that and float32 elsewhere, so that no value changes. Norms,
	// biases and everything trained are float32 whatever is said.
	Weights string
	// Lazy leaves the matrices in their files. The model cannot run; it can be
	// looked at, given an adapter, and saved.
	Lazy bool
	// MapFrom is the size in bytes from which matrices that run as one product are
	// left in the mapped file, where the device can; 0 means 1 MiB. Smaller ones are
	// worth a copy: its rows are aligned, and projections of one input lie behind each
	// other.
	MapFrom int64
}

// Validate checks the fields.
func (o LoadOptions) Validate() error {
	if !slices.Contains([]string{"", "auto", "float32", "bfloat16"}, o.Weights) {
		return fmt.Errorf("weights %q cannot be kept; use auto, float32 or bfloat16", o.Weights)
	}
	return nil
}

func (o LoadOptions) mapFrom() int64 { return cmp.Or(o.MapFrom, 1<<20) }

// stored is how a matrix of a file's dtype is kept.
// An empty dtype is that of a model without files: float32 unless bfloat16 is asked for.
func (o LoadOptions) stored(file string) backend.DType {
	if o.Weights == "bfloat16" || o.Weights != "float32" && file == "BF16" {
		return backend.BF16
	}
	return backend.F32
}
