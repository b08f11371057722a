package run

import (
	"fmt"

	"vgid/model"
	"vgid/vgid/config"
	"vgid/vgid/run/preflight"
)

// setTrainable sets what of a model is trained, and tells it.
// modules are patterns of weight names; empty means all.
func setTrainable(s preflight.Setup, l config.LoRA, modules []string) error {
	m := s.Model
	var names []string
	var err error
	// With an adapter the weights stay as they are, and modules, which names weights,
	// has no say.
	if l.R > 0 {
		names, err = m.AddLoRA(model.LoRAConfig{
			R: l.R, Alpha: float32(l.Alpha), Dropout: float32(l.Dropout), Targets: l.Targets, Exclude: l.Exclude,
			RSLoRA: l.RSLoRA, ModulesToSave: l.ModulesToSave, Bias: l.Bias, Seed: s.Config.Seed,
		})
	} else {
		if len(modules) == 0 {
			modules = []string{"*"}
		}
		names, err = m.Trainable(modules...)
	}
	if err != nil {
		return err
	}
	// Patterns match more or less than a user means: what was matched is said before
	// hours go by.
	all, trained := m.NumParameters()
	if l.R == 0 && modules[0] == "*" {
		s.Say("training the weights themselves: %d parameters in %d tensors", trained, len(names))
		return nil
	}
	what := "weights"
	if l.R > 0 {
		what = fmt.Sprintf("LoRA r=%d alpha=%g on modules", l.R, l.Alpha)
	}
	s.Say("training %d of %d parameters: %d %s: %s", trained, all, len(names), what, model.Abbreviate(names))
	return nil
}
