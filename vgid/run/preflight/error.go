package preflight

import (
	"fmt"
	"strings"

	"vgid/model/kit/bytesize"
	"vgid/vgid/config"
)

// MemoryError is the refusal of work that would take more memory than is free.
type MemoryError struct {
	Work       string // what takes it: "vanilla: a step"
	Need, Free int64  // bytes, of all workers that share the memory
	Workers    int    // how many they are
	Mapped     bool   // files that are mapped come on top, and can be dropped
	Advice     Advice

	spell config.Spelling
}

// Advice is what would lower a need.
type Advice struct {
	Settings []Setting // each helps beside those before it
	Enough   bool      // with all of them the work fits
	// Adapter is the setting that trains an adapter, where all weights are trained and
	// the others are not enough.
	Adapter *Setting
}

// Setting is a setting that lowers a need.
type Setting struct {
	Path, Value string // Value is empty where the setting is true or false
	Need        int64  // bytes, of all workers, with it and those before it
}

func (e *MemoryError) Error() string {
	who := ""
	if e.Workers > 1 {
		who = fmt.Sprintf(" for the %d workers here", e.Workers)
	}
	if e.Mapped {
		who += " besides mapped files"
	}
	return fmt.Sprintf("%s takes %v of memory%s and %v are free: %v are missing; %s", e.Work,
		bytesize.Binary(e.Need), who, bytesize.Binary(e.Free), bytesize.Binary(e.Need-e.Free), e.Advice.text(e.spell))
}

// text puts advice into words.
func (a Advice) text(spell config.Spelling) string {
	var named []string
	for _, s := range a.Settings {
		named = append(named, spell(s.Path, s.Value))
	}
	before := ""
	if n := len(named); n > 0 {
		with := fmt.Sprintf("with %s it takes %v", strings.Join(named, " "), bytesize.Binary(a.Settings[n-1].Need))
		if a.Enough {
			return with
		}
		before = "even " + with + "; "
	}
	if a.Adapter != nil {
		return before + fmt.Sprintf("train an adapter instead of all weights (%s)", spell(a.Adapter.Path, a.Adapter.Value))
	}
	return before + "take a machine with more memory, or fewer workers on this one"
}
