// Package noise disturbs preprocessed pictures: the visual half of VGID's
// intervention. It works in the model's normalised pixel space, as the authors'
// script does.
//
// A kind of noise is one file that registers itself (Kind): from there the setting
// unlearn.noise.kind has its value, checked and listed in help. What must always
// hold of a kind: what it draws depends on the Source it is given alone, and a still
// picture that a tower reads as several equal frames stays one. Begin to read with
// Noise.Apply, then gaussian.go.
package noise

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vgid/model/backend"
	"vgid/model/hf/imaging"
	"vgid/vgid/config"
)

// Kind is a way to disturb pictures.
type Kind struct {
	Name  string
	Order int    // where lists have it; those of the same order go by name
	Doc   string // what is shown instead of the picture, in a line
	// New prepares the kind with its settings.
	New func(Setup) (Disturb, error)
}

// Setup is what a kind may go by.
type Setup struct {
	config.Noise
	Layout imaging.Layout // of the pictures' values
	Tower  int            // side in pixels of the patches of the tower that reads them
}

// Disturb fills dst, which is zero, with what is shown instead of src. Both are
// pictures of the same size.
type Disturb func(dst, src imaging.Image, s *Source)

// registered holds every kind by Order and name. It changes while packages are
// initialised and never after, so nothing guards it.
var registered []Kind

// Register makes a kind known. It is called by the init function of the kind's file.
func Register(k Kind) {
	if k.Name == "" || k.New == nil || slices.Contains(Names(), k.Name) {
		panic(fmt.Sprintf("noise: kind %q has no name or no New, or is registered twice", k.Name))
	}
	registered = append(registered, k)
	slices.SortFunc(registered, func(a, b Kind) int {
		return cmp.Or(a.Order-b.Order, cmp.Compare(a.Name, b.Name))
	})
}

// Names lists the kinds.
func Names() []string {
	var names []string
	for _, k := range registered {
		names = append(names, k.Name)
	}
	return names
}

func init() {
	config.Choose("unlearn.noise.kind", func() []config.Value {
		var values []config.Value
		for _, k := range registered {
			values = append(values, config.Value{Name: k.Name, Doc: k.Doc})
		}
		return values
	})
}

// Noise disturbs the pictures of a run.
type Noise struct {
	disturb Disturb
	source  Source
	fixed   bool
}

// New prepares the noise of cfg for pictures of a layout, that of the processor which
// makes them. patch is the side in pixels of the patches of the tower that reads them.
func New(cfg config.Noise, seed uint64, layout imaging.Layout, patch int) (*Noise, error) {
	i := slices.IndexFunc(registered, func(k Kind) bool { return k.Name == cfg.Kind })
	if i < 0 {
		return nil, fmt.Errorf("unlearn.noise.kind: %q is not one of %s", cfg.Kind, strings.Join(Names(), ", "))
	}
	disturb, err := registered[i].New(Setup{cfg, layout, patch})
	if err != nil {
		return nil, fmt.Errorf("unlearn.noise.%w", err)
	}
	return &Noise{disturb: disturb, source: Source{key: backend.Key{Seed: seed}, layout: layout}, fixed: cfg.Fixed}, nil
}

// Apply returns the disturbed picture. The draw depends only on the seed, the
// step and the sample; with Fixed noise not on the step.
func (n *Noise) Apply(img imaging.Image, step, sample uint32) imaging.Image {
	if n.fixed {
		step = 0
	}
	n.source.key.Step, n.source.sample = step, sample
	out := imaging.Image{Pixels: make([]float32, len(img.Pixels)), Grid: img.Grid}
	n.disturb(out, img, &n.source)
	return out
}
