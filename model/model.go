// Package model holds the model families, the training state around them
// (adapters, optimizer, flat parameters) and generation, on any backend.
//
// A Model is used by one goroutine at a time, like its backend.
package model

import (
	"fmt"

	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/nn"
	"vgid/model/tape"
)

// Model is a vision-language model on a device.
type Model struct {
	View   // the model as it is trained
	Config *Config
	// Recompute drops the activations inside layers after the forward pass and
	// computes them again in the backward pass.
	Recompute bool

	be      backend.Backend
	net     family.Network
	text    *nn.Llama // of net
	weights []*weight
	modules []nn.Module
	buffers map[backend.Buffer]bool // owned, besides the flat ones
	source  *source                 // nil without files

	adapter *LoRAConfig           // nil without one
	adapted []picked              // what it was attached to
	baseID  string                // Fingerprint of that model
	carried map[string]*tape.LoRA // branches that only a merge reads, by the weight's name
	flat    *flat                 // nil while nothing is trained

	towerTrained, projectorTrained bool

	free []*Batch
	rope nn.RoPETable
}

// assemble makes a model whose weights have shapes but no memory yet.
func assemble(be backend.Backend, c *Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	net, d, err := c.Family.Declare(c)
	if err != nil {
		return nil, err
	}
	weights := make([]*weight, len(d.Weights))
	for i, w := range d.Weights {
		weights[i] = &weight{Weight: w}
	}
	m := &Model{
		Config: c, be: be, net: net, text: net.Decoder(), weights: weights, modules: d.Modules,
		buffers: map[backend.Buffer]bool{},
		rope:    nn.NewRoPETable(c.Text.RoPE, c.Text.HeadDim),
	}
	m.View = View{m: m}
	return m, nil
}

// build makes a model with zero weights.
func build(be backend.Backend, c *Config) (*Model, error) {
	m, err := assemble(be, c)
	if err != nil {
		return nil, err
	}
	if err := m.place(m.weights); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// New makes a model with random weights: normal with deviation 1/√fan_in (half
// of it for projections into the residual stream, 0.05 for embeddings and
// head), norms 1, biases 0. The values depend on seed and the weight's name
// alone.
func New(be backend.Backend, c *Config, seed uint64) (*Model, error) {
	m, err := build(be, c)
	if err != nil {
		return nil, err
	}
	for _, w := range m.weights {
		m.init(w, seed)
	}
	if err := be.Sync(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// init draws the initial values of w, row by row.
func (m *Model) init(w *weight, seed uint64) {
	if w.Std == 0 {
		m.be.Fill(w.Value, w.Fill)
		return
	}
	row := make([]float32, w.Value.Cols)
	for r := range w.Value.Rows {
		w.row(row, r, seed)
		m.be.Upload(w.Value.RowRange(r, r+1), row)
	}
}

// Clone makes a model of the same weights on the same backend, without the
// adapter and with nothing trained: a frozen teacher. What is still the mapped
// file is shared, the rest is copied.
func (m *Model) Clone() (*Model, error) {
	c := *m.Config
	n, err := assemble(m.be, &c)
	if err != nil {
		return nil, err
	}
	if m.source != nil {
		n.source = &source{m.source.dir, m.source.files.Share()}
	}
	byName := map[string]*weight{}
	for _, w := range m.weights {
		byName[w.Name] = w
	}
	var copied []*weight
	for g := range groups(n.weights) {
		var shared []*weight
		for _, w := range g {
			o := byName[w.Name]
			w.file, w.stored, w.pristine = o.file, o.untrained().Buf.DType(), o.pristine
			if o.mapped {
				shared = append(shared, w)
			} else {
				copied = append(copied, w)
			}
		}
		copied = append(copied, n.adopt(shared)...)
	}
	need, _ := memory(copied)
	if err = n.affordable(need, ""); err == nil {
		err = n.place(copied)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	for _, w := range copied {
		m.be.Copy(w.Value, byName[w.Name].untrained())
	}
	if err := m.be.Sync(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// anyTrained reports whether a weight of the part is trained.
func (m *Model) anyTrained(p family.Part) bool {
	for _, w := range m.weights {
		if w.Trainable && m.Config.Family.Part(m.Config, w.Name) == p {
			return true
		}
	}
	return false
}

// Close frees the model's memory. The backend stays open.
func (m *Model) Close() {
	for b := range m.buffers {
		m.be.Free(b)
	}
	m.buffers = nil
	if m.flat != nil {
		m.flat.free(m.be)
		m.flat = nil
	}
	for _, b := range m.free {
		b.staging.Free(m.be)
	}
	m.free = nil
	if m.source != nil {
		m.source.files.Close()
		m.source = nil
	}
}

// Backend is the device the model lives on.
func (m *Model) Backend() backend.Backend { return m.be }

// Params are all parameters in the order of the forward pass, those of the
// adapter included.
func (m *Model) Params() []*tape.Param {
	ps := make([]*tape.Param, len(m.weights))
	for i, w := range m.weights {
		ps[i] = w.Param
	}
	return ps
}

// NumParameters counts the elements of all parameters and of the trained ones.
func (m *Model) NumParameters() (all, trained int) {
	for _, w := range m.weights {
		all += w.Value.Len()
		if w.Trainable {
			trained += w.Value.Len()
		}
	}
	return all, trained
}

// Head is the language-model head, [vocab, d]; the token embedding when tied.
func (m *Model) Head() *tape.Param { return m.text.Head }
