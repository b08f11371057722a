package params

import "vgid/model/hf"

// Trainable sets what is trained besides the adapter: the parameters that
// one of the patterns names, or none. A pattern is a path or the end of one at
// a dot, in files or in memory, of a parameter or of a module that holds it; *
// stands for any run of characters. Weights that no output depends on are left
// out. It returns the names that are trained now, the adapter's included, in
// forward order. Optimizers made before are void.
func (s *Set) Trainable(patterns ...string) ([]string, error) {
	hit, err := selected("parameter", patterns, len(s.Weights), func(i int) string { return s.Weights[i].Name }, func(pattern, name string) bool {
		return matchesParam(pattern, name) || matchesParam(pattern, s.Config.Family.MemoryName(name))
	})
	if err != nil {
		return nil, err
	}
	for i, w := range s.Weights {
		if w.Branch == 0 {
			w.Trainable = hit[i] && !s.Config.Idle(w.Name) || w.Whole
		}
	}
	if err := s.Flatten(); err != nil {
		return nil, err
	}
	var names []string
	for _, w := range s.Weights {
		if w.Trainable {
			names = append(names, w.Name)
		}
	}
	return names, nil
}

// EachGrad downloads the gradient of every trained parameter, in forward
// order, under the name and shape that files give it.
func (s *Set) EachGrad(f func(name string, shape []int, grad []float32)) error {
	for _, w := range s.Weights {
		if !w.Trainable {
			continue
		}
		g := make([]float32, w.Grad.Len())
		if err := s.be.Download(g, w.Grad); err != nil {
			return err
		}
		name := w.Name
		if w.Branch != 0 {
			name = hf.PEFTPrefix + s.Config.Family.MemoryName(name)
		}
		f(name, w.Shape, g)
	}
	return nil
}
