// Package params holds the parameters of a model with their memory: read from
// files or drawn, kept mapped, in bfloat16 or in float32, and, while they are
// trained, in one flat buffer beside another of their gradients.
//
// What must hold between calls: every weight that is not lazy has memory; what is
// trained lies in the flat buffers and nothing else does; no buffer of a Set is
// kept that no weight lives in.
//
// Begin with Set, then memory.go (of what is frozen) and flat.go (of what is
// trained); files.go and source.go read a folder, save.go writes one.
package params

import (
	"slices"

	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/nn"
	"vgid/model/tape"
)

// Weight is a declared weight with its memory.
// Value is a view of the flat buffer while Trainable, else of a buffer of its own, of a mapped
// file, or, of a lazy one, of nothing.
type Weight struct {
	*nn.Weight

	// Branch is 1 for A and 2 for B of an adapter's low-rank branch, 0 for a
	// weight of the checkpoint's own.
	Branch int
	// Whole says that an adapter trains the weight as a whole: Value is the
	// trained one, Base the one that passes without the adapter read.
	Whole bool

	stored   backend.DType // while not trained
	file     string        // the tensor it came from, "" without files
	mapped   bool          // Value is the file itself, mapped
	pristine bool          // the value is still the file's
}

// Untrained is the value without an adapter.
func (w *Weight) Untrained() backend.Tensor {
	if w.Whole {
		return w.Base
	}
	return w.Value
}

// Mapped reports whether the value is a mapped file.
func (w *Weight) Mapped() bool { return w.mapped }

// Stored is the element type of the value while it is not trained.
func (w *Weight) Stored() backend.DType { return w.stored }

// RowLen is the number of elements of a row of the first dimension in files.
// A convolution's weight is a matrix here and has more dimensions in files; a row is one of its
// output channels.
func (w *Weight) RowLen() int { return max(1, w.Value.Len()/max(1, w.Shape[0])) }

// stretch is n elements of the value from one on, as one row.
func (w *Weight) stretch(from, n int) backend.Tensor {
	return w.Value.Reshape(1, w.Value.Len()).ColRange(from, from+n)
}

// Set is all weights of a model on a device, in the order of the forward pass,
// those of an adapter behind the checkpoint's own. Like its backend it is used by
// one goroutine at a time.
type Set struct {
	Config  *family.Config
	Weights []*Weight
	Modules []nn.Module
	// Carried are branches of layers that no output depends on: no pass reads
	// them, a merge does.
	Carried []*Weight

	// TowerTrained and ProjectorTrained say where gradients have to reach.
	TowerTrained, ProjectorTrained bool

	be     backend.Backend
	text   *nn.Llama
	mem    memory
	source *source // nil without files
	flat   *Flat   // nil while nothing is trained
}

// New makes the set of what a network declares, which has shapes and no memory
// yet.
func New(be backend.Backend, c *family.Config, net family.Network, d nn.Declaration) *Set {
	s := &Set{Config: c, Modules: d.Modules, be: be, text: net.Decoder(), mem: memory{be, map[backend.Buffer]bool{}}}
	for _, w := range d.Weights {
		s.Weights = append(s.Weights, &Weight{Weight: w})
	}
	return s
}

// Close frees the weights' memory. The backend stays open.
func (s *Set) Close() {
	s.mem.free()
	if s.flat != nil {
		s.flat.free()
		s.flat = nil
	}
	if s.source != nil {
		s.source.files.Close()
		s.source = nil
	}
}

// Backend is the device that the weights live on.
func (s *Set) Backend() backend.Backend { return s.be }

// Dry reports whether the device keeps no contents.
func (s *Set) Dry() bool { return s.be.Traits().Empty }

// Params are all parameters in the order of the forward pass, those of the
// adapter included.
func (s *Set) Params() []*tape.Param {
	ps := make([]*tape.Param, len(s.Weights))
	for i, w := range s.Weights {
		ps[i] = w.Param
	}
	return ps
}

// NumParameters counts the elements of all parameters and of the trained ones.
func (s *Set) NumParameters() (all, trained int) {
	for _, w := range s.Weights {
		all += w.Value.Len()
		if w.Trainable {
			trained += w.Value.Len()
		}
	}
	return all, trained
}

// Head is the language-model head, [vocab, d]; the token embedding when tied.
func (s *Set) Head() *tape.Param { return s.text.Head }

// Embedding is the token embedding, [vocab, d].
func (s *Set) Embedding() *tape.Param { return s.text.Embed }

// Tied is the weight that is both embedding and head, nil where they are two.
func (s *Set) Tied() *Weight {
	if s.text.Head != s.text.Embed {
		return nil
	}
	i := slices.IndexFunc(s.Weights, func(w *Weight) bool { return w.Param == s.text.Head })
	return s.Weights[i]
}
