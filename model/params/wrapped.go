package params

import (
	"fmt"
	"slices"
	"strings"
	"vgid/model/hf"
)

// wrappers are the modules that other programs put around a model or its parts,
// by the name that they leave in those of the tensors when the whole is saved.
var wrappers = map[string]string{
	"_orig_mod":                  "torch.compile",
	"module":                     "DistributedDataParallel or DeepSpeed",
	"_forward_module":            "Lightning",
	"_fsdp_wrapped_module":       "FSDP",
	"_checkpoint_wrapped_module": "activation checkpointing",
	"base_layer":                 "PEFT",
}

// missing says that the files lack a tensor, and which of theirs it is where a
// wrapper's name is all that is in the way.
// The outermost wrapper is named; PEFT's prefix goes before all.
func (l *loader) missing(name string, files []string) error {
	for _, n := range files {
		var by string
		parts := strings.Split(strings.TrimPrefix(n, hf.PEFTPrefix), ".")
		parts = slices.DeleteFunc(parts, func(part string) bool {
			w, ok := wrappers[part]
			if by == "" {
				by = w
			}
			return ok
		})
		if strings.HasPrefix(n, hf.PEFTPrefix) {
			by = wrappers["base_layer"]
		}
		if by == "" || l.set.Config.Family.DiskName(strings.Join(parts, ".")) != name {
			continue
		}
		do := "save the state dict of the model inside (unwrap it first)"
		if by == wrappers["base_layer"] {
			do = "merge the adapter (merge_and_unload) and save that model"
		}
		return fmt.Errorf("tensor %q is missing; the files have it as %q, a name that %s makes: %s", name, n, by, do)
	}
	return fmt.Errorf("tensor %q is missing", name)
}
