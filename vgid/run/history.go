package run

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vgid/vgid/train"
)

// Point is one step of a stage's history.
// Loss holds the mean loss of each term by its name; GradNorm is the global norm before
// clipping, of a step of several updates the largest; LR is the step's learning rate.
//
// No time is in it: the history of a run that was interrupted and resumed is, to the bit,
// that of the run that was not. Times are in Timing.
type Point struct {
	Step     int                `json:"step"`
	Loss     map[string]float64 `json:"loss"`
	GradNorm float64            `json:"grad_norm"`
	LR       float64            `json:"lr"`
}

// lossText is a step's losses for the terminal, in the order of their names: a map's own
// order would make the line jump.
func lossText(r train.StepResult) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r.Loss)) {
		fmt.Fprintf(&b, "%s %.4f  ", k, r.Loss[k])
	}
	return strings.TrimSpace(b.String())
}

// history tells of the steps of a stage, on rank 0: what they came to in its history.jsonl,
// and how long they took in its timing.jsonl.
type history struct {
	points, timings *journal
	// The losses of the last step, for the stage's last line on the terminal.
	last string
}

// openHistory keeps the first steps of an interrupted run's files, which lie in a folder.
// Ranks that do not write get one that only knows the last step.
func openHistory(writes bool, dir func(name string) string, steps int) (*history, error) {
	h := &history{}
	var err error
	if h.points, err = openJournal(writes, dir(historyFile), steps, func(p Point) int { return p.Step }); err != nil {
		return nil, err
	}
	if h.timings, err = openJournal(writes, dir(timingFile), steps, func(t Timing) int { return t.Step }); err != nil {
		return nil, errors.Join(err, h.points.Close())
	}
	return h, nil
}

const (
	historyFile = "history.jsonl"
	timingFile  = "timing.jsonl"
)

// add tells of a step.
func (h *history) add(r train.StepResult) error {
	h.last = lossText(r)
	if err := h.points.add(Point{Step: r.Step, Loss: r.Loss, GradNorm: r.GradNorm, LR: r.LR}); err != nil {
		return err
	}
	return h.timings.add(timingOf(r))
}

// Close may be called again.
func (h *history) Close() error { return errors.Join(h.points.Close(), h.timings.Close()) }

// ReadHistory reads a history.jsonl; a last line cut off by a crash is left out.
// A file that is not there is a history without points: who resumes may have removed it.
func ReadHistory(path string) ([]Point, error) { return readJournal[Point](path) }

// ReadTimings reads a timing.jsonl as ReadHistory does its file.
func ReadTimings(path string) ([]Timing, error) { return readJournal[Timing](path) }
