package ledger

import (
	"slices"
	"strings"

	"vgid/vgid/config"
)

// The stages that train nothing.
const (
	Data    = "data"    // the making of a benchmark
	Teacher = "teacher" // the look at the teacher
	Eval    = "eval-"   // and the model's name: its evaluation
)

// Progress is how far a run is, for whoever ends it to tell.
type Progress struct {
	Resumed bool            // stages of an earlier run may be kept
	Spell   config.Spelling // of the setting that goes on
	doing   string          // the stage in progress; "": none
	done    []string        // those that are finished, in words
}

// begin notes that a stage is in progress.
func (p *Progress) begin(stage string) { p.doing = stage }

// keep notes that a stage is finished.
func (p *Progress) keep(stage string) {
	p.doing = ""
	if w := words(stage); !slices.Contains(p.done, w) {
		p.done = append(p.done, w)
	}
}

// Kept tells of a run that ends between or before steps where it was and what is
// kept of it.
func (p *Progress) Kept() string {
	kept := "no stage is finished"
	switch {
	case len(p.done) > 0:
		kept = "finished and kept: " + strings.Join(p.done, ", ")
	case p.Resumed: // nobody has asked for a finished one yet
		kept = "what was finished before is kept"
	}
	at := "in " + words(p.doing) + ", which begins again"
	switch {
	case p.doing == "" && len(p.done) == 0:
		at = "before the first stage"
	case p.doing == "":
		at = "between stages"
	case !strings.HasPrefix(p.doing, Eval) && p.doing != Teacher:
		at = "before a step of " + p.doing
	}
	return at + "; " + kept + "; continue with " + p.Spell("resume", "")
}

// words names a stage in a sentence.
func words(stage string) string {
	if model, ok := strings.CutPrefix(stage, Eval); ok {
		return "the evaluation of " + model
	}
	if stage == Teacher {
		return "the look at the teacher"
	}
	return stage
}
