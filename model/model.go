// Package model puts a vision-language model together and computes with it, on any
// backend: a family's network (package family), its weights (params) and an
// adapter (adapter) become a Model, which packs sequences, gives hidden states,
// losses and gradients, answers prompts, and is loaded and saved.
//
// A pass is: Pack sequences into a Batch, run Hidden on a tape, select Rows, take
// a loss of them (CE, KL), go Backward. Nothing of it waits for the device but
// what downloads: losses, answers, gradients.
//
// Begin with Model and View, then follow Hidden (forward.go) and Generate
// (generate.go).
package model

import (
	"fmt"

	"vgid/model/adapter"
	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/nn"
	"vgid/model/params"
)

// Model is a vision-language model on a device. Like its backend it is used by
// one goroutine at a time; Close frees what it and its batches hold.
//
// What must hold: the network's layers and the Set speak of the same parameters,
// so that a weight which moves (to be trained, to be merged) is read where it lies
// now; no pass that is recorded is under way when what is trained changes; a Batch
// goes to passes of its own model only.
//
// What the Set offers is the model's: parameters, gradients, what is trained. Its
// Load and Draw make a model, and Attach, Carry, Widen and Detach are for package
// adapter, which keeps the network's branches in step with them.
type Model struct {
	View // the model as it is trained
	// Recompute drops the activations inside layers after the forward pass and
	// computes them again in the backward pass.
	Recompute bool

	*params.Set // the weights, those of the adapter included
	net         family.Network
	text        *nn.Llama        // of net
	adapter     *adapter.Adapter // nil without one

	free []*Batch // released, the longest ago first
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
	m := &Model{
		Set: params.New(be, c, net, d), net: net, text: net.Decoder(),
		rope: nn.NewRoPETable(c.Text.RoPE, c.Text.HeadDim),
	}
	m.View = View{m: m}
	return m, nil
}

// filled is a model after something gave its weights their memory; when that
// failed it is closed.
func filled(m *Model, err error) (*Model, error) {
	if err != nil {
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
	m, err := assemble(be, c)
	if err != nil {
		return nil, err
	}
	return filled(m, m.Draw(seed))
}

// Random is New with matrices kept as o says and the values drawn by the
// device, for measurements of models that have no files. In float32 the values
// are New's but for the device's rounding.
func Random(be backend.Backend, c *Config, seed uint64, o LoadOptions) (*Model, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	m, err := assemble(be, c)
	if err != nil {
		return nil, err
	}
	return filled(m, m.DrawOnDevice(seed, o))
}

// Clone makes a model of the same weights on the same backend, without the
// adapter and with nothing trained: a frozen teacher. What is still the mapped
// file is shared, the rest is copied.
func (m *Model) Clone() (*Model, error) {
	c := *m.Config
	n, err := assemble(m.Backend(), &c)
	if err != nil {
		return nil, err
	}
	return filled(n, m.Set.Clone(n.Set))
}

// Close frees the model's memory. The backend stays open.
func (m *Model) Close() {
	for _, b := range m.free {
		b.staging.Free(m.Backend())
	}
	m.free = nil
	m.Set.Close()
}
