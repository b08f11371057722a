package model

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/model/family"
	"vgid/model/hf/modeldir"
)

// PartSize is how much of a model is in one of its parts.
type PartSize struct {
	Part       string `json:"part"` // "vision tower", "projector", "decoder" or "unused"
	Parameters int    `json:"parameters"`
	Tensors    int    `json:"tensors"`
}

var partNames = map[family.Part]string{family.Tower: "vision tower", family.Projector: "projector", family.Text: "decoder", family.Idle: "unused"}

// Sizes are the parts of the model without an adapter, in the order of the
// forward pass; parts without weights are left out. What no output depends on
// is "unused".
func (m *Model) Sizes() []PartSize {
	var out []PartSize
	for _, p := range []family.Part{family.Tower, family.Projector, family.Text, family.Idle} {
		s := PartSize{Part: partNames[p]}
		for _, w := range m.weights {
			if w.lora == 0 && m.Config.Family.Part(m.Config, w.Name) == p {
				s.Parameters += w.Value.Len()
				s.Tensors++
			}
		}
		if s.Tensors > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Layout reads a model folder's headers: the result has every weight's shape
// and no value, and cannot run. It may be given an adapter and be told what to
// train, to see what that would be.
func Layout(ctx context.Context, d *modeldir.Dir) (*Model, error) {
	return LoadDir(ctx, countOnly(), d, LoadOptions{})
}

// countOnly is a device that keeps no contents.
func countOnly() backend.Backend {
	be, _ := dry.New(dry.Options{})
	return be
}

// dry reports whether the device keeps no contents.
func (m *Model) dry() bool { return m.be.Traits().Empty }

// tooMuch is the refusal of work that takes more memory than is free.
func tooMuch(what string, need, free int64, hint string) error {
	return fmt.Errorf("%s %v of memory and %v are free: %v are missing%s", what, backend.Bytes(need), backend.Bytes(free), backend.Bytes(need-free), hint)
}

// short reports whether need bytes are more than the device says are free, once
// this process has given back what it no longer uses, and how many are.
func short(be backend.Backend, need int64) (free int64, yes bool) {
	for again := false; ; again = true {
		free, err := be.FreeBytes()
		switch {
		case err != nil || need <= free:
			return 0, false // where it is not known the device will say
		case again:
			return free, true
		}
		debug.FreeOSMemory()
	}
}

// trainable refuses so many float32 buffers of n values where there is no
// memory for them, before any is taken.
func (m *Model) trainable(buffers, n int, what string) error {
	need := 4 * int64(buffers) * int64(n)
	if free, yes := short(m.be, need); yes {
		return tooMuch(what, need, free, "; train fewer weights: an adapter, or one of a smaller r or fewer targets")
	}
	return nil
}

// Abbreviate lists paths with the layer numbers of equal ones gathered.
func Abbreviate(names []string) string {
	type group struct {
		path   string
		layers []string
	}
	var groups []*group
	index := map[string]*group{}
	for _, n := range names {
		parts := strings.Split(n, ".")
		layer := ""
		for i, p := range parts {
			if p != "" && strings.Trim(p, "0123456789") == "" {
				layer, parts[i] = p, "*"
			}
		}
		path := strings.Join(parts, ".")
		g := index[path]
		if g == nil {
			g = &group{path: path}
			index[path] = g
			groups = append(groups, g)
		}
		if layer != "" {
			g.layers = append(g.layers, layer)
		}
	}
	out := make([]string, len(groups))
	for i, g := range groups {
		out[i] = g.path
		if n := len(g.layers); n > 0 {
			out[i] += fmt.Sprintf(" [%s…%s]", g.layers[0], g.layers[n-1])
		}
	}
	return strings.Join(out, ", ")
}
