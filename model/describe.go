package model

import (
	"fmt"
	"strings"

	"vgid/model/family"
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
		for _, w := range m.Weights {
			if w.Branch == 0 && m.Config.Family.Part(m.Config, w.Name) == p {
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
