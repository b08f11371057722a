package eval

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"vgid/model/kit/plainjson"
	"vgid/model/kit/safefile"
)

// The models of a run, as they are spelled in summary.json, in the order they
// are shown. Other names are allowed and come after.
const (
	Vanilla   = "vanilla"   // fine-tuned on everybody
	Unlearned = "unlearned" // after unlearning
	Gold      = "gold"      // trained on the retain set alone: what forgetting should look like
)

// Summary is runs/<name>/summary.json. The keys below are stable: later
// versions add keys and raise Format when the meaning of one changes.
//
//	models.<model>.<set>.<modality>.<metric>   mean in [0, 1]
//	counts.<set>.<modality>.<task>             questions behind those means
//	stages.<stage>.seconds, .peak_memory_bytes
//
// model: vanilla, unlearned, gold. set: forget, test, retain, celebrity.
// modality: image_text, text. metric: what package metric registers, so rouge1,
// rouge2, rougeL, bleu, cloze, classification, classification_likelihood,
// classification_chance.
// task: generation, cloze, classification.
type Summary struct {
	Format       int               `json:"format"`
	Name         string            `json:"name"`          // of the run
	Seed         uint64            `json:"seed"`          // of everything random
	World        int               `json:"world"`         // workers
	ConfigDigest string            `json:"config_digest"` // sha256 of the resolved configuration file, hex
	Versions     map[string]string `json:"versions"`      // e.g. "vgid", "go", "backend"
	Models       map[string]Scores `json:"models"`
	Counts       Counts            `json:"counts"`
	Stages       map[string]Stage  `json:"stages"`
}

// Stage is what one stage of the run took.
type Stage struct {
	Order   int     `json:"order"` // position in the run, from 0
	Seconds float64 `json:"seconds"`
	// PeakMemoryBytes is the largest resident memory of any worker process.
	PeakMemoryBytes int64 `json:"peak_memory_bytes"`
}

// summaryFormat is the current Summary.Format.
const summaryFormat = 1

// Add puts the evaluation of a model in. Every model of a run must have been
// asked the same questions.
// The first one gives the counts that all others are held against.
func (s *Summary) Add(model string, o *Outcome) error {
	if s.Models == nil {
		s.Models, s.Counts = map[string]Scores{}, o.Counts
	}
	if !sameCounts(s.Counts, o.Counts) {
		return fmt.Errorf("model %s was asked other questions than the models before it; evaluate all with one configuration", model)
	}
	s.Models[model] = o.Scores
	return nil
}

// sameCounts compares by the text that maps are written as, which orders keys.
func sameCounts(a, b Counts) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// AddStage records a stage, after those already there.
func (s *Summary) AddStage(name string, seconds float64, peakMemoryBytes int64) {
	if s.Stages == nil {
		s.Stages = map[string]Stage{}
	}
	order := len(s.Stages)
	// A stage that is made again keeps its place.
	if old, ok := s.Stages[name]; ok {
		order = old.Order
	}
	s.Stages[name] = Stage{Order: order, Seconds: seconds, PeakMemoryBytes: peakMemoryBytes}
}

// StageNames lists the stages in their order.
func (s *Summary) StageNames() []string {
	return sortedKeys(s.Stages, func(name string) int { return s.Stages[name].Order })
}

// ModelNames lists the models in the order they are shown.
func (s *Summary) ModelNames() []string {
	return sortedKeys(s.Models, rank(Vanilla, Unlearned, Gold))
}

// SetNames lists the evaluated sets in the order they are shown.
func (s *Summary) SetNames() []string {
	return sortedKeys(s.Counts, rank(Forget, Test, Retain, Celebrity))
}

// rank gives the place of a name in a list, names outside it last.
func rank(names ...string) func(string) int {
	return func(name string) int {
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
		return len(names)
	}
}

// sortedKeys are the keys by order, those of one place by name.
func sortedKeys[V any](m map[string]V, order func(string) int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := order(a) - order(b); d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	return keys
}

// Value looks up one mean.
func (s *Summary) Value(model, set, modality, metric string) (float64, bool) {
	v, ok := s.Models[model][set][modality][metric]
	return v, ok
}

// WriteSummary writes the summary as indented JSON, atomically.
func WriteSummary(path string, s *Summary) error {
	out := *s
	out.Format = summaryFormat
	b, err := json.MarshalIndent(&out, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return safefile.WriteBytes(path, append(b, '\n'))
}

// ReadSummary reads what WriteSummary wrote.
// A file of another format is refused: its numbers may mean something else.
func ReadSummary(path string) (*Summary, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s Summary
	if err := plainjson.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s: %w; run the evaluation again", path, err)
	}
	if s.Format != summaryFormat {
		return nil, fmt.Errorf("%s: format %d, but this version reads %d; run the evaluation again", path, s.Format, summaryFormat)
	}
	return &s, nil
}
